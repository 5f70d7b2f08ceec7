#include "repository/backup/own_rows.h"

#include <fmt/format.h>

#include "repository/backup/block_map.h"
#include "repository/backup/digest_rows.h"

namespace pitr {

// File rows wait unsorted until there are so many, and encoded from then on (some 50 bytes each).
static constexpr std::size_t kFilesPerRun = 1 << 14;

void FileRuns::add(FileRow row, Keep keep) {
  if (auto checked = check_row(row); !checked) {
    if (!bad_file_) bad_file_ = checked.error();
    return;
  }
  auto& waiting = waiting_[static_cast<std::size_t>(keep)];
  waiting.push_back(std::move(row));
  if (waiting.size() == kFilesPerRun) encode(keep);
}

void FileRuns::encode(Keep keep) {
  auto& waiting = waiting_[static_cast<std::size_t>(keep)];
  if (waiting.empty()) return;
  auto run = encode_rows<FileRowEncoder>(std::move(waiting));
  waiting.clear();
  if (run) {
    runs_.push_back(std::move(*run));
    keeps_.push_back(keep);
  } else if (!bad_file_) {
    bad_file_ = run.error();
  }
}

Result<void> FileRuns::finish() {
  encode(Keep::kNothing);
  encode(Keep::kRest);
  if (bad_file_) return *bad_file_;
  return {};
}

Result<FileRuns::Cursor> FileRuns::Cursor::open(const FileRuns& files) {
  auto merge = TRY(RunMerge<FileRowDecoder>::open(files.runs_));
  return Cursor(files, std::move(merge));
}

static std::uint64_t blocks_of(std::uint64_t size_bytes) {
  return (size_bytes + kBlockSize - 1) / kBlockSize;
}

namespace {

class OwnRowsMaker {
 public:
  OwnRowsMaker(std::unique_ptr<PackedFileTableWriter> file_table, FileTableReader* parent,
               RunMerge<BlockRowDecoder> stored, std::uint32_t first_pack)
      : file_table_(std::move(file_table)),
        parent_(parent),
        stored_(std::move(stored)),
        first_pack_(first_pack) {}

  Result<OwnRows> run(FileRuns::Cursor files);

 private:
  Result<void> add_file(const FileRow& file, Keep keep);
  Result<std::vector<PackedBlockRow>> stored_rows(const std::string& path);
  Result<std::uint64_t> parent_size(const std::string& path);
  Result<void> next_parent();
  void bury(const std::string& path, std::uint64_t first_block);

  std::unique_ptr<PackedFileTableWriter> file_table_;
  FileTableReader* parent_;
  bool has_parent_ = false;  // parent_ stands on a row
  RunMerge<BlockRowDecoder> stored_;
  bool has_stored_ = false;
  const std::uint32_t first_pack_;
  RowCollector<BlockRowEncoder, PackedBlockRow> blocks_;
  RowCollector<DigestRowEncoder, DigestRow> tombstones_;
  OwnRows own_;
};

Result<void> OwnRowsMaker::next_parent() {
  has_parent_ = false;
  if (parent_ != nullptr) has_parent_ = TRY(parent_->next());
  return {};
}

void OwnRowsMaker::bury(const std::string& path, std::uint64_t first_block) {
  const auto first = static_cast<std::uint32_t>(first_block);
  blocks_.add({path, first, kToEndOfFile, PackedBlockRow::kTombstone, 0, kBlockSize});
  tombstones_.add({path, first, kToEndOfFile, {}});
}

// 0 where the parent has no such file. Files that it has before this one are gone.
Result<std::uint64_t> OwnRowsMaker::parent_size(const std::string& path) {
  while (has_parent_ && parent_->row().path < path) {
    if (parent_->row().size_bytes > 0) bury(parent_->row().path, 0);
    TRY(next_parent());
  }
  if (!has_parent_ || parent_->row().path != path) return 0;
  const auto size = parent_->row().size_bytes;
  TRY(next_parent());
  return size;
}

Result<std::vector<PackedBlockRow>> OwnRowsMaker::stored_rows(const std::string& path) {
  std::vector<PackedBlockRow> rows;
  while (has_stored_ && stored_.row().path <= path) {
    auto row = stored_.row();
    if (row.path < path) {
      return Error::corrupt(fmt::format("there are blocks of {}, but no such file", row.path));
    }
    if (!rows.empty() && !follows(row, rows.back())) {
      return Error::corrupt(fmt::format("{}: block {} has two places", path, row.first_block));
    }
    row.pack = first_pack_ + static_cast<std::uint32_t>(stored_.run());
    rows.push_back(std::move(row));
    has_stored_ = TRY(stored_.next());
  }
  return rows;
}

// Whether what was stored and what stays of the parent's file cover the new one.
static Result<void> check_whole(const FileRow& file, Keep keep, std::uint64_t old_size,
                                const std::vector<PackedBlockRow>& rows) {
  const auto blocks = blocks_of(file.size_bytes);
  // The parent covers its file, so one row stands for whatever it has.
  std::vector<PackedBlockRow> visible = rows;
  if (blocks_of(old_size) > blocks) {
    visible.push_back({file.path, static_cast<std::uint32_t>(blocks), kToEndOfFile,
                       PackedBlockRow::kTombstone, 0, kBlockSize});
  }
  if (keep == Keep::kRest && old_size > 0) {
    const auto last = blocks_of(old_size) - 1;
    const PackedBlockRow parent{
        file.path, 0, static_cast<std::uint32_t>(last + 1),
        0,         0, static_cast<std::uint32_t>(old_size - last * kBlockSize)};
    visible = overlay(visible, {&parent, 1});
  }
  std::erase_if(visible, [](const auto& row) { return is_tombstone(row); });
  return check_coverage(file, visible);
}

Result<void> OwnRowsMaker::add_file(const FileRow& file, Keep keep) {
  const auto old_size = TRY(parent_size(file.path));
  const auto rows = TRY(stored_rows(file.path));
  const auto blocks = blocks_of(file.size_bytes);
  if (!rows.empty() || old_size != file.size_bytes || keep != Keep::kRest) {
    TRY(check_whole(file, keep, old_size, rows));
  }
  for (const auto& row : rows) blocks_.add(row);
  if (blocks_of(old_size) > blocks) bury(file.path, blocks);
  TRY(file_table_->add(file));
  if (file.type == FileType::kFile) ++own_.file_count;
  own_.total_bytes += file.size_bytes;
  return {};
}

Result<OwnRows> OwnRowsMaker::run(FileRuns::Cursor files) {
  TRY(next_parent());
  has_stored_ = TRY(stored_.next());
  while (true) {
    const bool found = TRY(files.next());
    if (!found) break;
    TRY(add_file(files.file(), files.keep()));
  }
  if (has_stored_) {
    return Error::corrupt(
        fmt::format("there are blocks of {}, but no such file", stored_.row().path));
  }
  while (has_parent_) {
    if (parent_->row().size_bytes > 0) bury(parent_->row().path, 0);
    TRY(next_parent());
  }
  TRY(file_table_->finish({}));
  own_.file_table = file_table_->info();
  own_.blocks = blocks_.take();
  own_.digest_tombstones = tombstones_.take();
  return std::move(own_);
}

}  // namespace

Result<OwnRows> make_own_rows(const IncarnationStore& store, const FileRuns& files,
                              const std::vector<EncodedRows>& pack_rows, std::uint32_t first_pack,
                              FileTableReader* parent_files) {
  auto cursor = TRY(FileRuns::Cursor::open(files));
  auto stored = TRY(RunMerge<BlockRowDecoder>::open(pack_rows));
  auto file_table = TRY(PackedFileTableWriter::create(store));
  OwnRowsMaker maker(std::move(file_table), parent_files, std::move(stored), first_pack);
  return maker.run(std::move(cursor));
}

Result<EncodedRows> add_rows(EncodedRows others, const std::vector<EncodedRows>& rows,
                             std::uint32_t first_pack) {
  if (rows.empty()) return others;
  std::vector<EncodedRows> runs;
  runs.push_back(std::move(others));
  runs.insert(runs.end(), rows.begin(), rows.end());
  auto merge = TRY(RunMerge<BlockRowDecoder>::open(runs));
  RowCollector<BlockRowEncoder, PackedBlockRow> all;
  std::optional<PackedBlockRow> previous;
  while (true) {
    const bool found = TRY(merge.next());
    if (!found) return all.take();
    auto row = merge.row();
    if (previous && !follows(row, *previous)) {
      return Error::internal(
          fmt::format("{}: block {} was moved twice", row.path, row.first_block));
    }
    if (merge.run() > 0) row.pack = first_pack + static_cast<std::uint32_t>(merge.run() - 1);
    all.add(row);
    previous = std::move(row);
  }
}

}  // namespace pitr
