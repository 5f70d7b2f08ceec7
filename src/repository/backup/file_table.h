// The files of a backup (file table) and where their blocks lie (block tables): immutable sorted
// tables in sealed containers, docs/repository-format.md has the rows.
//
// Every file counts as blocks of 8192 bytes; its last one may be shorter. A block table is one
// layer: the newest table that has a row for (path, block) wins, a tombstone hides older ones.
// A full backup has exactly one block table.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "repository/repository.h"

namespace pitr {

inline constexpr std::uint32_t kBlockSize = 8192;

enum class FileType : std::uint8_t { kFile = 0, kDirectory = 1, kSymlink = 2 };

// Paths are relative to the data directory; files of a tablespace are pg_tblspc/<oid>/....
struct FileRow {
  std::string path;
  FileType type = FileType::kFile;
  std::uint32_t mode = 0;  // permission bits
  std::uint64_t size_bytes = 0;
  Timestamp modified;
  std::string link_target;  // symlinks only
};

// The pack pack/<backup>-<number>.
struct PackRef {
  BackupId backup;
  std::uint32_t number = 0;
  friend auto operator<=>(const PackRef&, const PackRef&) = default;
};
inline constexpr std::uint32_t kHighestPackNumber = 999'999;
// "<backup id>-<six digits>", the last part of the pack's object name.
std::string to_string(const PackRef& pack);
Result<PackRef> parse_pack_name(std::string_view name);

inline constexpr std::uint32_t kToEndOfFile = 0xFFFF'FFFF;

// `count` blocks from first_block on, contiguous in the plain bytes of a pack; or a tombstone:
// these blocks went away, whatever older tables say (a file that was removed or cut).
struct BlockRow {
  std::string path;
  std::uint32_t first_block = 0;
  std::uint32_t count = 0;      // tombstones may have kToEndOfFile
  std::optional<PackRef> pack;  // none: a tombstone
  std::uint64_t plain_offset = 0;
  // Below kBlockSize only where the row holds the end of a file, so that a file size that doesn't
  // belong to these blocks is noticed.
  std::uint32_t last_block_bytes = kBlockSize;
};

// Writers take rows in ascending order (path; then first_block) and give back the table's id.
class FileTableWriter {
 public:
  virtual ~FileTableWriter() = default;
  static Result<std::unique_ptr<FileTableWriter>> create(const IncarnationStore& store);
  virtual Result<void> add(const FileRow& row) = 0;
  virtual Result<std::string> finish() = 0;
};
class BlockTableWriter {
 public:
  virtual ~BlockTableWriter() = default;
  static Result<std::unique_ptr<BlockTableWriter>> create(const IncarnationStore& store);
  virtual Result<void> add(const BlockRow& row) = 0;
  virtual Result<std::string> finish() = 0;
};

// Calls visit for every row in order, a frame in memory at a time.
Result<void> read_file_table(const IncarnationStore& store, const std::string& table_id,
                             const std::function<Result<void>(const FileRow&)>& visit);
Result<void> read_block_table(const IncarnationStore& store, const std::string& table_id,
                              const std::function<Result<void>(const BlockRow&)>& visit);

}  // namespace pitr
