// Takes a base backup into a directory: tablespaces at pg_tblspc/<oid>, the manifest as a file.
#pragma once

#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "postgres/base_backup_stream.h"
#include "postgres/tar_reader.h"

namespace pitr::test {

class TreeWriter : public TarSink {
 public:
  explicit TreeWriter(Path directory) : directory_(std::move(directory)) {}

  void begin_archive(std::string prefix) { prefix_ = std::move(prefix); }

  Result<void> entry(const TarEntry& entry) override {
    const auto path = prefix_ + entry.path;
    paths.insert(path);
    std::filesystem::create_directories((directory_ / path).parent_path());
    if (entry.kind == TarEntry::Kind::kDirectory) {
      std::filesystem::create_directories(directory_ / path);
    }
    if (entry.kind == TarEntry::Kind::kFile) {
      file_.open(directory_ / path, std::ios::binary | std::ios::trunc);
    }
    return {};
  }
  Result<void> data(ByteView bytes) override {
    file_.write(reinterpret_cast<const char*>(bytes.data()),
                static_cast<std::streamsize>(bytes.size()));
    return {};
  }
  Result<void> entry_end() override {
    if (file_.is_open()) file_.close();
    return {};
  }

  std::set<std::string> paths;

 private:
  Path directory_;
  std::string prefix_;
  std::ofstream file_;
};

class Unpacker : public BaseBackupSink {
 public:
  explicit Unpacker(const Path& directory)
      : tree_(directory), manifest_(directory / "backup_manifest", std::ios::binary) {}

  Result<void> begin(const BaseBackupStart& start) override {
    started = start;
    return {};
  }
  Result<void> archive(const BackupTablespace& tablespace) override {
    TRY(finish());
    const auto oid = std::to_string(tablespace.oid);
    tree_.begin_archive(tablespace.oid == 0 ? "" : "pg_tblspc/" + oid + "/");
    reader_.emplace(tree_);
    archives.push_back(tablespace.oid);
    return {};
  }
  Result<void> data(ByteView bytes) override {
    received_bytes += bytes.size();
    return reader_->feed(bytes);
  }
  Result<void> manifest_data(ByteView bytes) override {
    manifest_.write(reinterpret_cast<const char*>(bytes.data()),
                    static_cast<std::streamsize>(bytes.size()));
    return {};
  }
  void progress(std::uint64_t bytes_done) override { reported_bytes = bytes_done; }

  Result<void> finish() {
    manifest_.flush();
    if (!reader_) return {};
    return reader_->finish();
  }
  const std::set<std::string>& paths() const { return tree_.paths; }

  BaseBackupStart started;
  std::vector<std::uint32_t> archives;
  std::uint64_t received_bytes = 0;
  std::uint64_t reported_bytes = 0;

 private:
  TreeWriter tree_;
  std::optional<TarReader> reader_;
  std::ofstream manifest_;
};

}  // namespace pitr::test
