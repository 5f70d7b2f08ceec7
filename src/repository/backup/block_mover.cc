#include "repository/backup/block_mover.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/log.h"
#include "repository/backup/block_layers.h"
#include "repository/backup/memory_layer.h"
#include "repository/backup/move_plan.h"
#include "repository/backup/pack_readers.h"

namespace pitr {

static constexpr std::uint64_t kFramesAtOnce = 4 << 20;
static constexpr std::uint64_t kBatchBytes = 64 << 20;
static constexpr std::size_t kBatchRuns = 1 << 19;

bool move_is_due(const BackupManifest& manifest, const std::vector<ObjectKey>& leave_packs,
                 const MapOptions& options) {
  if (!leave_packs.empty()) return true;
  const auto reads_more_than = [&](double factor) {
    return static_cast<double>(manifest.restore_read_bytes) >
           factor * static_cast<double>(manifest.total_bytes);
  };
  if (reads_more_than(kReadAlways)) return true;
  const bool has_half_dead = std::ranges::any_of(
      manifest.packs, [](const PackInfo& pack) { return 2 * pack.live_bytes < pack.plain_bytes; });
  if (!has_half_dead && !reads_more_than(kReadWanted)) return false;
  std::uint64_t table_bytes = 0;
  for (const auto& table : manifest.block_tables) table_bytes += table.stored_bytes;
  return manifest.changed_since_moved_bytes >= options.changed_per_table_byte * table_bytes;
}

namespace {

// A run of blocks that moves, and its place in the batch's buffer.
struct MoveRun {
  std::uint32_t path = 0;  // in the batch
  std::uint32_t first_block = 0;
  std::uint32_t pack = 0;
  bool is_lost = false;
  std::uint64_t pack_offset = 0;
  std::uint64_t buffer_offset = 0;
  std::uint64_t size_bytes = 0;
};

class BlockMover {
 public:
  BlockMover(IncarnationStore store, const BackupManifest& manifest, const EncodedRows& own,
             const FileRuns& files, PackNumbers numbers, PackWriter& into)
      : store_(std::move(store)),
        manifest_(manifest),
        own_{own},
        files_(files),
        numbers_(std::move(numbers)),
        packs_(store_, manifest.packs),
        into_(into) {}

  Result<MoveResult> run(const std::vector<ObjectKey>& leave_packs);

 private:
  template <typename Visit>
  Result<void> walk(const Visit& visit) const;
  Result<std::vector<PackLife>> count_packs(const std::vector<ObjectKey>& leave_packs) const;
  Result<MovePlan> make_plan(std::vector<PackLife> packs) const;
  Result<void> move_row(const MovePlan& plan, const std::string& path, const PackedBlockRow& row);
  Result<void> move_batch();
  Result<void> read_runs();
  Result<void> read_frames_of(std::span<MoveRun*> runs);

  const IncarnationStore store_;
  const BackupManifest& manifest_;
  const std::vector<EncodedRows> own_;
  const FileRuns& files_;
  const PackNumbers numbers_;
  const PackReaders packs_;
  PackWriter& into_;

  std::vector<bool> leave_;  // by pack
  std::vector<std::string> paths_;
  std::vector<MoveRun> runs_;
  Bytes buffer_;
  std::uint64_t batch_bytes_ = 0;
  std::uint64_t moved_bytes_ = 0;
  std::vector<bool> lost_;  // by pack: some of its blocks could not be read
};

// Visits all visible rows, by file and block.
template <typename Visit>
Result<void> BlockMover::walk(const Visit& visit) const {
  auto tables = TRY(open_block_layers(store_, manifest_.block_tables, numbers_));
  auto own = TRY(RunMerge<BlockRowDecoder>::open(own_));
  std::vector<std::unique_ptr<BlockRowSource>> layers;
  layers.push_back(std::make_unique<MemoryLayer<BlockRowDecoder>>(std::move(own)));
  std::ranges::move(tables, std::back_inserter(layers));
  auto map = TRY(BlockMap::open(std::move(layers)));
  auto files = TRY(FileRuns::Cursor::open(files_));
  while (true) {
    const bool found = TRY(files.next());
    if (!found) return map.finish();
    const auto rows = TRY(map.rows_of(files.file()));
    for (const auto& row : rows) TRY(visit(files.file().path, row));
  }
}

Result<std::vector<PackLife>> BlockMover::count_packs(
    const std::vector<ObjectKey>& leave_packs) const {
  std::vector<PackLife> packs;
  for (const auto& pack : manifest_.packs) {
    const bool leave = std::ranges::find(leave_packs, pack.key) != leave_packs.end();
    packs.push_back({pack.plain_bytes, 0, leave});
  }
  TRY(walk([&](const auto&, const PackedBlockRow& row) -> Result<void> {
    packs[row.pack].live_bytes += row.size_bytes();
    return {};
  }));
  return packs;
}

static std::vector<std::uint64_t> frame_offsets(const ContainerReader& pack) {
  std::vector<std::uint64_t> offsets;
  offsets.reserve(pack.frame_count() + 1);
  for (std::uint32_t i = 0; i <= pack.frame_count(); ++i) offsets.push_back(pack.plain_offset(i));
  return offsets;
}

Result<MovePlan> BlockMover::make_plan(std::vector<PackLife> packs) const {
  const auto budget = manifest_.changed_since_moved_bytes;
  const auto candidates = packs_to_look_at(packs, manifest_.total_bytes, budget);
  MovePlan plan(packs, manifest_.total_bytes, budget);
  std::uint64_t frames = 0;
  for (const auto pack : candidates) {
    if (frames >= kFramesAtOnce) break;
    const auto reader = packs_.open(pack);
    if (!reader) {
      const bool can_stay = reader.error().kind() == ErrorKind::kCorrupt && !packs[pack].leave;
      if (!can_stay) return reader.error();
      continue;
    }
    plan.look_at(pack, frame_offsets((**reader).container()));
    frames += (**reader)->frame_count();
  }
  if (frames > 0) {
    TRY(walk([&](const auto&, const PackedBlockRow& row) -> Result<void> {
      plan.count(row.pack, row.plain_offset, row.size_bytes());
      return {};
    }));
  }
  plan.choose();
  return plan;
}

Result<void> BlockMover::move_row(const MovePlan& plan, const std::string& path,
                                  const PackedBlockRow& row) {
  std::uint64_t done = 0;
  while (done < row.size_bytes()) {
    const auto offset = row.plain_offset + done;
    auto part = plan.first_part(row.pack, offset, row.size_bytes() - done);
    // No batch is larger than that, however long a run is.
    part.size_bytes = std::min(part.size_bytes, kBatchBytes);
    if (part.moves) {
      if (batch_bytes_ + part.size_bytes > kBatchBytes || runs_.size() >= kBatchRuns) {
        TRY(move_batch());
      }
      if (paths_.empty() || paths_.back() != path) paths_.push_back(path);
      runs_.push_back({static_cast<std::uint32_t>(paths_.size() - 1),
                       row.first_block + static_cast<std::uint32_t>(done / kBlockSize), row.pack,
                       false, offset, batch_bytes_, part.size_bytes});
      batch_bytes_ += part.size_bytes;
    }
    done += part.size_bytes;
  }
  return {};
}

// Runs of adjacent frames of one pack, which ascend: each frame is decoded once.
Result<void> BlockMover::read_frames_of(std::span<MoveRun*> runs) {
  const auto reader = TRY(packs_.open(runs.front()->pack));
  const auto& pack = *reader;
  Bytes frame;
  std::optional<std::uint32_t> at;
  for (auto* run : runs) {
    for (std::uint64_t done = 0; done < run->size_bytes;) {
      const auto offset = run->pack_offset + done;
      const auto number = pack->frame_at(offset);
      if (at != number) {
        at.reset();
        TRY(pack->read_frame(number, frame));
        at = number;
      }
      const auto start = pack->plain_offset(number);
      const auto part = std::min(run->size_bytes - done, start + frame.size() - offset);
      std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(offset - start), part,
                  buffer_.begin() + static_cast<std::ptrdiff_t>(run->buffer_offset + done));
      done += part;
    }
  }
  return {};
}

Result<void> BlockMover::read_runs() {
  buffer_.resize(batch_bytes_);
  std::vector<MoveRun*> order;
  for (auto& run : runs_) order.push_back(&run);
  std::ranges::sort(order, [](const MoveRun* a, const MoveRun* b) {
    return a->pack != b->pack ? a->pack < b->pack : a->pack_offset < b->pack_offset;
  });
  for (auto from = order.begin(); from != order.end();) {
    const auto to = std::find_if(from, order.end(),
                                 [&](const MoveRun* run) { return run->pack != (*from)->pack; });
    const std::span runs(from, to);
    auto read = read_frames_of(runs);
    if (!read) {
      const bool can_stay = read.error().kind() == ErrorKind::kCorrupt && !leave_[(*from)->pack];
      if (!can_stay) return read;
      log::warning("blocks stay in a damaged pack: {}", read.error().message());
      for (auto* run : runs) run->is_lost = true;
    }
    from = to;
  }
  return {};
}

Result<void> BlockMover::move_batch() {
  TRY(read_runs());
  for (std::size_t i = 0; i < runs_.size();) {
    const auto& first = runs_[i];
    auto size = first.size_bytes;
    // What is adjacent in the file becomes one piece again.
    auto next = i + 1;
    while (next < runs_.size() && runs_[next].path == first.path && size % kBlockSize == 0 &&
           runs_[next].is_lost == first.is_lost &&
           runs_[next].first_block == first.first_block + size / kBlockSize) {
      size += runs_[next++].size_bytes;
    }
    if (first.is_lost) {
      lost_[first.pack] = true;
    } else {
      const auto bytes = ByteView(buffer_).subspan(first.buffer_offset, size);
      TRY(into_.add(paths_[first.path], first.first_block, bytes));
      moved_bytes_ += size;
    }
    i = next;
  }
  runs_.clear();
  paths_.clear();
  batch_bytes_ = 0;
  return {};
}

Result<MoveResult> BlockMover::run(const std::vector<ObjectKey>& leave_packs) {
  auto packs = TRY(count_packs(leave_packs));
  for (const auto& pack : packs) leave_.push_back(pack.leave);
  lost_.resize(packs.size());
  const auto plan = TRY(make_plan(std::move(packs)));
  if (plan.moved_bytes() > 0) {
    TRY(walk([&](const std::string& path, const PackedBlockRow& row) -> Result<void> {
      return move_row(plan, path, row);
    }));
    TRY(move_batch());
  }
  MoveResult result{moved_bytes_, plan.read_bytes()};
  for (std::size_t i = 0; i < lost_.size(); ++i) {
    if (lost_[i]) result.read_bytes += manifest_.packs[i].plain_bytes;
  }
  return result;
}

}  // namespace

Result<MoveResult> move_blocks(const IncarnationStore& store, const BackupManifest& manifest,
                               const EncodedRows& own, const FileRuns& files,
                               const std::vector<ObjectKey>& leave_packs, PackWriter& into) {
  auto numbers = TRY(PackNumbers::of(manifest.packs));
  BlockMover mover(store, manifest, own, files, std::move(numbers), into);
  return mover.run(leave_packs);
}

}  // namespace pitr
