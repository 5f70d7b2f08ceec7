#!/bin/bash
# Runs a command as an unprivileged user in a private temporary directory: PostgreSQL refuses to run
# as root. As root this is the system user pitr-test, made when it is not there; otherwise it is
# whoever calls. The temporary directory ($TMPDIR) is removed afterwards.
#
#   scripts/as_test_user.sh [--writable DIRECTORY]... COMMAND [ARGUMENT]...
#
# --writable makes a directory (and what is in it) that user's own.
# A checkout below a directory that the user may not enter (/root) is shown to the command at the
# same path in a mount namespace of its own; nobody's permissions are changed.
set -euo pipefail

user=pitr-test
writable=()
while [[ ${1:-} == --writable ]]; do
  writable+=("$2")
  shift 2
done
[[ $# -gt 0 ]] || { echo "usage: $0 [--writable DIRECTORY]... COMMAND..." >&2; exit 2; }
checkout=$(cd "$(dirname "$0")/.." && pwd -P)

unprivileged() { setpriv --reuid="$user" --regid="$user" --init-groups "$@"; }

make_user() {
  getent passwd "$user" >/dev/null && return
  useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin \
    "$user" || getent passwd "$user" >/dev/null  # somebody else may have been quicker
}

# The topmost directory on the way to the given one that the user may not enter, or nothing.
blocked_directory() {
  local way=$1 blocked=
  while [[ $way != / ]]; do
    unprivileged test -x "$way" || blocked=$way
    way=$(dirname "$way")
  done
  echo "$blocked"
}

# In a mount namespace: an empty directory over the blocked one, and the checkout in it again.
open_the_way='
  set -e
  blocked=$1 checkout=$2 stash=$3
  shift 3
  mount --bind "$checkout" "$stash"
  mount -t tmpfs -o mode=755 tmpfs "$blocked"
  (umask 022 && mkdir -p "$checkout")
  mount --bind "$stash" "$checkout"
  umount "$stash"
  cd "$checkout"
  exec "$@"'

for directory in "${writable[@]}"; do mkdir -p "$directory"; done
if [[ $(id -u) -ne 0 ]]; then
  temporary=$(mktemp -d "${TMPDIR:-/tmp}/pitr-test.XXXXXX")
  trap 'rm -rf "$temporary"' EXIT
  env TMPDIR="$temporary" PITR_TEST_TEMPLATES="$temporary/templates" "$@"
  exit
fi

make_user
temporary_in=${TMPDIR:-/tmp}
[[ -z $(blocked_directory "$(cd "$temporary_in" && pwd -P)") ]] || temporary_in=/tmp
temporary=$(mktemp -d "$temporary_in/pitr-test.XXXXXX")
trap 'rm -rf "$temporary"' EXIT
chown "$user:" "$temporary"
for directory in "${writable[@]}"; do chown -R "$user:" "$directory"; done

namespace=()
blocked=$(blocked_directory "$checkout")
if [[ -n $blocked ]]; then
  mkdir "$temporary/stash"
  namespace=(unshare --mount --propagation private
             bash -c "$open_the_way" open_the_way "$blocked" "$checkout" "$temporary/stash")
  if [[ $blocked == "$checkout" ]] || ! "${namespace[@]}" setpriv --reuid="$user" --regid="$user" \
      --init-groups test -r "$checkout/scripts" 2>/dev/null; then
    echo "$0: the user $user may not enter $blocked." >&2
    echo "Put the checkout where everybody may read it, or allow it: chmod -R o+rX '$blocked'" >&2
    exit 1
  fi
fi
"${namespace[@]}" setpriv --reuid="$user" --regid="$user" --init-groups \
  env TMPDIR="$temporary" PITR_TEST_TEMPLATES="$temporary/templates" \
  HOME="$temporary" USER="$user" LOGNAME="$user" "$@"
