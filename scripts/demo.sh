#!/bin/bash
# Watch a dropped table come back: a server of its own, the agent, load, a base backup, more load,
# DROP TABLE, and a restore to the moment before. Everything lives in a temporary directory and is
# gone afterwards. Run by "make demo"; as root it becomes the unprivileged test user.
set -euo pipefail
cd "$(dirname "$0")/.."
if [[ -z ${PITR_DEMO_DIRECTORY:-} ]]; then
  exec scripts/as_test_user.sh bash -c 'PITR_DEMO_DIRECTORY=$TMPDIR exec scripts/demo.sh'
fi

export PATH=$PWD/${PITR_BUILD:-build/release}/bin:/usr/lib/postgresql/15/bin:$PATH
here=$PITR_DEMO_DIRECTORY
port=$((20000 + RANDOM % 10000))
restored_port=$((port + 1))
if [[ -t 1 ]]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi

step() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
run() {  # shows a command as a user would type it, and runs it
  local shown='' word
  for word; do
    [[ $word != *' '* ]] || word="${word%%=*}='${word#*=}'"
    shown+=" $word"
  done
  printf '%s$%s%s\n' "$dim" "$shown" "$plain"
  "$@"
}
sql() { psql -qAtX -h "$here" -p "$port" -U postgres postgres -c "$1"; }
fingerprint() {  # of the table on the server at a port: rows, and a hash over all of them
  psql -qAtX -h "$here" -p "$1" -U postgres postgres -c \
    "SELECT count(*) || ' rows, md5 ' || md5(string_agg(o::text, ',' ORDER BY id)) FROM orders o"
}

agent=
end() {
  [[ -z $agent ]] || kill "$agent" 2>/dev/null || true
  pg_ctl -D "$here/restored" -m immediate stop >/dev/null 2>&1 || true
  pg_ctl -D "$here/data" -m immediate stop >/dev/null 2>&1 || true
}
trap end EXIT

step "1. A PostgreSQL server, as anybody might have one"
initdb -D "$here/data" -U postgres -A trust --data-checksums >/dev/null
cat >>"$here/data/postgresql.conf" <<CONF
port = $port
listen_addresses = ''
unix_socket_directories = '$here'
CONF
pg_ctl -D "$here/data" -l "$here/server.log" -w start >/dev/null
sql "SELECT 'PostgreSQL ' || current_setting('server_version') || ' is up'"

step "2. Two commands: pitr init, and the agent"
export PITR_CONFIG=$here/pitr.yaml
cat >"$PITR_CONFIG" <<YAML
clusters:
  shop:
    connection: host=$here port=$port user=postgres dbname=postgres
    data_directory: $here/data
repository:
  path: $here/repository
encryption:
  key_file: $here/key
agent:
  socket: $here/agent.sock
  state_directory: $here/state
YAML
run pitr init
printf '%s$ pitr-agent &%s\n' "$dim" "$plain"
pitr-agent >"$here/agent.log" 2>&1 &
agent=$!
until { pitr status || true; } 2>/dev/null | grep -q streaming; do sleep 0.2; done

step "3. Load, a base backup, more load"
sql "CREATE TABLE orders(id serial PRIMARY KEY, item text, at timestamptz DEFAULT clock_timestamp())"
sql "INSERT INTO orders(item) SELECT 'order ' || i FROM generate_series(1, 20000) i"
run pitr backup --label before-lunch
for _ in 1 2 3 4 5; do
  sql "INSERT INTO orders(item) SELECT 'late order ' || i FROM generate_series(1, 1000) i"
done
before=$(fingerprint "$port")
echo "orders: $before"

step "4. The accident"
sleep 0.2
moment=$(sql "SELECT now()")
echo "It is $moment. A moment later:"
sleep 0.2
printf '%s=# DROP TABLE orders;%s\n' "$dim" "$plain"
sql "DROP TABLE orders"
sql "CREATE TABLE life_goes_on AS SELECT generate_series(1, 1000) i"
run pitr status || true  # its exit code is for scripts that watch

step "5. Back to the moment before it"
run pitr-restore --timestamp="$moment" --target-dir="$here/restored" --start --port="$restored_port"

step "6. Proof"
after=$(fingerprint "$restored_port")
echo "before the accident: $before"
echo "restored:            $after"
[[ $before == "$after" ]] || { echo "THE ROWS DIFFER"; exit 1; }
printf '%sEvery row is back.%s\n' "$bold" "$plain"
