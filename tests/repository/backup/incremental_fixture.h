// A data directory that changes between backups, and the chain of incremental backups of it, each
// by the way (facts, digests, everything) that is asked for. The model is the plain bytes.
#pragma once

#include <fmt/format.h>

#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "repository/backup/backup_fixture.h"
#include "repository/backup/block_digests.h"

namespace pitr::backup_test {

// Files, and which of their blocks changed since the last backup.
class ChangingFiles {
 public:
  explicit ChangingFiles(std::mt19937_64& random) : random_(random) {}

  const FileContents& contents() const { return contents_; }
  const std::set<std::uint32_t>& changed(const std::string& path) const;
  bool was_recreated(const std::string& path) const { return recreated_.contains(path); }
  // After a backup.
  void forget_changes();

  void create(const std::string& path, std::size_t size_bytes);
  void write_block(const std::string& path, std::uint32_t block);
  void resize(const std::string& path, std::size_t size_bytes);
  void remove(const std::string& path);
  // One of the above, on a random file.
  void change_something();
  std::string random_path();

 private:
  void mark(const std::string& path, std::size_t from_bytes, std::size_t to_bytes);

  std::mt19937_64& random_;
  FileContents contents_;
  std::map<std::string, std::set<std::uint32_t>> changed_;
  std::set<std::string> recreated_;
};

enum class ReadBy : std::uint8_t { kFacts, kDigests, kWhole };

struct IncrementalRun {
  std::optional<BackupManifest> parent;
  std::uint64_t number = 0;  // makes the id
  ReadBy read_by = ReadBy::kFacts;
  PackOptions options;
  std::vector<ObjectKey> leave_packs;
  std::size_t workers = 2;
};

// kFacts stores the changed blocks and those of leave_packs; kDigests offers everything; kWhole
// stores everything, with or without a parent.
BackupManifest make_incremental(const IncarnationStore& store, const ChangingFiles& files,
                                const IncrementalRun& run);

// Plain bytes of all frames that a restore reads.
std::uint64_t bytes_read_by_restore(const IncarnationStore& store, const BackupManifest& manifest);

// Removes packs and tables that none of these manifests names.
void remove_unreferenced(const IncarnationStore& store,
                         const std::vector<const BackupManifest*>& kept);

std::string first_difference(const FileContents& a, const FileContents& b);

}  // namespace pitr::backup_test
