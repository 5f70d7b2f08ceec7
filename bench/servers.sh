# The server, the repositories of pitr and of pgBackRest, and pitr's agent. Sourced by
# scripts/bench.sh. Processes are ended by their pid.

pg_bin=${PITR_BENCH_PG_BIN:-/usr/lib/postgresql/15/bin}
pgbackrest=${PITR_BENCH_PGBACKREST:-pgbackrest}
data=$work/data
agent_pid=
agent_peak_kib=0
background_pids=()

export PGHOST=$work PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
export PITR_CONFIG=$work/pitr.yaml PITR_SOCKET=$work/state/agent.sock
export PGBACKREST_CONFIG=$work/pgbackrest.conf

sql() { psql -XAtq -v ON_ERROR_STOP=1 -c "$1"; }

make_server() {  # OPTIONS of its first start
  "$pg_bin/initdb" -k -A trust -U postgres -E UTF8 --no-locale -D "$data" >"$work/log/initdb" 2>&1
  cat >>"$data/postgresql.conf" <<END
listen_addresses = ''
unix_socket_directories = '$work'
shared_buffers = 256MB
max_wal_size = 8GB
checkpoint_timeout = 1h
autovacuum = off
wal_keep_size = 2GB
archive_mode = on
archive_command = 'true'
END
  server_options=${1:-} start_server
}

start_server() {
  "$pg_bin/pg_ctl" -D "$data" -w -t 300 -l "$work/log/server" -o "${server_options:-}" start >/dev/null
}

stop_server() { "$pg_bin/pg_ctl" -D "$data" -w -t 300 -m fast stop >/dev/null; }

# Three fifths pgbench's tables, the rest text of hexadecimal digits that LZ4 hardly shortens.
make_database() {
  local scale=$((size_mb * 3 / 5 / 15)) text_rows=$((size_mb * 2 / 5 * 3450))
  say "making a database of about $size_mb MB"
  pgbench -i -q -s "$((scale > 0 ? scale : 1))" >"$work/log/pgbench" 2>&1
  sql "CREATE TABLE bench_text (id bigint PRIMARY KEY, body text NOT NULL);
       CREATE TABLE bench_commit (id bigserial PRIMARY KEY, note text NOT NULL)"
  insert_text 1 "$text_rows"
  sql "VACUUM FREEZE"
  sql "CHECKPOINT"
  files_to_back_up >"$work/files"
}

# insert_text FIRST LAST
insert_text() {
  sql "INSERT INTO bench_text SELECT i, (SELECT string_agg(md5(i::text || n), '')
         FROM generate_series(1, 8) n) FROM generate_series($1, $2) i"
}

# "size path" of what a backup reads.
files_to_back_up() {
  find "$data" -type f -size +0 ! -path "$data/pg_wal/*" ! -name 'pg_internal.init*' \
    ! -name 'postmaster.*' -printf '%s %p\n' | sort -rn
}

database_line() {
  awk '{bytes += $1} END {printf "%.0f MB in %d files", bytes / 1e6, NR}' "$work/files"
  echo ", data checksums on"
}

# write_pitr_config FILE REPOSITORY CONNECTION SOCKET_DIRECTORY
write_pitr_config() {
  mkdir -p "$4"
  cat >"$1" <<END
repository:
  path: $2
encryption:
  key_file: $work/pitr.key
agent:
  socket: $4/agent.sock
  state_directory: $4/state
schedule: never
clusters:
  main:
    connection: $3
    data_directory: $data
END
}

connection="host=$work port=5432 user=postgres dbname=postgres"

make_pitr() {
  write_pitr_config "$PITR_CONFIG" "$work/pitr" "$connection" "$work/state"
  "$bin/pitr" init >"$work/log/pitr-init" 2>&1 || say "pitr init failed: $(tail -1 "$work/log/pitr-init")"
  start_agent
}

# make_pgbackrest SETTINGS KEY...: with lines of its configuration, and the rows that fail with it
make_pgbackrest() {
  local settings=$1
  shift
  cat >"$PGBACKREST_CONFIG" <<END
[global]
repo1-path=$work/pgbackrest
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=$(head -c 32 /dev/urandom | base64)
repo1-retention-full=9999999
$settings
compress-type=lz4
process-max=2
start-fast=y
log-level-console=warn
log-level-file=off
log-path=$work/log
lock-path=$work/lock
spool-path=$work/spool
[bench]
pg1-path=$data
pg1-socket-path=$work
pg1-user=postgres
END
  attempt "$@" -- "$pgbackrest" --stanza=bench stanza-create || true
}

streams() {  # application name, column and value of pg_stat_replication
  [[ $(sql "SELECT count(*) FROM pg_stat_replication
            WHERE application_name = '$1' AND state = 'streaming' AND $2 = '$3'") == 1 ]]
}

start_agent() {
  "$bin/pitr-agent" >>"$work/log/agent" 2>&1 </dev/null &
  agent_pid=$!
  wait_until 30 streams pitr_main state streaming
}

# Remembers its peak of resident memory over all times that it was started.
stop_agent() {
  [[ -n $agent_pid ]] || return 0
  local peak
  peak=$(awk '/^VmHWM/ {print $2}' "/proc/$agent_pid/status" 2>/dev/null) || true
  ((${peak:-0} <= agent_peak_kib)) || agent_peak_kib=$peak
  kill "$agent_pid" 2>/dev/null || true
  wait "$agent_pid" 2>/dev/null || true
  agent_pid=
}

in_background() {  # LOG COMMAND...; its pid is in $!
  local log=$work/log/$1
  shift
  "$@" >"$log" 2>&1 </dev/null &
  background_pids+=($!)
}

end_background() {
  local pid
  for pid in "${background_pids[@]}"; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  background_pids=()
}

set_server() {  # NAME VALUE
  sql "ALTER SYSTEM SET $1 = '$2'"
  sql "SELECT pg_reload_conf()" >/dev/null
}

# What was started and stored so far goes; samples and logs stay.
clear_away() {
  end_background
  stop_agent
  [[ ! -f $data/postmaster.pid ]] ||
    "$pg_bin/pg_ctl" -D "$data" -w -m immediate stop >/dev/null 2>&1 || true
  find "$work" -mindepth 1 -maxdepth 1 ! -name log ! -name samples -exec rm -rf {} +
}

stop_all() {
  trap - ERR
  set +e
  clear_away
  rm -rf "$work"
}
