#!/bin/bash
# Measures pitr beside pg_basebackup, pg_receivewal and pgBackRest on a database that it makes, and
# prints one table from one run. As root everything runs as the unprivileged test user.
#
#   scripts/bench.sh        after scripts/build.sh release and scripts/setup.sh bench
#
# PITR_BENCH_MB         size of the database (2500)
# PITR_BENCH_RUNS       runs of which the median is taken (3)
# PITR_BENCH_SEGMENTS   WAL segments pushed and fetched one by one (32)
# PITR_BENCH_SECONDS    length of one measurement of commit latency (10)
# PITR_BENCH_BIN        where pitr's programs are (build/release/bin)
# TMPDIR                where all of it happens (/tmp): about ten times the database
#
# Sockets are Unix sockets in a temporary directory, which is removed at the end. A tool that fails
# gets a row that says so; the others go on. Nothing else should run on the machine meanwhile.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
if [[ -z ${PITR_BENCH_INSIDE:-} ]]; then
  PITR_BENCH_INSIDE=1 exec scripts/as_test_user.sh scripts/bench.sh "$@"
fi
export LC_ALL=C TZ=UTC

size_mb=${PITR_BENCH_MB:-2500}
runs=${PITR_BENCH_RUNS:-3}
segment_count=${PITR_BENCH_SEGMENTS:-32}
latency_s=${PITR_BENCH_SECONDS:-10}
bin=$(cd "${PITR_BENCH_BIN:-build/release/bin}" && pwd)
work=$TMPDIR/bench
mkdir -p "$work/log"

. bench/measure.sh
. bench/servers.sh
. bench/backups.sh
. bench/wal.sh

trap 'stop_all' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'echo "bench.sh: failed at ${BASH_SOURCE[0]}:$LINENO: $BASH_COMMAND" >&2' ERR

free_mb=$(df -Pm "$work" | awk 'NR == 2 {print $4}')
if ((free_mb < size_mb * 10)); then
  echo "bench.sh: $work has $free_mb MB free; about $((size_mb * 10)) are needed (TMPDIR)" >&2
  exit 1
fi

machine=$(machine_line)
load_before=$(cut -d' ' -f1-3 /proc/loadavg)
make_server
make_database
make_repositories
for ((run = 1; run <= runs; run++)); do
  say "run $run of $runs: backups"
  measure_backups
  say "run $run of $runs: restores"
  measure_restores
done
say "WAL, segment by segment"
measure_wal
for ((run = 1; run <= runs; run++)); do
  say "run $run of $runs: commits"
  measure_commits
done
say "the agent's memory after one more backup"
measure_agent_memory

{
  echo
  echo "pitr benchmark of $(date '+%F %R') UTC. $machine"
  echo "Load before: $load_before; after: $(cut -d' ' -f1-3 /proc/loadavg)."
  echo "$(tool_versions)"
  echo "Database: $(database_line)."
  echo "Medians of $runs runs; WAL segments: of $segment_count segments of 16 MB, one after another."
  echo
  print_table
}
