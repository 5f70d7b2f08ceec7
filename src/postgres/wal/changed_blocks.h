// Which blocks of which relations a range of WAL changed: what a backup must read again, and what
// an in-place restore must put back. Main forks only; every other fork is taken whole (visibility
// maps and free space maps change without WAL).
//
// Never misses a change that is in the WAL; may name blocks that did not change. What no WAL tells
// is up to the caller: blocks behind the end that a file had in the older copy are always to be
// read (extension isn't logged), and hint bits differ where nothing logs them (ChangesInRange).
//
// Merging is a union: its order does not matter. Values only; one thread at a time, or many
// readers.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/bytes.h"
#include "postgres/lsn.h"
#include "postgres/wal/block_set.h"
#include "postgres/wal/relation_id.h"

namespace pitr::wal {

// Where in the range nothing can be said about what changed, and why.
struct Distrust {
  Lsn first;  // the records that say so lie in [first, last]
  Lsn last;
  std::string reason;  // of the first one
  friend bool operator==(const Distrust&, const Distrust&) = default;
};

class ChangedBlocks {
 public:
  static constexpr std::uint32_t kNoLimit = 0xFFFFFFFF;       // InvalidBlockNumber
  static constexpr std::uint32_t kBlocksPerSegment = 131072;  // 1 GiB files of 8 KiB blocks
  static constexpr std::size_t kMaxReasonBytes = 500;

  void mark(const RelationId& relation, std::uint32_t block);
  void mark(const RelationId& relation, BlockRun run);
  // Created, truncated or dropped: nothing older counts from `block` on, all of it is to be read.
  // Only ever lowered; takes the marks at or above it in.
  void limit(const RelationId& relation, std::uint32_t block);
  // CREATE DATABASE, DROP DATABASE, ALTER DATABASE SET TABLESPACE: everything in a directory.
  void rewrite_database(std::uint32_t tablespace, std::uint32_t database);
  // A record at `at` after which nothing can be said. The earliest reason stays.
  void distrust(Lsn at, std::string reason);

  void merge(const ChangedBlocks& other);

  bool empty() const { return relations_.empty() && databases_.empty() && !distrust_; }
  const std::optional<Distrust>& distrusted() const { return distrust_; }
  // For callers that know that it lies outside what they ask about.
  void forget_distrust() { distrust_.reset(); }

  // What to read of one segment file (0, 1, ...) of a relation's main fork: all of it, or runs of
  // blocks counted from the segment's start, ascending and disjoint. They may reach behind the
  // file's end. Neither: nothing of it changed.
  struct Wanted {
    bool whole = false;
    std::vector<BlockRun> runs;
    bool nothing() const { return !whole && runs.empty(); }
    friend bool operator==(const Wanted&, const Wanted&) = default;
  };
  Wanted wanted(const RelationId& relation, std::uint32_t segment_number,
                std::uint32_t blocks_per_segment = kBlocksPerSegment) const;
  bool contains(const RelationId& relation, std::uint32_t block) const;

  // The relations that anything is said of, ascending, without those of rewritten databases only.
  std::vector<RelationId> relations() const;
  // kNoLimit where there is none.
  std::uint32_t limit_of(const RelationId& relation) const;
  // Ascending pairs of tablespace and database.
  const std::set<std::pair<std::uint32_t, std::uint32_t>>& rewritten_databases() const {
    return databases_;
  }
  bool is_rewritten(const RelationId& relation) const {
    return databases_.contains({relation.tablespace, relation.database});
  }
  std::uint64_t marked_blocks() const;

  // Bytes as docs/repository-format.md, "Changed blocks", says. base: LSNs are differences to it.
  void encode(ByteWriter& out, Lsn base) const;
  struct Limits {
    std::uint64_t relations = 0;  // with databases
    std::uint64_t blocks = 0;
    // What this much WAL can name at most.
    static Limits of_wal(std::uint64_t wal_bytes);
  };
  // kCorrupt for anything that encode() does not write.
  static Result<ChangedBlocks> decode(ByteReader& in, Lsn base, const Limits& limits);

 private:
  struct Relation {
    std::uint32_t limit = kNoLimit;
    BlockSet blocks;  // all below limit
  };
  struct Hash {
    std::size_t operator()(const RelationId& id) const {
      const auto high = (std::uint64_t{id.tablespace} << 32) ^ id.database;
      return (high * 0x9E3779B97F4A7C15u ^ id.number) * 0xD6E8FEB86659FD93u >> 20;
    }
  };
  using Relations = std::unordered_map<RelationId, Relation, Hash>;
  // The relations marked lately. Belongs to one map: neither copied nor moved with it.
  struct Lately {
    std::array<Relations::value_type*, 128> slots{};
    Lately() = default;
    Lately(const Lately&) {}
    Lately(Lately&& other) noexcept { other.slots = {}; }
    Lately& operator=(const Lately&) {
      slots = {};
      return *this;
    }
    Lately& operator=(Lately&& other) noexcept {
      slots = {};
      other.slots = {};
      return *this;
    }
  };

  Relation& relation(const RelationId& id);

  Relations relations_;
  Lately lately_;
  std::set<std::pair<std::uint32_t, std::uint32_t>> databases_;
  std::optional<Distrust> distrust_;
};

}  // namespace pitr::wal
