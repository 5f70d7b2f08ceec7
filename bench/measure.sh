# Samples and the table made of them. Sourced by scripts/bench.sh.
#
# A sample is a line of $work/samples: "key<TAB>number", in microseconds or bytes, or
# "key<TAB>!<TAB>why it failed". bench/rows.txt says which key makes which row.

samples=$work/samples
: >"$samples"

say() { echo "bench: $*" >&2; }

# note KEY NUMBER
note() { printf '%s\t%s\n' "$1" "$2" >>"$samples"; }

# note_failure KEY LOG_FILE: with the last line that the tool wrote
note_failure() {
  local why
  why=$(grep -v '^ *$' "$2" 2>/dev/null | tail -1 | tr -s '\t ' ' ' | cut -c1-160) || true
  say "$1 FAILED: ${why:-no message}"
  printf '%s\t!\t%s\n' "$1" "${why:-no message}" >>"$samples"
}

# measure KEY COMMAND...: how long the command takes. Where it fails a failure is noted, and the
# status is 1.
measure() {
  local key=$1 log=$work/log/$1 begin end
  shift
  begin=${EPOCHREALTIME/./}
  if "$@" >"$log" 2>&1 </dev/null; then
    end=${EPOCHREALTIME/./}
    note "$key" $((end - begin))
    return 0
  fi
  note_failure "$key" "$log"
  return 1
}

# attempt KEY... -- COMMAND...: unmeasured preparation; where it fails, so do the rows named.
attempt() {
  local keys=() key
  while [[ $1 != -- ]]; do
    keys+=("$1")
    shift
  done
  shift
  "$@" >"$work/log/attempt" 2>&1 </dev/null && return 0
  for key in "${keys[@]}"; do note_failure "$key" "$work/log/attempt"; done
  return 1
}

# wait_until SECONDS COMMAND...: until the command succeeds
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS >= deadline)); then
      echo "this did not come true: $*" >&2
      return 1
    fi
    sleep 0.05
  done
}

# What was written before shall not be paid for by what is measured next.
settle() { sync -f "$work"; }

# The same start for all that write much. A virtual machine may give pages that are free for two
# seconds back to its host, and whoever writes next waits for them (0.7 GB/s instead of 2 and more
# here): as much memory as the page cache may want has been in use a moment ago.
settle_memory() {  # MB that will be written; without it, as much as the database
  local memory_mb
  memory_mb=$(awk -v wanted="${1:-$size_mb}" '/^MemAvailable/ {
    half = $2 / 1024 / 2; printf "%d", half < wanted * 1.2 ? half : wanted * 1.2 }' /proc/meminfo)
  settle
  head -c "${memory_mb}M" /dev/zero | tail -c "${memory_mb}M" >/dev/null
}

# As if these files had not been read or written for long: the page cache holds nothing of them.
forget_files() {  # DIRECTORY...
  find "$@" -type f -size +0 -exec dd if={} iflag=nocache count=0 status=none \; 2>/dev/null || true
}

bytes_in() { du -s --apparent-size --block-size=1 "$@" | awk '{sum += $1} END {printf "%.0f\n", sum}'; }

machine_line() {
  local model memory fs
  model=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -1)
  memory=$(awk '/^MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo)
  fs=$(findmnt -no FSTYPE -T "$work" || stat -f -c %T "$work")
  echo "$(nproc) cores (${model:-$(uname -m)}), $memory memory, $fs, Linux $(uname -r)."
}

tool_versions() {
  echo "PostgreSQL $("$pg_bin/postgres" --version | awk '{print $3}')," \
    "$("$pgbackrest" version 2>/dev/null || echo "no pgBackRest")," \
    "lz4 $(lz4 --version 2>/dev/null | sed -n 's/.*v\([0-9.]*\).*/\1/p')."
}

# print_table ROWS_FILE
print_table() { awk -f bench/table.awk "$1" "$samples"; }
