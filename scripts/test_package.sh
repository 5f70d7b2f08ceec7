#!/bin/bash
# Installs a package in a fresh Debian 12 (debootstrap), works with it as an operator would, with and
# without systemd, removes and purges it, and looks at what is left. As root; takes some minutes and
# 1 GB.
#   scripts/test_package.sh PACKAGE
set -euo pipefail
package=$(realpath "$1")
mirror=${PITR_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' |
  grep -v security | head -1)}
root=$(mktemp -d)
chmod 0755 "$root"

step() { echo "--- $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"; }
as_postgres() { inside runuser -u postgres -- "$@"; }
clean_up() {
  local status=$?
  if [[ -f $root/tmp/agent.pid ]]; then kill "$(<"$root/tmp/agent.pid")" 2>/dev/null || true; fi
  inside runuser -u postgres -- /usr/lib/postgresql/15/bin/pg_ctl -D /var/lib/postgresql/15/main \
    -m immediate stop >/dev/null 2>&1 || true
  umount "$root/proc" 2>/dev/null || true
  rm -rf --one-file-system "$root"
  exit "$status"
}
trap clean_up EXIT

step "a fresh Debian 12"
debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,procps bookworm "$root" "$mirror" >"$root.log" 2>&1 ||
  { tail -5 "$root.log"; fail "debootstrap"; }
rm -f "$root.log"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"  # nothing starts by itself
chmod 0755 "$root/usr/sbin/policy-rc.d"
for file in /etc/apt/apt.conf.d/*proxy* /etc/apt/apt.conf; do
  [[ ! -f $file ]] || cp "$file" "$root/etc/apt/apt.conf.d/"
done
mount -t proc proc "$root/proc"
install -d -m 1777 "$root/dev/shm"
inside apt-get -qq update
step "install"
cp "$package" "$root/srv/pitr.deb"
inside apt-get -qq -o Dpkg::Use-Pty=0 install --no-install-recommends -y /srv/pitr.deb postgresql-15 \
  >"$root/tmp/install.log" 2>&1 || { tail -20 "$root/tmp/install.log"; fail "install"; }
grep -q '^pitr: next' "$root/tmp/install.log" || fail "the package does not say what comes next"
inside pitr --help >/dev/null

step "work"
[[ -d $root/var/lib/postgresql/15/main ]] || inside pg_createcluster 15 main >/dev/null
echo "listen_addresses = ''" >>"$root/etc/postgresql/15/main/postgresql.conf"
inside install -d -o postgres -g postgres /run/pitr /var/run/postgresql
as_postgres /usr/bin/pg_ctlcluster 15 main start
as_postgres pitr init
as_postgres sh -c 'pitr-agent >/tmp/agent.log 2>&1 & echo $! >/tmp/agent.pid'
for _ in $(seq 100); do [[ ! -S $root/run/pitr/agent.sock ]] || break; sleep 0.1; done
as_postgres psql -qc 'CREATE TABLE t AS SELECT generate_series(1, 1000) AS n'
as_postgres pitr backup
as_postgres pitr list
as_postgres pitr check || true
as_postgres pitr-restore --latest --target-dir /tmp/restored --start --port 5499 \
  --set unix_socket_directories=/tmp --set listen_addresses= --action promote
rows=$(as_postgres psql -h /tmp -p 5499 -Atc 'SELECT count(*), sum(n) FROM t')
[[ $rows == '1000|500500' ]] || fail "the restored table has $rows"
as_postgres /usr/lib/postgresql/15/bin/pg_ctl -D /tmp/restored -m immediate stop >/dev/null
kill "$(<"$root/tmp/agent.pid")"
for _ in $(seq 200); do [[ -S $root/run/pitr/agent.sock ]] || break; sleep 0.1; done
[[ ! -S $root/run/pitr/agent.sock ]] || fail "the agent did not end"
rm "$root/tmp/agent.pid"

step "as a service"
as_postgres /usr/bin/pg_ctlcluster 15 main stop -m fast
"$(dirname "$0")/test_service.sh" "$root"

step "install again, as an upgrade does"
inside dpkg -i /srv/pitr.deb >/dev/null
step "remove"
inside apt-get -qq -y remove pitr >/dev/null
[[ ! -e $root/usr/bin/pitr && ! -e $root/lib/systemd/system/pitr-agent.service ]] ||
  fail "programs or the unit are left"
[[ -f $root/etc/pitr/pitr.yaml ]] || fail "the configuration went with the program"
step "purge"
inside apt-get -qq -y purge pitr >"$root/tmp/purge.log"
[[ ! -e $root/etc/pitr/pitr.yaml ]] || fail "the configuration is left after a purge"
[[ -f $root/etc/pitr/key && -f $root/var/lib/pitr/repository/repository.json ]] ||
  fail "a purge removed backups or the key"
grep -q 'stays' "$root/tmp/purge.log" || fail "a purge does not say what stays"
echo "the package installs, works, and goes; backups and key stay"
