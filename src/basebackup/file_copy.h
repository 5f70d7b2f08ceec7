// Copies files, or parts of them, from a running server's data directory into packs, as the
// server's own base backup does (src/backend/backup/basebackup.c, sendFile): the size is what
// the walk saw; what is missing since is filled with zeros, since WAL replay repairs it; pages with
// a wrong checksum are read once more, and reported if they stay wrong.
#pragma once

#include <atomic>
#include <mutex>
#include <stop_token>
#include <vector>

#include "basebackup/copy_task.h"
#include "basebackup/directory_walk.h"
#include "basebackup/promise_check.h"
#include "common/observer.h"
#include "common/rate_limit.h"
#include "repository/backup/backup_writer.h"

namespace pitr {

// What the copying threads find together. Thread-safe.
class CopyFindings {
 public:
  static constexpr std::size_t kMaxListed = 1000;

  void add_failure(ChecksumFailure failure);
  void add_read(std::uint64_t bytes) { read_bytes_ += bytes; }

  std::uint64_t read_bytes() const { return read_bytes_; }
  std::uint64_t failure_count() const;
  std::vector<ChecksumFailure> failures() const;

 private:
  std::atomic<std::uint64_t> read_bytes_ = 0;
  mutable std::mutex mutex_;
  std::uint64_t failure_count_ = 0;
  std::vector<ChecksumFailure> failures_;
};

struct CopyContext {
  Lsn start_lsn;  // pages at or after it are repaired by replay
  bool verify_checksums = false;
  CopyFindings& findings;
  RateLimit& rate_limit;
  Observer& observer;
  std::stop_token stop;
};

// One per thread: owns the read buffer.
class FileCopier {
 public:
  FileCopier(CopyContext context, PackWriter& pack, std::optional<PromiseChecker> promise = {});

  // ranges: what the task reads. False: the file vanished, and the task is its only one, so it
  // needs no row. Where it has more tasks, zeros take the place of what is missing. Either way WAL
  // replay drops the file.
  Result<bool> copy(const WalkedFile& file, const CopyTask& task,
                    const std::vector<ByteRange>& ranges);

 private:
  Result<void> copy_ranges(const WalkedFile& file, const File& source, const CopyTask& task,
                           const std::vector<ByteRange>& ranges);
  Result<void> copy_piece(const WalkedFile& file, const File& source, const CopyTask& task,
                          const ByteRange& piece, MutableByteView bytes, std::size_t read_bytes);
  Result<void> add_zeros(const WalkedFile& file, const CopyTask& task,
                         const std::vector<ByteRange>& ranges);
  Result<void> add(const WalkedFile& file, const CopyTask& task, const ByteRange& piece,
                   ByteView bytes);
  Result<void> verify(const WalkedFile& file, const File& source, std::uint64_t offset,
                      MutableByteView bytes);
  Result<void> verify_page(const WalkedFile& file, const File& source, std::uint64_t offset,
                           MutableByteView page);

  CopyContext context_;
  PackWriter& pack_;
  std::optional<PromiseChecker> promise_;
  Bytes buffer_;
};

}  // namespace pitr
