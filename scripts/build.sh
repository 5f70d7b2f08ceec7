#!/bin/bash
# Configures a preset when that is due and builds all of it.
#   scripts/build.sh PRESET [JOBS]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
[[ -f build/$preset/build.ninja ]] || cmake --preset "$preset" >/dev/null
cmake --build "build/$preset" --parallel "${2:-$(nproc)}"
