# WAL segments one by one, commits with a synchronous standby, and the agent's memory. Sourced by
# scripts/bench.sh.

insert_position() { sql "SELECT pg_current_wal_insert_lsn()"; }

# Load of several kinds until so many segments are complete; their names go into $work/segments.
# All but the last eighth are for the agent.
make_segments() {
  local first next_id
  sql "SELECT pg_switch_wal()" >/dev/null
  first=$(insert_position)
  next_id=$(sql "SELECT max(id) + 1 FROM bench_text")
  until [[ $(sql "SELECT pg_current_wal_insert_lsn() - '$first' > $segment_count * 16777216.0 + 100000") == t ]]; do
    sql "CHECKPOINT"
    PGOPTIONS="-c synchronous_commit=off" pgbench -n -N -c 2 -t 2000 >"$work/log/pgbench" 2>&1
    insert_text "$next_id" $((next_id + 20000))
    next_id=$((next_id + 20001))
  done
  sql "SELECT pg_switch_wal()" >/dev/null
  sql "SELECT pg_walfile_name('$first'::pg_lsn + 8192 + i * 16777216.0)
       FROM generate_series(0, $segment_count - 1) i" >"$work/segments"
}

is_stored() { [[ -n $(find "$1" -name "$2" -print -quit) ]]; }

# A second repository, whose agent cannot reach the server: it knows only what pitr-archive brings.
make_second_repository() {
  local config=$work/pitr2.yaml
  write_pitr_config "$config" "$work/pitr2" "$connection" "$work/state2" || return 1
  PITR_CONFIG=$config "$bin/pitr" init || return 1
  write_pitr_config "$config" "$work/pitr2" "host=$work/nowhere user=postgres" "$work/state2"
  in_background agent2 "$bin/pitr-agent" --config "$config"
  wait_until 30 test -S "$work/state2/agent.sock"
}

measure_pushes() {
  local name fresh=$((segment_count * 3 / 4)) number=0
  while read -r name; do
    measure push.streamed "$bin/pitr-archive" "$data/pg_wal/$name" || true
  done <"$work/segments"
  if attempt push.fresh push.alone -- make_second_repository; then
    while read -r name; do
      if ((number++ < fresh)); then
        measure push.fresh "$bin/pitr-archive" --config "$work/pitr2.yaml" \
          --socket "$work/state2/agent.sock" "$data/pg_wal/$name" || true
      else
        measure push.alone "$bin/pitr-archive" --config "$work/pitr2.yaml" \
          --socket "$work/nobody.sock" "$data/pg_wal/$name" || true
      fi
    done <"$work/segments"
  fi
  end_background
  for key in push.pgbackrest push.again.pgbackrest; do
    while read -r name; do
      measure "$key" "$pgbackrest" --stanza=bench archive-push "$data/pg_wal/$name" || true
    done <"$work/segments"
  done
  note_segment_sizes
}

note_segment_sizes() {
  local name file
  while read -r name; do
    for file in $(find "$work/pitr" -path '*/wal/*' -name "$name" -type f); do
      note size.wal.pitr "$(stat -c %s "$file")"
    done
    for file in $(find "$work/pgbackrest/archive" -name "$name-*" -type f 2>/dev/null); do
      note size.wal.pgbackrest "$(stat -c %s "$file")"
    done
  done <"$work/segments"
}

# get KEY NAME DESTINATION COMMAND...: the file must then be the server's
get() {
  local key=$1 name=$2 to=$3
  shift 3
  rm -f "$to"
  measure "$key" "$@" || return 0
  cmp "$to" "$data/pg_wal/$name" >"$work/log/$key" 2>&1 || note_failure "$key" "$work/log/$key"
}

# A restored directory whose plan holds the segments, and its prefetcher as a server would have it.
restore_for_wal() {
  rm -rf "$work/restored"
  "$bin/pitr-restore" --latest --yes --target-dir "$work/restored"
}

# Replaying a segment takes longer than fetching one: when recovery asks, the spool is full.
spool_is_full() {  # SEGMENTS_LEFT
  local files=("$work/restored/pitr_restore/spool"/*/*)
  ((${#files[@]} >= ($1 < 16 ? $1 : 16))) && sleep 0.1
}

pitr_gets() {  # KEY: reads names
  local name to=$work/restored/pg_wal/RECOVERYXLOG left
  while read -r name; do
    left=$(awk -v name="$name" '$0 >= name' "$work/segments" | wc -l)
    [[ $1 != get.pitr ]] || wait_until 10 spool_is_full "$left" || true
    get "$1" "$name" "$to" "$bin/pitr-wal-get" --plan "$work/restored/pitr_restore/plan" "$name" "$to"
  done
}

measure_gets() {
  local name to=$work/RECOVERYXLOG half=$((segment_count / 2))
  if attempt get.pitr get.rush get.alone -- restore_for_wal; then
    # Recovery asks from the backup's first segment on; up to the ones measured they are skipped.
    in_background wal-serve "$bin/pitr-restore" wal-serve --plan "$work/restored/pitr_restore/plan"
    attempt get.pitr get.rush -- wait_until 30 test -S "$work/restored/pitr_restore/wal.sock" || true
    "$bin/pitr-wal-get" --plan "$work/restored/pitr_restore/plan" "$(head -1 "$work/segments")" \
      "$work/restored/pg_wal/RECOVERYXLOG" || true
    head -n "$half" "$work/segments" | tail -n +2 | pitr_gets get.pitr
    tail -n +$((half + 1)) "$work/segments" | pitr_gets get.rush
    end_background
    sed -i '/^socket=/d' "$work/restored/pitr_restore/plan"
    head -n 8 "$work/segments" | pitr_gets get.alone
  fi
  while read -r name; do
    get get.pgbackrest "$name" "$to" "$pgbackrest" --stanza=bench archive-get "$name" "$to"
  done <"$work/segments"
  # With the pause before it that get.pitr has.
  while read -r name; do sleep 0.1 && measure start /bin/true; done <"$work/segments"
}

measure_wal() {
  set_server archive_command true
  make_segments
  if ! attempt push.streamed -- wait_until 60 is_stored "$work/pitr" "$(tail -1 "$work/segments")"; then
    return
  fi
  settle
  measure_pushes
  settle
  measure_gets
  rm -rf "$work/restored"
}

# commits KEY: the average of one client's small inserts, as pgbench tells it
commits() {
  local log=$work/log/$1
  sql "CHECKPOINT"
  settle
  timeout $((latency_s + 60)) pgbench -n -c 1 -T "$latency_s" -f "$work/insert.sql" >"$log" 2>&1 || true
  if grep -q '^latency average' "$log" && ! grep -q 'aborted' "$log"; then
    note "$1" "$(awk '/^latency average/ {printf "%.0f", $4 * 1000}' "$log")"
  else
    note_failure "$1" "$log"
  fi
}

# synchronous_commits KEY APPLICATION_NAME
synchronous_commits() {
  set_server synchronous_standby_names "$2"
  if attempt "$1" -- wait_until 30 streams "$2" sync_state sync; then commits "$1"; fi
  set_server synchronous_standby_names ''
}

start_receivewal() {
  rm -rf "$work/receivewal"
  mkdir "$work/receivewal"
  "$pg_bin/pg_receivewal" -S bench_receivewal --create-slot --if-not-exists || return 1
  PGAPPNAME=bench_receivewal in_background receivewal "$pg_bin/pg_receivewal" \
    -D "$work/receivewal" -S bench_receivewal --synchronous --no-loop
}

# Each receiver works alone, and one works while there is none.
measure_commits() {
  echo "INSERT INTO bench_commit (note) VALUES ('as small as a commit gets');" >"$work/insert.sql"
  stop_agent
  commits commit.alone
  if attempt commit.receivewal -- start_receivewal; then
    synchronous_commits commit.receivewal bench_receivewal
  fi
  end_background
  if attempt commit.pitr -- start_agent; then synchronous_commits commit.pitr pitr_main; fi
}

measure_agent_memory() {
  [[ -n $agent_pid ]] || start_agent
  attempt memory.agent -- "$bin/pitr" backup --full --local || true
  stop_agent
  note memory.agent $((agent_peak_kib * 1024))
}
