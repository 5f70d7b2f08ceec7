// The byte form of ChangedBlocks: docs/repository-format.md, "Changed blocks".
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "postgres/wal/bit_stream.h"
#include "postgres/wal/changed_blocks.h"

namespace pitr::wal {
namespace {

constexpr std::uint64_t kDistrusted = 1;
constexpr std::uint64_t kAllFlags = 1;

// Forms of a chunk: 0 to 15 are Rice parameters.
constexpr std::uint8_t kMaxRice = 15;
constexpr std::uint8_t kRuns = 16;
constexpr unsigned kFormBits = 5;
constexpr std::size_t kLeastBytesOfRun = 2;

// The least that WAL takes to name a block (its header, in a record that names the same relation
// already), and to drop a relation; and what may come in from segments before, a record's blocks.
constexpr std::uint64_t kBytesPerBlock = 8;
constexpr std::uint64_t kBytesPerRelation = 4;
constexpr std::uint64_t kLongestRecordBytes = 1u << 30;
constexpr std::uint64_t kBlocksPerRecord = 33;

struct ChunkContent {
  std::vector<BlockRun> runs;       // within the chunk
  std::vector<std::uint32_t> gaps;  // before each block: unmarked ones since the one before
};

ChunkContent content_of(const BlockSet::Chunk& chunk) {
  const auto marked = chunk.marked();
  ChunkContent content;
  content.gaps.reserve(marked.size());
  std::uint32_t behind = 0;
  for (const std::uint32_t low : marked) {
    content.gaps.push_back(low - behind);
    if (low == behind && !content.runs.empty()) {
      ++content.runs.back().count;
    } else {
      content.runs.push_back({low, 1});
    }
    behind = low + 1;
  }
  return content;
}

std::uint64_t rice_bits(const std::vector<std::uint32_t>& gaps, unsigned parameter) {
  std::uint64_t bits = gaps.size() * (parameter + 1);
  for (const auto gap : gaps) bits += gap >> parameter;
  return bits;
}

// Near the logarithm of the mean, where the best one is.
unsigned best_rice(const std::vector<std::uint32_t>& gaps) {
  std::uint64_t sum = 0;
  for (const auto gap : gaps) sum += gap;
  const auto middle = static_cast<unsigned>(std::bit_width(sum / gaps.size()));
  unsigned best = std::min<unsigned>(middle, kMaxRice);
  auto best_bits = rice_bits(gaps, best);
  for (unsigned other = middle > 2 ? middle - 2 : 0; other < best; ++other) {
    const auto bits = rice_bits(gaps, other);
    if (bits < best_bits) {
      best = other;
      best_bits = bits;
    }
  }
  return best;
}

void write_runs(ByteWriter& out, const std::vector<BlockRun>& runs) {
  std::uint32_t behind = 0;
  for (const auto& run : runs) {
    out.varint(run.first - behind);
    out.varint(run.count - 1);
    behind = run.first + run.count;
  }
}

void write_rice(ByteWriter& out, const std::vector<std::uint32_t>& gaps, unsigned parameter) {
  BitWriter bits(out);
  for (const auto gap : gaps) {
    const std::uint32_t high = gap >> parameter;
    const std::uint64_t low = gap & ((1u << parameter) - 1);
    bits.ones(high / 32 * 32);
    const auto ones = high % 32;
    bits.put(((std::uint64_t{1} << ones) - 1) | low << (ones + 1), ones + 1 + parameter);
  }
  bits.flush();
}

void write_chunk(ByteWriter& out, const BlockSet::Chunk& chunk) {
  const auto content = content_of(chunk);
  const auto parameter = best_rice(content.gaps);
  const auto rice_bytes = (rice_bits(content.gaps, parameter) + 7) / 8;
  ByteWriter runs;
  const bool may_be_runs = content.runs.size() * kLeastBytesOfRun <= rice_bytes;
  if (may_be_runs) write_runs(runs, content.runs);
  const bool as_runs = may_be_runs && runs.size() <= rice_bytes;
  const std::uint64_t form = as_runs ? kRuns : parameter;
  const std::uint64_t count = as_runs ? content.runs.size() : content.gaps.size();
  out.varint((count - 1) << kFormBits | form);
  if (as_runs) {
    out.raw(runs.bytes());
  } else {
    write_rice(out, content.gaps, parameter);
  }
}

class Decoder {
 public:
  Decoder(ByteReader& in, Lsn base, const ChangedBlocks::Limits& limits)
      : in_(in), base_(base), limits_(limits) {}

  Result<ChangedBlocks> decode();

 private:
  Result<void> read_distrust();
  Result<void> read_databases();
  Result<void> read_group();
  Result<void> read_relation(const RelationId& id);
  Result<void> read_chunk(const RelationId& id, std::uint32_t base);
  Result<std::uint32_t> number();
  Result<Lsn> lsn();
  Result<void> take(std::uint64_t& left, std::uint64_t count, std::string_view what);

  ByteReader& in_;
  const Lsn base_;
  ChangedBlocks::Limits limits_;  // what is left of them
  ChangedBlocks changed_;
  std::optional<std::pair<std::uint32_t, std::uint32_t>> last_group_;
  std::uint32_t limit_ = ChangedBlocks::kNoLimit;  // of the relation that is read
};

Result<std::uint32_t> Decoder::number() {
  const auto value = TRY(in_.varint());
  if (value > std::numeric_limits<std::uint32_t>::max()) {
    return Error::corrupt(fmt::format("{} is no 32-bit number", value));
  }
  return static_cast<std::uint32_t>(value);
}

Result<Lsn> Decoder::lsn() {
  const auto delta = TRY(in_.signed_varint());
  return base_ + static_cast<std::uint64_t>(delta);
}

Result<void> Decoder::take(std::uint64_t& left, std::uint64_t count, std::string_view what) {
  if (count > left) return Error::corrupt(fmt::format("more {} than this much WAL names", what));
  left -= count;
  return {};
}

Result<void> Decoder::read_distrust() {
  const auto first = TRY(lsn());
  const auto last = TRY(lsn());
  auto reason = TRY(in_.string(ChangedBlocks::kMaxReasonBytes));
  if (last < first) return Error::corrupt("the range that is not to be trusted ends early");
  changed_.distrust(first, std::move(reason));
  changed_.distrust(last, {});
  return {};
}

Result<void> Decoder::read_databases() {
  const auto count = TRY(in_.varint());
  TRY(take(limits_.relations, count, "databases"));
  std::optional<std::pair<std::uint32_t, std::uint32_t>> last;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto tablespace = TRY(number());
    const auto database = TRY(number());
    const std::pair next(tablespace, database);
    if (last && next <= *last) return Error::corrupt("databases are out of order");
    last = next;
    changed_.rewrite_database(tablespace, database);
  }
  return {};
}

Result<void> Decoder::read_group() {
  const auto tablespace = TRY(number());
  const auto database = TRY(number());
  const std::pair group(tablespace, database);
  if (last_group_ && group <= *last_group_) return Error::corrupt("relations are out of order");
  last_group_ = group;
  const auto count = TRY(in_.varint());
  if (count == 0) return Error::corrupt("a group without relations");
  TRY(take(limits_.relations, count, "relations"));
  std::uint64_t relation = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    relation += std::uint64_t{TRY(number())} + (i > 0 ? 1 : 0);
    if (relation > std::numeric_limits<std::uint32_t>::max()) {
      return Error::corrupt("a relation's number is too large");
    }
    TRY(read_relation({tablespace, database, static_cast<std::uint32_t>(relation)}));
  }
  return {};
}

Result<void> Decoder::read_relation(const RelationId& id) {
  const auto head = TRY(in_.varint());
  limit_ = ChangedBlocks::kNoLimit;
  if ((head & 1) != 0) limit_ = TRY(number());
  const bool has_limit = limit_ != ChangedBlocks::kNoLimit;
  if (has_limit != ((head & 1) != 0) || head == 0) {
    return Error::corrupt("nothing is said of a relation");
  }
  if (has_limit) changed_.limit(id, limit_);
  std::uint64_t key = 0;
  for (std::uint64_t i = 0; i < head >> 1; ++i) {
    key += std::uint64_t{TRY(number())} + (i > 0 ? 1 : 0);
    if (key > std::numeric_limits<std::uint16_t>::max()) {
      return Error::corrupt("a block's number is too large");
    }
    TRY(read_chunk(id, static_cast<std::uint32_t>(key) * BlockSet::kChunkBlocks));
  }
  return {};
}

Result<void> Decoder::read_chunk(const RelationId& id, std::uint32_t base) {
  const auto head = TRY(in_.varint());
  const auto form = static_cast<unsigned>(head & ((1u << kFormBits) - 1));
  const std::uint64_t count = (head >> kFormBits) + 1;
  if (form > kRuns || count > BlockSet::kChunkBlocks)
    return Error::corrupt("unknown form of blocks");
  BitReader bits(in_);
  std::uint64_t behind = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    BlockRun run{0, 1};
    if (form == kRuns) {
      run.first = TRY(number());
      const std::uint64_t longer = TRY(number());
      if (longer >= BlockSet::kChunkBlocks) return Error::corrupt("a run leaves its chunk");
      run.count = static_cast<std::uint32_t>(longer) + 1;
    } else {
      const std::uint32_t high = TRY(bits.ones(BlockSet::kChunkBlocks));
      const std::uint32_t low = TRY(bits.bits(form));
      run.first = (high << form) + low;
    }
    const std::uint64_t first = behind + run.first;
    behind = first + run.count;
    if (behind > BlockSet::kChunkBlocks || base + behind > limit_) {
      return Error::corrupt("a block lies where none can");
    }
    TRY(take(limits_.blocks, run.count, "blocks"));
    changed_.mark(id, BlockRun{base + static_cast<std::uint32_t>(first), run.count});
  }
  return bits.finish();
}

Result<ChangedBlocks> Decoder::decode() {
  const auto flags = TRY(in_.varint());
  if (flags > kAllFlags) return Error::corrupt(fmt::format("flags are {:x}", flags));
  if ((flags & kDistrusted) != 0) TRY(read_distrust());
  TRY(read_databases());
  const auto groups = TRY(in_.varint());
  for (std::uint64_t i = 0; i < groups; ++i) TRY(read_group());
  return std::move(changed_);
}

}  // namespace

ChangedBlocks::Limits ChangedBlocks::Limits::of_wal(std::uint64_t wal_bytes) {
  return {.relations = (wal_bytes + kLongestRecordBytes) / kBytesPerRelation,
          .blocks = wal_bytes / kBytesPerBlock + kBlocksPerRecord};
}

void ChangedBlocks::encode(ByteWriter& out, Lsn base) const {
  out.varint(distrust_ ? kDistrusted : 0);
  if (distrust_) {
    out.signed_varint(static_cast<std::int64_t>(distrust_->first - base));
    out.signed_varint(static_cast<std::int64_t>(distrust_->last - base));
    out.string(distrust_->reason);
  }
  out.varint(databases_.size());
  for (const auto& [tablespace, database] : databases_) {
    out.varint(tablespace);
    out.varint(database);
  }

  auto ids = relations();
  std::erase_if(ids, [&](const RelationId& id) {
    const auto& changed = relations_.at(id);
    return changed.limit == kNoLimit && changed.blocks.empty();
  });
  const auto same_group = [](const RelationId& a, const RelationId& b) {
    return a.tablespace == b.tablespace && a.database == b.database;
  };
  std::vector<std::span<const RelationId>> groups;
  for (auto at = ids.cbegin(); at != ids.cend();) {
    const auto end =
        std::find_if(at, ids.cend(), [&](const auto& id) { return !same_group(*at, id); });
    groups.emplace_back(at, end);
    at = end;
  }
  out.varint(groups.size());
  for (const auto& group : groups) {
    out.varint(group.front().tablespace);
    out.varint(group.front().database);
    out.varint(group.size());
    std::uint32_t next = 0;
    for (const auto& id : group) {
      const auto& changed = relations_.at(id);
      out.varint(id.number - next);
      next = id.number + 1;
      const auto& chunks = changed.blocks.chunks();
      const bool has_limit = changed.limit != kNoLimit;
      out.varint(chunks.size() << 1 | (has_limit ? 1 : 0));
      if (has_limit) out.varint(changed.limit);
      std::uint32_t next_key = 0;
      for (const auto& chunk : chunks) {
        out.varint(chunk.key - next_key);
        next_key = chunk.key + 1u;
        write_chunk(out, chunk);
      }
    }
  }
}

Result<ChangedBlocks> ChangedBlocks::decode(ByteReader& in, Lsn base, const Limits& limits) {
  return Decoder(in, base, limits).decode();
}

}  // namespace pitr::wal
