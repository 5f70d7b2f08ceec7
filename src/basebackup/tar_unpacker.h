// Puts the files of the tar archives that BASE_BACKUP sends into packs, as they arrive. The few
// files that a backup's record needs (backup_label, tablespace_map, pg_control) are kept at hand;
// the first two don't count as files of the backup. In an incremental backup, files of which the
// server sends only what changed become whole ones on the parent's. One thread.
#pragma once

#include <optional>
#include <string>

#include "basebackup/incremental_unpacker.h"
#include "basebackup/pack_crew.h"
#include "basebackup/sendable_files.h"
#include "common/observer.h"
#include "postgres/base_backup_stream.h"
#include "postgres/tar_reader.h"

namespace pitr {

// What an incremental backup rests on: the parent's files that the server was told of, and what
// changed since the parent's start, until this backup's.
struct SentChanges {
  const SendableFiles& older_files;
  const wal::ChangedBlocks& changed;
};

class TarUnpacker final : public TarSink {
 public:
  // changes: of an incremental backup.
  TarUnpacker(BackupWriter& writer, PackCrew& crew, Observer& observer,
              std::optional<SentChanges> changes = std::nullopt)
      : writer_(writer), crew_(crew), observer_(observer), changes_(changes) {}

  Result<void> start_archive(const BackupTablespace& tablespace);
  Result<void> feed(ByteView bytes) { return tar_->feed(bytes); }
  Result<void> finish_archive();
  // Adds a file that came outside the archives: the server's manifest.
  Result<void> add_file(const std::string& path, ByteView content, Timestamp modified);

  const std::string& backup_label() const { return backup_label_; }
  const std::string& tablespace_map() const { return tablespace_map_; }
  const std::string& control_file() const { return control_file_; }
  std::uint64_t unpacked_bytes() const { return unpacked_bytes_; }

 private:
  Result<void> entry(const TarEntry& entry) override;
  Result<void> data(ByteView bytes) override;
  Result<void> entry_end() override;
  Result<void> start_content(const TarEntry& entry);
  Result<void> hand_over();

  BackupWriter& writer_;
  PackCrew& crew_;
  Observer& observer_;
  const std::optional<SentChanges> changes_;
  std::optional<TarReader> tar_;
  std::string prefix_;  // of the archive's paths
  std::string backup_label_;
  std::string tablespace_map_;
  std::string control_file_;
  std::uint64_t unpacked_bytes_ = 0;

  FileRow file_;  // the current entry
  bool is_packed_ = false;
  std::string* kept_ = nullptr;  // where its content is kept as well
  Bytes piece_;                  // of its content, not handed over yet
  std::uint64_t handed_over_bytes_ = 0;
  std::optional<IncrementalUnpacker> incremental_;  // of the current entry, if it is one
};

}  // namespace pitr
