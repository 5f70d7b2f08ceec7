// The packs of one worker of a backup, and what the workers share. See PackWriter in
// backup_writer.h for the contract.
//
// Memory per worker: a frame, an upload buffer of about a MiB, and the rows of the open pack, at
// most kRowsPerPack of some 120 bytes (16 MiB) and as many of digests; adjacent blocks of a file
// are one row. A finished pack's rows stay encoded, some 20 bytes each, until the backup's tables
// are written; its digests go to the DigestRuns.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "repository/backup/backup_writer.h"
#include "repository/backup/block_digests.h"
#include "repository/backup/digest_rows.h"
#include "repository/backup/digest_runs.h"
#include "repository/backup/encoded_rows.h"
#include "repository/backup/lost_blocks.h"
#include "repository/sealed_object.h"

namespace pitr {

struct FinishedPack {
  PackRef ref;
  PackInfo info;
  EncodedRows rows;  // all of pack 0
};

// Numbers for new packs, and the finished ones. Thread-safe.
class PackList {
 public:
  explicit PackList(BackupId backup) : backup_(std::move(backup)) {}

  // kInvalid when a backup has more packs than names.
  Result<PackRef> next_ref();
  void add(FinishedPack pack, std::uint64_t read_bytes);
  void writer_started();
  void writer_finished();

  std::uint64_t unfinished_writers() const;
  std::uint64_t read_bytes() const;
  // The finished packs since the last call, by number.
  std::vector<FinishedPack> take();

 private:
  const BackupId backup_;
  mutable std::mutex mutex_;
  std::uint32_t next_number_ = 0;
  std::uint64_t unfinished_writers_ = 0;
  std::uint64_t read_bytes_ = 0;
  std::vector<FinishedPack> packs_;
};

class WorkerPackWriter final : public PackWriter {
 public:
  // The lists and `lost` must outlive it. parent: the digests that blocks are compared with, and
  // what makes new ones.
  WorkerPackWriter(IncarnationStore store, const PackOptions& options, PackList& list,
                   DigestRuns& digest_runs, BlockDigests parent, const LostBlocks& lost)
      : store_(std::move(store)),
        options_(options),
        list_(list),
        digest_runs_(digest_runs),
        parent_(std::move(parent)),
        lost_(lost) {}

  Result<void> add(const std::string& path, std::uint32_t first_block, ByteView bytes) override;
  Result<std::uint64_t> add_if_changed(const std::string& path, std::uint32_t first_block,
                                       ByteView bytes) override;
  Result<void> finish() override;

 private:
  struct OpenPack {
    PackRef ref;
    SealedUpload upload;
  };
  Result<std::uint64_t> take(const std::string& path, std::uint32_t first_block, ByteView bytes,
                             bool only_changed);
  Result<std::uint64_t> store_changed(const std::string& path, std::uint32_t first_block,
                                      ByteView bytes);
  // digests_ holds those of these blocks, from `digest` on.
  Result<void> store(const std::string& path, std::uint32_t first_block, ByteView bytes,
                     std::size_t digest);
  void add_digests(const std::string& path, std::uint32_t first_block,
                   std::span<const std::uint64_t> digests);
  Result<void> open_pack();
  Result<void> close_pack();
  bool is_pack_full() const;
  Result<void> put_bytes(ByteView bytes);
  Result<void> write_pending();
  void add_row(PackedBlockRow row);

  IncarnationStore store_;
  PackOptions options_;
  PackList& list_;
  DigestRuns& digest_runs_;
  BlockDigests parent_;
  const LostBlocks& lost_;
  std::vector<std::uint64_t> digests_;         // of the blocks at hand
  std::vector<std::uint64_t> parent_digests_;  // of the same blocks
  std::vector<DigestRow> digest_rows_;         // of the open pack
  std::optional<OpenPack> pack_;
  std::vector<PackedBlockRow> rows_;
  Bytes pending_;                 // the frame that small pieces share
  std::uint64_t pack_bytes_ = 0;  // plain, of the open pack
  std::uint64_t path_bytes_ = 0;  // in rows_
  std::optional<Error> failure_;
  bool finished_ = false;
};

}  // namespace pitr
