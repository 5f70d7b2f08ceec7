#include "basebackup/reading_plan.h"

#include <algorithm>
#include <numeric>

namespace pitr {
namespace {

// Large files are copied by several threads, in parts of this size.
constexpr std::uint64_t kTaskBytes = 64ull << 20;

// Whatever the WAL names in the part that the older file has, and all behind it. A short last block
// of the older file is read again where the file goes on.
std::vector<ByteRange> wanted_ranges(const std::vector<wal::BlockRun>& runs,
                                     std::uint64_t older_size_bytes, std::uint64_t size_bytes) {
  std::vector<ByteRange> ranges;
  const std::uint64_t known = std::min(older_size_bytes / kBlockSize * kBlockSize, size_bytes);
  for (const auto& run : runs) {
    const std::uint64_t from = std::uint64_t{run.first} * kBlockSize;
    const std::uint64_t to = std::min(from + std::uint64_t{run.count} * kBlockSize, known);
    if (from < to) ranges.push_back({from, to - from});
  }
  if (known < size_bytes) {
    const bool continues = !ranges.empty() && ranges.back().end() == known;
    if (!continues) ranges.push_back({known, 0});
    ranges.back().size_bytes = size_bytes - ranges.back().offset;
  }
  return ranges;
}

FileReading read_whole(const WalkedFile& file, bool has_parent) {
  FileReading reading;
  reading.keep = has_parent ? Keep::kRest : Keep::kNothing;
  reading.only_changed = has_parent;
  if (file.row.size_bytes > 0) reading.ranges.push_back({0, file.row.size_bytes});
  return reading;
}

class TaskCutter {
 public:
  TaskCutter(std::size_t file, FileReading reading, std::vector<CopyTask>& tasks)
      : file_(file), reading_(std::move(reading)), tasks_(tasks), first_(tasks.size()) {}

  void run() {
    for (const auto& range : reading_.ranges) {
      for (auto rest = range; rest.size_bytes > 0;) add_part_of(rest);
    }
    if (tasks_.size() == first_) return;
    tasks_[first_].is_first = true;
    tasks_.back().is_last = true;
  }

 private:
  void add_part_of(ByteRange& rest) {
    if (tasks_.size() == first_ || tasks_.back().size_bytes >= kTaskBytes) {
      tasks_.push_back(
          {.file = file_, .span = {rest.offset, 0}, .only_changed = reading_.only_changed});
    }
    auto& task = tasks_.back();
    const auto size = std::min(rest.size_bytes, kTaskBytes - task.size_bytes);
    task.span.size_bytes = rest.offset + size - task.span.offset;
    task.size_bytes += size;
    rest.offset += size;
    rest.size_bytes -= size;
  }

  const std::size_t file_;
  const FileReading reading_;
  std::vector<CopyTask>& tasks_;
  const std::size_t first_;
};

}  // namespace

FileReading how_to_read(const WalkedFile& file, BackupReading reading,
                        std::optional<std::uint64_t> parent_size_bytes,
                        const wal::ChangedBlocks& changed) {
  const bool has_parent = reading != BackupReading::kEverything && parent_size_bytes.has_value();
  const bool by_wal = reading == BackupReading::kChangedBlocks && has_parent &&
                      file.main_fork.has_value() && file.row.size_bytes % kBlockSize == 0;
  if (!by_wal) return read_whole(file, has_parent);
  const auto wanted = changed.wanted(*file.main_fork, file.segment);
  if (wanted.whole) return read_whole(file, has_parent);
  FileReading partly;
  partly.keep = Keep::kRest;
  partly.ranges = wanted_ranges(wanted.runs, *parent_size_bytes, file.row.size_bytes);
  return partly;
}

Result<void> find_older_sizes(const IncarnationStore& store, const BackupManifest& older,
                              WalkedDirectory& walked) {
  auto& files = walked.files;
  std::vector<std::size_t> order(files.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, {},
                    [&](std::size_t i) -> const std::string& { return files[i].row.path; });
  auto next = order.begin();
  const auto take = [&](const FileRow& row) -> Result<void> {
    while (next != order.end() && files[*next].row.path < row.path) ++next;
    const bool is_same =
        next != order.end() && files[*next].row.path == row.path && row.type == FileType::kFile;
    if (is_same) files[*next].older_size_bytes = row.size_bytes;
    return {};
  };
  return read_file_table(store, older.file_table, take);
}

// Large tasks first, so that no thread is left alone with one at the end.
ReadingPlan plan_reading(const WalkedDirectory& walked, const BackupBasis& basis) {
  ReadingPlan plan;
  plan.keep.reserve(walked.files.size());
  for (std::size_t i = 0; i < walked.files.size(); ++i) {
    const auto& file = walked.files[i];
    auto reading = how_to_read(file, basis.reading, file.older_size_bytes, basis.changed);
    plan.keep.push_back(reading.keep);
    if (reading.ranges.empty()) plan.unread.push_back(i);
    for (const auto& range : reading.ranges) plan.total_bytes += range.size_bytes;
    TaskCutter(i, std::move(reading), plan.tasks).run();
  }
  std::ranges::stable_sort(plan.tasks, std::greater<>(), &CopyTask::size_bytes);
  return plan;
}

std::vector<ByteRange> ranges_of(const CopyTask& task, const WalkedFile& file,
                                 const BackupBasis& basis) {
  auto ranges = how_to_read(file, basis.reading, file.older_size_bytes, basis.changed).ranges;
  std::erase_if(ranges, [&](const ByteRange& range) {
    return range.end() <= task.span.offset || range.offset >= task.span.end();
  });
  for (auto& range : ranges) {
    const auto from = std::max(range.offset, task.span.offset);
    range = {from, std::min(range.end(), task.span.end()) - from};
  }
  return ranges;
}

}  // namespace pitr
