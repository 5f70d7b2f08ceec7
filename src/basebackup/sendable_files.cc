#include "basebackup/sendable_files.h"

#include <algorithm>
#include <set>

#include "postgres/data_directory.h"

namespace pitr {

std::optional<RelationSegment> parse_main_fork_path(std::string_view path) {
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto place = parse_relation_directory(path.substr(0, slash));
  const auto file = parse_relation_file_name(path.substr(slash + 1));
  if (!place || !file || file->fork != Fork::kMain || file->temporary_backend) return std::nullopt;
  return RelationSegment{{place->tablespace, place->database, file->number}, file->segment};
}

// What lies in files before the one that was cut is as sure as ever.
static bool was_cut(const wal::ChangedBlocks& changed, const RelationSegment& file) {
  const auto end = (std::uint64_t{file.segment} + 1) * wal::ChangedBlocks::kBlocksPerSegment;
  return changed.is_rewritten(file.relation) || changed.limit_of(file.relation) < end;
}

Result<SendableFiles> SendableFiles::read(const IncarnationStore& store,
                                          const BackupManifest& backup,
                                          const wal::ChangedBlocks& changed, const Visitor& visit) {
  std::set<std::string, std::less<>> damaged;
  for (const auto& failure : backup.checksum_failures) damaged.insert(failure.path);
  SendableFiles files;
  const auto take = [&](const FileRow& row) -> Result<void> {
    const auto file = parse_main_fork_path(row.path);
    const auto blocks = row.size_bytes / kBlockSize;
    const bool is_sendable = row.type == FileType::kFile && file &&
                             row.size_bytes % kBlockSize == 0 &&
                             blocks <= wal::ChangedBlocks::kBlocksPerSegment &&
                             !damaged.contains(row.path) && !was_cut(changed, *file);
    if (!is_sendable) return {};
    files.entries_.push_back({*file, static_cast<std::uint32_t>(blocks)});
    return visit(row);
  };
  TRY(read_file_table(store, backup.file_table, take));
  std::ranges::sort(files.entries_, {}, &Entry::file);
  return files;
}

std::optional<std::uint32_t> SendableFiles::blocks_of(const RelationSegment& file) const {
  const auto found = std::ranges::lower_bound(entries_, file, {}, &Entry::file);
  if (found == entries_.end() || found->file != file) return std::nullopt;
  return found->blocks;
}

}  // namespace pitr
