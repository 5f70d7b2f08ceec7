#!/bin/bash
# Runs a command as an unprivileged user in a private temporary directory: PostgreSQL refuses to run
# as root. As root this is the system user pitr-test, made when it is not there; otherwise it is
# whoever calls. The temporary directory ($TMPDIR) is removed afterwards.
#
#   scripts/as_test_user.sh [--writable DIRECTORY]... COMMAND [ARGUMENT]...
#
# --writable makes a directory (and what is in it) that user's own.
set -euo pipefail

user=pitr-test
writable=()
while [[ ${1:-} == --writable ]]; do
  writable+=("$2")
  shift 2
done
[[ $# -gt 0 ]] || { echo "usage: $0 [--writable DIRECTORY]... COMMAND..." >&2; exit 2; }

temporary=$(mktemp -d "${TMPDIR:-/tmp}/pitr-test.XXXXXX")
trap 'rm -rf "$temporary"' EXIT
environment=(TMPDIR="$temporary" PITR_TEST_TEMPLATES="$temporary/templates")
for directory in "${writable[@]}"; do mkdir -p "$directory"; done

if [[ $(id -u) -ne 0 ]]; then
  env "${environment[@]}" "$@"
  exit
fi

if ! getent passwd "$user" >/dev/null; then
  useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin \
    "$user" || getent passwd "$user" >/dev/null  # somebody else may have been quicker
fi
chown "$user:" "$temporary"
for directory in "${writable[@]}"; do chown -R "$user:" "$directory"; done

as_user=(setpriv --reuid="$user" --regid="$user" --init-groups)
# The user must be able to reach this checkout, and the way to it.
directory=$PWD
while [[ $directory != / ]]; do
  if ! "${as_user[@]}" test -x "$directory" -a -r "$PWD"; then
    echo "$0: the user $user may not enter $directory." >&2
    echo "Put the checkout where everybody may read it, or allow it: chmod o+rx '$directory'" >&2
    exit 1
  fi
  directory=$(dirname "$directory")
done
"${as_user[@]}" env "${environment[@]}" HOME="$temporary" USER="$user" LOGNAME="$user" "$@"
