#!/bin/bash
# Checks every #include "folder/..." below src/ against the layer table (docs/architecture.md), that
# C libraries stay in the folder that wraps them, and that no file is a util, helper or manager.
#
#   scripts/check_layers.sh [SOURCE_DIRECTORY]     (src)
#   scripts/check_layers.sh --self-test            proves that each rule finds its breach
set -euo pipefail

table=$(cd "$(dirname "$0")/.." && pwd)/docs/architecture.md

# "folder: folders that it may include" for each row of the table.
layers() {
  awk -F '|' '
    /^## / { in_table = ($0 == "## Layers") }
    in_table && /^\| `[a-z]+\/`/ {
      name = $2; gsub(/[` \/]/, "", name)
      list = $(NF - 1)
      if (list ~ /all above/) list = all
      if (list ~ /nothing/) list = ""
      print name ":" list
      all = all " " name
    }' "$table"
}

check() {
  (cd "$1" && find . -type f \( -name '*.h' -o -name '*.cc' \) -printf '%P\n' | sort |
    xargs -r awk -v "layers=$(layers | tr '\n' ';')" '
    BEGIN {
      rows = split(layers, row, ";")
      for (i = 1; i < rows; i++) { split(row[i], part, ":"); may[part[1]] = part[2] }
      if (!("common" in may)) { print "no layer table found"; exit bad = 1 }
      # Libraries: header pattern, then the folders (or files, by prefix) that may include it.
      wrapped["^(libpq-fe|libpq-events|postgres_ext)\\.h$"] = "postgres/"
      wrapped["^curl/"] = "notify/"
      wrapped["^(openssl/|lz4|zstd)"] = "codec/ http/tls_ storage/s3/request_signer"
    }
    function fail(message) { printf "%s:%d: %s\n", FILENAME, FNR, message; bad = 1 }
    FNR == 1 {
      layer = FILENAME; sub("/.*", "", layer)
      if (index(FILENAME, "/") && !(layer in may)) fail("unknown folder " layer "/")
      base = FILENAME; sub(".*/", "", base)
      if (tolower(base) ~ /(^|[_.-])(utils?|helpers?|manager)([_.-]|$)/)
        fail("a name that says nothing: " base)
    }
    match($0, /^[ \t]*#[ \t]*include[ \t]*[<"]/) {
      header = substr($0, RSTART + RLENGTH); sub(/[>"].*/, "", header)
      first = header; sub("/.*", "", first)
      if (substr($0, RSTART + RLENGTH - 1, 1) == "\"" && first in may && first != layer &&
          index(" " may[layer] " ", " " first " ") == 0)
        fail(layer "/ may not include " header)
      if (FILENAME ~ /^programs\/small\// && first in may && first != "programs")
        fail("the small programs include nothing of the layers: " header)
      for (pattern in wrapped) {
        if (header !~ pattern) continue
        allowed = 0
        count = split(wrapped[pattern], places, " ")
        for (i = 1; i <= count; i++) if (index(FILENAME, places[i]) == 1) allowed = 1
        if (!allowed) fail(header " belongs into " wrapped[pattern])
      }
    }
    END { exit bad }')
}

self_test() {
  local failed=0
  tree=$(mktemp -d)
  trap 'rm -rf "$tree"' EXIT
  breach() {  # file, include line
    rm -rf "$tree/src"
    mkdir -p "$tree/src/$(dirname "$1")"
    printf '%s\n' "$2" >"$tree/src/$1"
    if (check "$tree/src") >"$tree/out" 2>&1; then
      echo "not found: $1: $2"
      failed=1
    fi
  }
  breach common/a.h '#include "postgres/lsn.h"'
  breach postgres/wal/a.cc '#include "codec/frame.h"'
  breach storage/local/a.cc '#include "repository/layout.h"'
  breach walreceiver/a.cc '#include "basebackup/base_backup.h"'
  breach walreceiver/a.cc '#  include "storage/storage.h"'
  breach config/a.cc '#include "http/client.h"'
  breach agent/a.cc '#include "programs/a.h"'
  breach programs/small/pitr_archive.cc '#include "common/file.h"'
  breach restore/a.cc '#include <libpq-fe.h>'
  breach repository/a.cc '#include <openssl/evp.h>'
  breach repository/a.cc '#include <lz4.h>'
  breach basebackup/a.cc '#include "zstd.h"'
  breach http/a.cc '#include <curl/curl.h>'
  breach agent/a.cc '#include <curl/curl.h>'
  breach notify/a.cc '#include "agent/agent.h"'
  breach repository/file_utils.cc ''
  breach agent/job_manager.h ''
  breach surprise/a.cc ''
  rm -rf "$tree/src"
  mkdir -p "$tree/src/agent" "$tree/src/postgres" "$tree/src/codec" "$tree/src/notify"
  echo '#include "repository/layout.h"' >"$tree/src/agent/a.cc"
  echo '#include <libpq-fe.h>' >"$tree/src/postgres/a.cc"
  echo '#include <openssl/evp.h>' >"$tree/src/codec/a.cc"
  echo '#include <curl/curl.h>' >"$tree/src/notify/a.cc"
  check "$tree/src" || { echo "a correct tree was refused"; failed=1; }
  [[ $failed == 0 ]] && echo "check_layers.sh finds every breach"
  return "$failed"
}

if [[ ${1:-} == --self-test ]]; then
  self_test
else
  check "${1:-$(dirname "$0")/../src}"
fi
