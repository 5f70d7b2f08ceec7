// What LocalStorage needs of a file system, so that tests can put one under it that forgets what
// was not synced. Paths are relative to the root directory; the root itself is "". Implementations
// are thread-safe; files belong to one thread at a time.
//
// Errors are those of Error::from_errno, with the whole path in the message.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/result.h"

namespace pitr {

class WritableFile {
 public:
  virtual ~WritableFile() = default;
  virtual Result<void> append(ByteView bytes) = 0;
  virtual Result<void> sync() = 0;
  // Bytes and size, not the times.
  virtual Result<void> sync_data() = 0;
  // Starts to write these bytes to disk without waiting: a hint.
  virtual void start_writeback(std::uint64_t offset, std::uint64_t size_bytes) = 0;
  virtual Result<void> truncate(std::uint64_t size_bytes) = 0;
};

class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  virtual std::uint64_t size() const = 0;  // when it was opened
  // Until the buffer is full or the file ends; returns the bytes read.
  virtual Result<std::size_t> read_at(MutableByteView into, std::uint64_t offset) const = 0;
  // Starts to read these bytes from disk without waiting: a hint.
  virtual void expect(std::uint64_t /*offset*/, std::uint64_t /*size_bytes*/) const {}
};

enum class EntryKind : std::uint8_t { kFile, kDirectory, kOther };

struct FileStatus {
  EntryKind kind = EntryKind::kOther;
  std::uint64_t size_bytes = 0;
  Timestamp modified;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // For messages.
  virtual std::string shown_path(const std::string& path) const = 0;

  // kConflict where something of this name exists. The file counts as being written until it is
  // closed, or its process ends.
  virtual Result<std::unique_ptr<WritableFile>> create_file(const std::string& path) = 0;
  // kNotFound for anything that isn't a regular file.
  virtual Result<std::unique_ptr<ReadableFile>> open_file(const std::string& path) = 0;
  virtual Result<FileStatus> status(const std::string& path) = 0;
  // Whether somebody, here or in another process, has it open from create_file().
  virtual Result<bool> is_being_written(const std::string& path) = 0;

  // Atomic, and visible at once; durable with the next sync of the new name's directory.
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  // kConflict, atomically, where the new name exists.
  virtual Result<void> rename_if_absent(const std::string& from, const std::string& to) = 0;
  virtual Result<void> remove_file(const std::string& path) = 0;

  // kConflict where something of this name exists.
  virtual Result<void> make_directory(const std::string& path) = 0;
  // kConflict where it isn't empty.
  virtual Result<void> remove_directory(const std::string& path) = 0;
  virtual Result<void> sync_directory(const std::string& path) = 0;
  // fsync of a file that somebody else wrote.
  virtual Result<void> sync_file(const std::string& path) = 0;
  // In no order, "." and ".." left out; stops when visit returns false. What vanishes meanwhile may
  // be left out; an entry that can't be looked at ends it with an error.
  using EntryVisitor = std::function<bool(std::string_view name, EntryKind kind)>;
  virtual Result<void> visit_entries(const std::string& path, const EntryVisitor& visit) = 0;

  virtual Result<std::uint64_t> free_bytes() = 0;
  // Used by anybody, and free for us. (What is set aside for root is neither.)
  virtual Result<std::uint64_t> capacity_bytes() = 0;
};

// The machine's own, below a directory that exists. The directory is kept open, so what is found
// absent is absent there, whatever is mounted or renamed above it meanwhile.
Result<std::shared_ptr<FileSystem>> open_posix_filesystem(const Path& root);

}  // namespace pitr
