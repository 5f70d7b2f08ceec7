# What incremental backups, in-place restores and delta restores cost while the database grows and
# the change stays as it is; and a restore after many incrementals. Sourced by scripts/bench.sh.
#
# pitr and pgBackRest work on the same server one after the other, each going back over and over to
# the state before the change: both give timelines to what they restore, and would take the other's
# for a stranger's.

rows_before=$work/rows.before

# make_table NAME COLUMNS QUERY: frozen, with room for a changed row beside the old one, and without
# WAL where wal_level is minimal.
make_table() {
  sql "COPY ($3) TO STDOUT (FORMAT binary)" |
    PGOPTIONS="-c maintenance_work_mem=1GB" psql -XAtq -1 -v ON_ERROR_STOP=1 \
      -c "CREATE TABLE $1 ($2) WITH (fillfactor = 90)" \
      -c "COPY $1 FROM STDIN (FORMAT binary, FREEZE)" \
      -c "ALTER TABLE $1 ADD PRIMARY KEY (id)"
}

# Three fifths short rows, the rest text that LZ4 hardly shortens.
make_growth_database() {
  local digits account
  account_rows=$((size_mb * 3 / 5 * 5900)) text_rows=$((size_mb * 2 / 5 * 2800))
  say "making a database of about $size_mb MB"
  make_server "-c wal_level=minimal -c max_wal_senders=0 -c archive_mode=off"
  digits=$(printf "md5('%s' || i) || " 1 2 3 4 5 6 7 8)
  make_table bench_account "id bigint, branch int, balance int NOT NULL, filler char(84)" \
    "SELECT i, (i % 1000)::int, 0, '' FROM generate_series(1::bigint, $account_rows) i" &
  account=$!
  make_table bench_text "id bigint, version int NOT NULL, body text NOT NULL" \
    "SELECT i, 0, ${digits% || } FROM generate_series(1::bigint, $text_rows) i"
  wait "$account"
  stop_server
  start_server
  sql "ANALYZE"
  files_to_back_up >"$work/files"
}

# Many times the memory that the change needs, and not so much that it takes longer than what is
# measured: whoever writes more than that takes pages from the page cache, not from the host. And all
# is read from the disk, in each size: a small database and its backups would else stay in memory.
settle_changes() {
  settle_memory $((size_mb < 2500 ? size_mb : 2500))
  forget_files "$data" "$work/pitr" "$work/pgbackrest"
}

# scatter_over TABLE COLUMN ROWS COUNT SEED: changes COUNT of ROWS rows, spread evenly, and prints
# how many blocks hold them.
scatter_over() {
  sql "SET seed = $(printf '0.%06d' "$5"); SET enable_hashjoin = off; SET enable_mergejoin = off;
       WITH picked AS MATERIALIZED (
         SELECT (n * ($3 / $4) + 1 + floor(random() * ($3 / $4)))::bigint AS id
         FROM generate_series(0, $4 - 1) n),
       changed AS (UPDATE $1 t SET $2 = $2 + 1 FROM picked WHERE t.id = picked.id RETURNING t.ctid)
       SELECT count(DISTINCT (ctid::text::point)[0]) FROM changed"
}

# scatter SEED BLOCKS: about so many blocks of both tables; how many it were is in $scattered.
scatter() {
  local accounts texts
  accounts=$(scatter_over bench_account balance "$account_rows" $(($2 * 3 / 5)) "$1")
  texts=$(scatter_over bench_text version "$text_rows" $(($2 * 2 / 5)) "$1")
  scattered=$((accounts + texts))
}

# change FACTOR RUN: the same rows for a run, whatever is measured.
change() {
  scatter "$2" "$change_blocks"
  note "changed.$1" $((scattered * 8192))
  sql "CHECKPOINT"
}

# Every column of every row, in a form that can be compared.
rows_of() {
  sql "SELECT count(*), sum(hash_record_extended(t, 0)) FROM bench_account t" &&
    sql "SELECT count(*), sum(hash_record_extended(t, 0)) FROM bench_text t"
}

is_open() { [[ $(sql "SELECT pg_is_in_recovery()") == f ]]; }

# has_rows FILE: the server starts, ends its recovery, and holds the rows of that file
has_rows() {
  start_server && wait_until 300 is_open && rows_of >"$work/rows.now" && cmp "$1" "$work/rows.now"
}

# go_back KEY COMMAND...: the command puts the stopped server's directory back to before the change
go_back() {
  local key=$1
  shift
  stop_server
  settle_changes
  measure "$key" "$@" && attempt "$key" -- has_rows "$rows_before"
}

# number_in KEY NAME: a number of the JSON that the measured command wrote
number_in() { sed -n "s/^ *\"$2\": \([0-9]*\),*\$/\1/p" "$work/log/$1" | head -1; }
text_in() { sed -n "s/^ *\"$2\": \"\(.*\)\",*\$/\1/p" "$work/log/$1" | head -1; }

# was_done KEY NAME TEXT: that text stands in the JSON, or else something else was measured
was_done() {
  [[ $(text_in "$1" "$2") != "$3" ]] || return 0
  printf '%s is "%s", not "%s": %s\n' "$2" "$(text_in "$1" "$2")" "$3" "$(text_in "$1" reason)" \
    >>"$work/log/$1"
  note_failure "$1" "$work/log/$1"
  return 1
}

# pitr_incremental KEY: by changed blocks, or the row fails
pitr_incremental() {
  measure "$1" "$bin/pitr" backup --local --json && was_done "$1" read_by "changed blocks" || return 1
  note "read.$1" "$(number_in "$1" read_bytes)"
  note "stored.$1" "$(number_in "$1" stored_bytes)"
}

# in_place KEY RESTORE_POINT [OPTION]: by facts, or the row fails
in_place() {
  local key=$1 point=$2
  shift 2
  go_back "$key" "$bin/pitr-restore" --name="$point" --in-place --yes --json "$@" &&
    was_done "$key" mode "by facts" || return 1
  note "written.$key" "$(number_in "$key" written_bytes)"
  attempt "$key" -- wait_until 60 streams pitr_main state streaming
}

restore_point() { sql "SELECT pg_create_restore_point('$1')" >/dev/null; }

pitr_changes() {  # FACTOR
  local run point
  make_pitr
  measure "full.pitr.$1" "$bin/pitr" backup --full --local || return 0
  for ((run = 1; run <= runs; run++)); do
    say "$1x, run $run of $runs: pitr"
    point=before_$1_$run
    restore_point "$point"
    change "$1" "$run"
    settle_changes
    pitr_incremental "incremental.pitr.$1" || true
    pitr_incremental "nothing.pitr.$1" || true
    in_place "in_place.pitr.$1" "$point" || return 0
    restore_point "${point}_again"
    change "$1" "$run"
    in_place "no_safety.pitr.$1" "${point}_again" --no-safety || return 0
  done
}

# Blocks of a file are known to pgBackRest from 2.46 on; before, a file that changed is stored whole.
pgbackrest_knows_blocks() {
  local version
  version=$("$pgbackrest" version 2>/dev/null | grep -o '[0-9]*\.[0-9]*' | head -1)
  [[ $version == 2.* ]] && ((${version#2.} >= 46))
}

newest_pgbackrest_backup() {
  "$pgbackrest" --stanza=bench --output=json info | grep -o '"label":"[^"]*"' | tail -1 | cut -d'"' -f4
}

pgbackrest_settings() {
  if pgbackrest_knows_blocks; then printf 'repo1-bundle=y\nrepo1-block=y\n'; fi
}

server_runs() { "$pg_bin/pg_ctl" -D "$data" status >/dev/null || start_server; }

pgbackrest_changes() {  # FACTOR
  local run full key=incremental.pgbackrest.$1 restore_key=delta.pgbackrest.$1
  attempt "$key" "$restore_key" -- server_runs || return 0
  sql "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots" >/dev/null
  set_server archive_command "$pgbackrest --config=$PGBACKREST_CONFIG --stanza=bench archive-push %p"
  rows_of >"$rows_before"
  make_pgbackrest "$(pgbackrest_settings)" "$key" "$restore_key"
  settle_changes
  measure "full.pgbackrest.$1" \
    "$pgbackrest" --stanza=bench --type=full --no-expire-auto backup || return 0
  full=$(newest_pgbackrest_backup)
  for ((run = 1; run <= runs; run++)); do
    say "$1x, run $run of $runs: pgBackRest"
    change "$1" "$run"
    settle_changes
    # Against the full one, as pitr's: what the last run had changed is undone.
    growth_of "$key" "$work/pgbackrest/backup" \
      "$pgbackrest" --stanza=bench --type=diff --no-expire-auto backup
    go_back "$restore_key" "$pgbackrest" --stanza=bench --delta --set="$full" --type=immediate \
      --target-action=promote restore || return 0
  done
}

measure_growth() {
  local factor
  for factor in $factors; do
    size_mb=$((growth_mb * factor))
    make_growth_database
    note "database.$factor" "$(awk '{bytes += $1} END {printf "%.0f", bytes}' "$work/files")"
    rows_of >"$rows_before"
    pitr_changes "$factor"
    stop_agent
    rm -rf "$work/pitr" "$work/state"
    pgbackrest_changes "$factor"
    clear_away
  done
}

# A directory of its own beside the running server, which it must equal.
restored_has_rows() {
  local data=$work/restored status=0
  local -x PGHOST=$work/other
  mkdir -p "$PGHOST"
  server_options="-c unix_socket_directories=$PGHOST" has_rows "$rows_before" || status=1
  stop_server || status=1
  return "$status"
}

restore_backup() {  # KEY BACKUP_ID
  rm -rf "$work/restored"
  settle_memory
  measure "$1" "$bin/pitr-restore" --immediate --backup="$2" --yes --target-dir "$work/restored" &&
    attempt "$1" -- restored_has_rows
}

# The database is changed all over many times, in steps of an incremental backup each.
measure_chain() {
  local number took_us last fresh run
  size_mb=$chain_mb
  make_growth_database
  make_pitr
  attempt restore.chained restore.fresh -- "$bin/pitr" backup --full --local || return 0
  say "$incrementals incremental backups"
  for ((number = 1; number <= incrementals; number++)); do
    scatter "$number" "$chain_blocks"
    note chain.changed $((scattered * 8192))
    pitr_incremental chain.backup || return 0
    took_us=$(tail -3 "$samples" | awk '$1 == "chain.backup" {print $2}')
    ((number > 50)) || note chain.first "$took_us"
    ((number <= incrementals - 50)) || note chain.last "$took_us"
  done
  last=$(text_in chain.backup id)
  rows_of >"$rows_before"
  measure chain.independent "$bin/pitr" backup --independent --local --json || return 0
  fresh=$(text_in chain.independent id)
  for ((run = 1; run <= runs; run++)); do
    say "run $run of $runs: restores of the last incremental backup, and of a fresh one"
    restore_backup restore.chained "$last" || true
    restore_backup restore.fresh "$fresh" || true
  done
  clear_away
}
