#!/bin/bash
# Size limits that clang-format does not know: a file of more than 400 lines or a function of more
# than 90 is reported, and the exit status is 1. Functions are told by the layout that clang-format
# gives them: a body ends with "}" in the column where its declaration began.
#
#   scripts/check_style.sh [FILE_OR_DIRECTORY]...   (src tests bench)
#   scripts/check_style.sh --self-test
set -euo pipefail

check() {
  find "$@" -type f \( -name '*.h' -o -name '*.cc' \) | sort | xargs -r awk '
    function report(file, line, message) { printf "%s:%d: %s\n", file, line, message; bad = 1 }
    function end_of_file() {
      if (lines > 400) report(name, lines, "a file of " lines " lines, more than 400")
    }
    FNR == 1 { end_of_file(); name = FILENAME; delete start }
    { lines = FNR }
    # Free functions stand in column 0, members in column 2. A block inside a function does too,
    # and is shorter.
    match($0, /^(  )?[A-Za-z_~\[]/) {
      column = RLENGTH - 1
      start[column] = ($0 ~ /^ *(namespace|class|struct|enum|union|extern) /) ? 0 : FNR
    }
    match($0, /^(  )?}( *\/\/.*)?$/) {
      column = index($0, "}") - 1
      length_lines = FNR - start[column] + 1
      if (start[column] && length_lines > 90)
        report(FILENAME, start[column], "a function of " length_lines " lines, more than 90")
      start[column] = 0
    }
    END { end_of_file(); exit bad }'
}

self_test() {
  local failed=0
  tree=$(mktemp -d)
  trap 'rm -rf "$tree"' EXIT
  body() { for ((i = 0; i < $1; i++)); do echo "${2:-  }x();"; done; }
  expect() {  # status, what
    local status=0
    check "$tree/a.cc" >"$tree/out" || status=1
    if [[ $status != "$1" ]]; then
      echo "wrong answer for $2: $(cat "$tree/out")"
      failed=1
    fi
  }
  { echo "int f() {"; body 95; echo "}"; } >"$tree/a.cc"; expect 1 "a long function"
  { echo "Result<int> A::f(int a,"; echo "                 int b) const {"; body 95; echo "}"; } \
    >"$tree/a.cc"; expect 1 "a long function with a long head"
  { echo "class A {"; echo "  int f() {"; body 95 "    "; echo "  }"; echo "};"; } >"$tree/a.cc"
  expect 1 "a long member"
  { echo "TEST(A, B) {"; body 95; echo "}"; } >"$tree/a.cc"; expect 1 "a long test"
  { echo "namespace {"; for ((n = 0; n < 4; n++)); do echo "int f$n() {"; body 60; echo "}"; echo; done
    echo "}"; } >"$tree/a.cc"; expect 0 "short functions"
  body 401 "" >"$tree/a.cc"; expect 1 "a long file"
  [[ $failed == 0 ]] && echo "check_style.sh finds what is too long"
  return "$failed"
}

cd "$(dirname "$0")/.."
if [[ ${1:-} == --self-test ]]; then
  self_test
else
  [[ $# -gt 0 ]] || set -- src tests bench
  check "$@"
fi
