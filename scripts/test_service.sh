#!/bin/bash
# Runs the unit of an installed package under a real systemd, as an operator would: started, killed,
# hanging, reloaded, upgraded, stopped. As root.
#   scripts/test_service.sh ROOT
# ROOT: a Debian with systemd, PostgreSQL 15 with a cluster "main", the package, and the package's
# file as /srv/pitr.deb; nothing runs there.
set -Eeuo pipefail
cd "$(dirname "$0")/.."
root=$(realpath "$1")
started=$SECONDS

# Before the boot, which starts PostgreSQL.
cat >>"$root/etc/postgresql/15/main/postgresql.conf" <<'SETTINGS'
archive_mode = on
archive_command = '/usr/bin/pitr-archive %p'
SETTINGS
scripts/boot_systemd.sh "$root" >"$root/var/log/boot.log" 2>&1 &
boot=$!
init=

step() { echo "--- $*"; }
fail() {
  echo "FAILED: $*" >&2
  within journalctl --no-pager -n 40 -u pitr-agent -u postgresql@15-main >&2 || true
  exit 1
}
within() {
  nsenter -t "$init" --mount --pid --uts --ipc --cgroup \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"
}
as_postgres() { within runuser -u postgres -- "$@"; }
sql() { as_postgres psql -XAtqc "$1"; }
property() { within systemctl show --value -p "$1" pitr-agent; }
wait_until() {  # SECONDS COMMAND...
  local until=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < until)) || fail "this did not come true: $*"
    sleep 0.2
  done
}
journal_says() { within journalctl --no-pager -o cat -u pitr-agent | grep -q "$1"; }
is_active() { [[ $(property ActiveState) == active ]]; }
is_another() { is_active && [[ $(property MainPID) != "$1" ]]; }
end() {
  local status=$?
  kill "$boot" 2>/dev/null || true
  wait "$boot" || true
  exit "$status"
}
trap end EXIT
trap 'fail "line $LINENO: $BASH_COMMAND"' ERR

has_booted() {
  init=$(pgrep -P "$(pgrep -P "$boot" unshare)" 2>/dev/null) || return 1
  within systemctl is-system-running 2>/dev/null | grep -Eqx 'running|degraded'
}
step "systemd starts"
wait_until 60 has_booted

step "PostgreSQL and the agent start; a backup, archive_command, a check"
within systemctl start postgresql@15-main
as_postgres pitr init >/dev/null
within systemctl enable --now pitr-agent
[[ $(property User) == postgres && $(property StatusErrno) == 0 ]] || fail "the unit is not itself"
as_postgres pitr backup
sql 'DROP TABLE IF EXISTS served'
sql 'CREATE TABLE served AS SELECT generate_series(1, 1000) AS n'
sql 'SELECT pg_switch_wal()' >/dev/null
has_archived() { [[ $(sql 'SELECT archived_count > 0 AND failed_count = 0 FROM pg_stat_archiver') == t ]]; }
wait_until 30 has_archived
as_postgres pitr status || true
as_postgres pitr check || true

step "reloaded, it goes on"
main=$(property MainPID)
within systemctl reload pitr-agent
wait_until 10 journal_says 'configuration: nothing changed'
[[ $(property MainPID) == "$main" ]] || fail "a reload started it anew"

step "killed, it comes back"
kill_main() { within kill "-$1" "$(property MainPID)"; }
kill_main KILL
wait_until 30 is_another "$main"

step "hanging, it is ended and comes back; working, the watchdog lets it be"
mkdir -p "$root/etc/systemd/system/pitr-agent.service.d"
printf '[Service]\nWatchdogSec=4\n' >"$root/etc/systemd/system/pitr-agent.service.d/watchdog.conf"
within systemctl daemon-reload
within systemctl restart pitr-agent
main=$(property MainPID)
sleep 12
[[ $(property MainPID) == "$main" ]] || fail "the watchdog ended it though it worked"
kill_main STOP
wait_until 60 is_another "$main"
journal_says 'Watchdog timeout' || fail "it was not the watchdog"

step "upgraded, it runs the new program"
main=$(property MainPID)
within dpkg -i /srv/pitr.deb >/dev/null
wait_until 30 is_another "$main"
as_postgres pitr backup --label after-all-of-this
as_postgres pitr verify | tail -3

step "stopped, it ends well"
before=$SECONDS
within systemctl stop pitr-agent
((SECONDS - before <= 15)) || fail "it took $((SECONDS - before)) s to end"
[[ $(property Result) == success && $(property ExecMainStatus) == 0 ]] || fail "it ended badly"

step "how closed it is"
within systemd-analyze security --no-pager --threshold=40 pitr-agent | tail -1

step "what was written under systemd comes back"
within systemctl stop postgresql@15-main
as_postgres pitr-restore --latest --target-dir /tmp/served --start --port 5498 \
  --set unix_socket_directories=/tmp --set listen_addresses= >/dev/null
rows=$(as_postgres psql -h /tmp -p 5498 -XAtc 'SELECT count(*), sum(n) FROM served')
[[ $rows == '1000|500500' ]] || fail "the restored table has $rows"
as_postgres /usr/lib/postgresql/15/bin/pg_ctl -D /tmp/served -m immediate stop >/dev/null
rm "$root/etc/systemd/system/pitr-agent.service.d/watchdog.conf"
echo "the unit works under systemd ($((SECONDS - started)) s)"
