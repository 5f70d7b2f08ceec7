#!/bin/bash
# Configures a preset when that is due and builds all of it, or only one target.
#   scripts/build.sh PRESET [JOBS [TARGET]]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
[[ -f build/$preset/build.ninja ]] || cmake --preset "$preset" >/dev/null
cmake --build "build/$preset" --parallel "${2:-$(nproc)}" ${3:+--target "$3"}
