// Puts the files of the tar archives that BASE_BACKUP sends into packs, as they arrive. The few
// files that a backup's record needs (backup_label, tablespace_map, pg_control) are kept at hand;
// the first two don't count as files of the backup. One thread.
#pragma once

#include <optional>
#include <string>

#include "basebackup/pack_crew.h"
#include "common/observer.h"
#include "postgres/base_backup_stream.h"
#include "postgres/tar_reader.h"

namespace pitr {

class TarUnpacker final : public TarSink {
 public:
  TarUnpacker(BackupWriter& writer, PackCrew& crew, Observer& observer)
      : writer_(writer), crew_(crew), observer_(observer) {}

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
  Result<void> hand_over();

  BackupWriter& writer_;
  PackCrew& crew_;
  Observer& observer_;
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
};

}  // namespace pitr
