#!/bin/bash
# Measures pitr beside pg_basebackup, pg_receivewal and pgBackRest on databases that it makes, and
# prints one table for each part. As root everything runs as the unprivileged test user.
#
#   scripts/bench.sh        after scripts/build.sh release and scripts/setup.sh bench
#
# PITR_BENCH_PARTS         base: full backups, restores, WAL, commits; changes: incremental backups,
#                          in-place and delta restores while the database grows, and a restore
#                          after many incrementals ("base changes")
# PITR_BENCH_RUNS          runs of which the median is taken (3)
# PITR_BENCH_BIN           where pitr's programs are (build/release/bin)
# PITR_BENCH_PGBACKREST    the pgBackRest to measure (pgbackrest); from 2.46 on with block incrementals
# TMPDIR                   where all of it happens (/tmp)
# base:
# PITR_BENCH_MB            size of the database (2500); it takes ten times that
# PITR_BENCH_SEGMENTS      WAL segments pushed and fetched one by one (32)
# PITR_BENCH_SECONDS       length of one measurement of commit latency (10)
# changes:
# PITR_BENCH_GROWTH_MB     size of the smallest database (640), of which about a twelfth is changed in
#                          each size; it takes four times the largest
# PITR_BENCH_FACTORS       how many times that large the databases are ("1 4 16")
# PITR_BENCH_INCREMENTALS  how many incrementals before the restore (1000)
# PITR_BENCH_CHAIN_MB      the database for that (500)
#
# Sockets are Unix sockets in a temporary directory, which is removed at the end. A tool that fails
# gets a row that says so; the others go on. Nothing else should run on the machine meanwhile.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
if [[ -z ${PITR_BENCH_INSIDE:-} ]]; then
  PITR_BENCH_INSIDE=1 exec scripts/as_test_user.sh scripts/bench.sh "$@"
fi
export LC_ALL=C TZ=UTC

parts=${PITR_BENCH_PARTS:-base changes}
base_mb=${PITR_BENCH_MB:-2500}
runs=${PITR_BENCH_RUNS:-3}
segment_count=${PITR_BENCH_SEGMENTS:-32}
latency_s=${PITR_BENCH_SECONDS:-10}
growth_mb=${PITR_BENCH_GROWTH_MB:-640}
factors=${PITR_BENCH_FACTORS:-1 4 16}
incrementals=${PITR_BENCH_INCREMENTALS:-1000}
chain_mb=${PITR_BENCH_CHAIN_MB:-500}
change_blocks=$((growth_mb * 10))
chain_blocks=200
bin=$(cd "${PITR_BENCH_BIN:-build/release/bin}" && pwd)
work=$TMPDIR/bench
mkdir -p "$work/log"

. bench/measure.sh
. bench/servers.sh
. bench/backups.sh
. bench/wal.sh
. bench/changes.sh

trap 'stop_all' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'echo "bench.sh: failed at ${BASH_SOURCE[0]}:$LINENO: $BASH_COMMAND" >&2' ERR

need_space() {  # MB
  local free_mb
  free_mb=$(df -Pm "$work" | awk 'NR == 2 {print $4}')
  if ((free_mb < $1)); then
    echo "bench.sh: $work has $free_mb MB free; about $1 are needed (TMPDIR)" >&2
    exit 1
  fi
}

report() {  # TEXT ROWS_FILE
  echo
  echo "pitr benchmark of $(date '+%F %R') UTC. $machine"
  echo "Load before: $load_before; after: $(cut -d' ' -f1-3 /proc/loadavg)."
  echo "$(tool_versions)"
  echo "$1"
  echo
  print_table "$2"
}

bench_base() {
  local run
  size_mb=$base_mb
  need_space $((base_mb * 10))
  make_server
  make_database
  make_pitr
  make_pgbackrest "" backup.pgbackrest restore.pgbackrest push.pgbackrest get.pgbackrest
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
  report "Database: $(database_line).
Medians of $runs runs; WAL segments: of $segment_count segments of 16 MB, one after another." \
    bench/rows.txt
  clear_away
}

bench_changes() {
  local kind="whole files"
  need_space $((growth_mb * ${factors##* } * 4 + 12000))
  measure_growth
  measure_chain
  ! pgbackrest_knows_blocks || kind="blocks"
  sed "s/@kind@/$kind/" bench/rows_changes.txt >"$work/rows_changes"
  report "Databases with data checksums, all encrypted and with LZ4; pgBackRest's incrementals store $kind.
Medians of $runs runs. Many incrementals: $incrementals, of a database of $chain_mb MB." \
    "$work/rows_changes"
}

for part in $parts; do
  if [[ $part != base && $part != changes ]]; then
    echo "bench.sh: there is no part \"$part\" (PITR_BENCH_PARTS: base, changes)" >&2
    exit 2
  fi
done
machine=$(machine_line)
load_before=$(cut -d' ' -f1-3 /proc/loadavg)
for part in $parts; do "bench_$part"; done
