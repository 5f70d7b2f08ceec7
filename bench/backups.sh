# Base backups and restores. Sourced by scripts/bench.sh.

# The floor under every backup with LZ4: the lz4 program alone, over the same files in the page
# cache, on two cores, into nothing.
lz4_alone() {
  local first
  split_files
  xargs -r -d '\n' -a "$work/files.1" lz4 -1 -q -m -c --no-frame-crc >/dev/null &
  first=$!
  xargs -r -d '\n' -a "$work/files.2" lz4 -1 -q -m -c --no-frame-crc >/dev/null && wait "$first"
}

# Two lists of files of about equal size.
split_files() {
  awk -v one="$work/files.1" -v two="$work/files.2" '
    BEGIN { printf "" >one; printf "" >two }
    { path = substr($0, index($0, " ") + 1)
      if (a <= b) { a += $1; print path >one } else { b += $1; print path >two } }' "$work/files"
}

# growth_of KEY DIRECTORY COMMAND...: measured, and by how much the directory has grown
growth_of() {
  local key=$1 directory=$2 before=0
  shift 2
  [[ ! -d $directory ]] || before=$(bytes_in "$directory")
  measure "$key" "$@" || return 0
  note "size.$key" $(($(bytes_in "$directory") - before))
}

measure_backups() {
  set_server archive_command true
  sql "CHECKPOINT"
  settle_memory
  growth_of backup.pitr "$work/pitr" "$bin/pitr" backup --independent --local

  set_server archive_command "$pgbackrest --config=$PGBACKREST_CONFIG --stanza=bench archive-push %p"
  settle_memory
  growth_of backup.pgbackrest "$work/pgbackrest/backup" \
    "$pgbackrest" --stanza=bench --type=full --no-expire-auto backup
  set_server archive_command true

  rm -rf "$work/plain"
  settle_memory
  growth_of backup.plain "$work/plain" \
    "$pg_bin/pg_basebackup" -D "$work/plain" -c fast -X stream --no-manifest

  settle_memory
  measure backup.lz4 lz4_alone || true
  [[ $run != 1 ]] || note size.backup.lz4 "$(cut -d' ' -f2- "$work/files" |
    xargs -r -d '\n' lz4 -1 -q -m -c --no-frame-crc | wc -c)"
}

# The tables of a restored directory, in a form that can be compared.
tables_of() { (cd "$1" && find base -type f ! -name 'pg_internal.init*' -printf '%s %P\n' | sort); }

# restore KEY COMMAND...: into $work/restored, which is then compared with pg_basebackup's copy
restore() {
  local key=$1
  shift
  rm -rf "$work/restored"
  settle_memory
  measure "$key" "$@" || return 0
  if [[ -d $work/plain/base ]] &&
     ! diff <(tables_of "$work/plain") <(tables_of "$work/restored") >"$work/log/$key.diff"; then
    echo "the restored tables are not those of pg_basebackup" >>"$work/log/$key.diff"
    note_failure "$key" "$work/log/$key.diff"
  fi
}

pgbackrest_restore() {
  mkdir -m 700 "$work/restored" &&
    "$pgbackrest" --stanza=bench --type=immediate --pg1-path="$work/restored" restore
}

copy_plain() { cp -a "$work/plain" "$work/restored" && sync -f "$work/restored"; }

measure_restores() {
  restore restore.pitr "$bin/pitr-restore" --immediate --yes --target-dir "$work/restored"
  restore restore.pgbackrest pgbackrest_restore
  restore restore.plain copy_plain
  rm -rf "$work/restored"
}
