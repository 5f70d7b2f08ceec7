#!/bin/bash
# Runs a built preset's tests by CTest, as the unprivileged test user when root. Arguments after the
# preset are CTest's own.
#
#   scripts/run_tests.sh PRESET [CTEST_ARGUMENT]...
#
# Tests that need root (they mount, or give files away) are run once more as root. CTest lists at its end what was
# skipped; a test whose server or program is missing fails.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
build=build/$preset
jobs=$(nproc)
# Servers, load and programs of one test keep more than one core busy.
[[ $jobs -le 4 ]] || jobs=4
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}

status=0
scripts/as_test_user.sh --writable "$build/Testing" \
  ctest --test-dir "$build" --no-tests=error --output-on-failure --parallel "$jobs" "$@" || status=$?
if [[ $(id -u) -eq 0 && $* != *-L\ * ]]; then
  echo "--- the tests that need root ---"
  ctest --test-dir "$build" --no-tests=error --output-on-failure -R '^(MountedDirectoryTest|RootsStorageTest)' || status=$?
fi
exit "$status"
