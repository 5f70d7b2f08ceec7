// What the blocks of all relations' main forks are, by digest, in the data directory of a server
// that is stopped. No thread shares anything.
#pragma once

#include <filesystem>
#include <map>
#include <regex>
#include <vector>

#include "hint_bits.h"
#include "postgres/crc32c.h"
#include "postgres/wal/changed_blocks.h"
#include "support/must.h"
#include "support/test_cluster.h"

namespace pitr::test {

inline constexpr std::size_t kSnapshotBlock = 8192;

// A main fork's file: relation and segment number, and a digest of each block.
using Snapshot = std::map<std::pair<wal::RelationId, std::uint32_t>, std::vector<std::uint64_t>>;

// Of an SP-GiST index, the first page is also a cache of pages with room, which the server changes
// without WAL (spgutils.c, SpGistUpdateMetaPage) and doesn't rely on.
inline bool is_spgist_metapage(ByteView block) {
  return load<std::uint32_t>(block.data() + 24) == 0xBA0BABEE;
}

enum class Hints { kByChecksums, kBySetting, kUnlogged };

inline std::uint64_t digest(MutableByteView block, Hints hints) {
  if (is_spgist_metapage(block)) return 0;
  if (hints == Hints::kUnlogged) clear_hint_bits(block);
  return (std::uint64_t{crc32c(block)} << 32) | crc32c(ByteView(block).subspan(16), 0x12345678);
}

inline void add_directory(Snapshot& snapshot, const Path& directory, std::uint32_t tablespace,
                          std::uint32_t database, Hints hints) {
  static const std::regex kMainFork("([0-9]+)(\\.([0-9]+))?");
  for (const auto& entry : std::filesystem::directory_iterator(directory.native())) {
    const auto name = entry.path().filename().string();
    std::smatch match;
    if (!entry.is_regular_file() || !std::regex_match(name, match, kMainFork)) continue;
    // Unlogged relations are reset from their init forks.
    if (std::filesystem::exists((directory / (match[1].str() + "_init")).native())) continue;
    const wal::RelationId id{tablespace, database,
                             static_cast<std::uint32_t>(std::stoul(match[1]))};
    const auto number = match[3].matched ? static_cast<std::uint32_t>(std::stoul(match[3])) : 0;
    auto bytes = must(read_file(directory / name));
    auto& blocks = snapshot[{id, number}];
    for (std::size_t at = 0; at + kSnapshotBlock <= bytes.size(); at += kSnapshotBlock) {
      blocks.push_back(digest(MutableByteView(bytes).subspan(at, kSnapshotBlock), hints));
    }
  }
}

inline void add_databases(Snapshot& snapshot, const Path& directory, std::uint32_t tablespace,
                          Hints hints) {
  for (const auto& entry : std::filesystem::directory_iterator(directory.native())) {
    const auto name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    add_directory(snapshot, directory / name, tablespace,
                  static_cast<std::uint32_t>(std::stoul(name)), hints);
  }
}

inline Snapshot snapshot_of(const TestCluster& server, Hints hints) {
  Snapshot snapshot;
  const auto& data = server.data_directory();
  add_databases(snapshot, data / "base", 1663, hints);
  add_directory(snapshot, data / "global", 1664, 0, hints);
  for (const auto& entry : std::filesystem::directory_iterator((data / "pg_tblspc").native())) {
    const auto oid = static_cast<std::uint32_t>(std::stoul(entry.path().filename().string()));
    for (const auto& version : std::filesystem::directory_iterator(entry.path())) {
      add_databases(snapshot, version.path().string(), oid, hints);
    }
  }
  return snapshot;
}

}  // namespace pitr::test
