#!/bin/bash
# Format, layers, sizes, and clang-tidy: of the files that differ from the branch that this one
# started from (main, else the commit before), or with --all of all.
set -euo pipefail
cd "$(dirname "$0")/.."

status=0
step() { echo "--- $1"; shift; "$@" || status=1; }
# Tests without what takes most of the time; they get GoogleTest by the precompiled header.
tidy_one() {
  local for_tests=('--checks=-clang-analyzer-*' --extra-arg=-includegmock/gmock.h)
  [[ $1 == tests/* ]] || for_tests=()
  clang-tidy-19 --quiet -p build/tidy "${for_tests[@]}" "$1" 2>/dev/null || { echo "^ $1"; return 1; }
}
export -f tidy_one
clang_tidy() { printf '%s\0' "$@" | xargs -0 -n 1 -P "$(nproc)" bash -c 'tidy_one "$0"'; }

mapfile -t all < <(find src tests bench -name '*.cc' -o -name '*.h' | sort)
if [[ ${1:-} == --all ]]; then
  files=("${all[@]}")
else
  base=$(git merge-base HEAD main 2>/dev/null || true)
  [[ -n $base && $base != $(git rev-parse HEAD) ]] || base=HEAD~1
  mapfile -t files < <({ git diff --name-only --diff-filter=d "$base" -- src tests bench
                         git ls-files --others --exclude-standard -- src tests bench; } |
                       grep -E '\.(cc|h)$' | sort -u)
fi

step "format" clang-format-19 --dry-run --Werror "${all[@]}"
step "layers" scripts/check_layers.sh --self-test
step "layers of src/" scripts/check_layers.sh
step "sizes" scripts/check_style.sh --self-test
step "sizes of all files" scripts/check_style.sh

# Its own compile commands: clang does not read GCC's precompiled headers.
cmake -S . -B build/tidy -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_COMPILER=clang++-19 \
  -DCMAKE_C_COMPILER=clang-19 -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON >/dev/null
mapfile -t sources < <(printf '%s\n' "${files[@]}" | grep '\.cc$' || true)
if [[ ${#sources[@]} -gt 0 ]]; then
  step "clang-tidy of ${#sources[@]} files" clang_tidy "${sources[@]}"
fi
exit "$status"
