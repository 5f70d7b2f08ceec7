#!/bin/bash
# Builds every tests/fuzz/*_fuzz.cc with clang and runs each for some seconds. Inputs that were worth
# keeping collect in build/fuzz/corpus/<name>; one that breaks it is written there as crash-...
#   scripts/fuzz.sh [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
names=()
for source in tests/fuzz/*_fuzz.cc; do names+=("$(basename "$source" .cc)"); done
[[ -f build/fuzz/build.ninja ]] || cmake --preset fuzz >/dev/null
cmake --build build/fuzz --parallel "$(nproc)" --target "${names[@]}"
status=0
for name in "${names[@]}"; do
  echo "--- $name for $seconds s"
  mkdir -p "build/fuzz/corpus/$name"
  build/fuzz/tests/fuzz/"$name" -max_total_time="$seconds" -print_final_stats=1 -verbosity=0 \
    -artifact_prefix="build/fuzz/corpus/$name/" "build/fuzz/corpus/$name" || status=1
done
exit "$status"
