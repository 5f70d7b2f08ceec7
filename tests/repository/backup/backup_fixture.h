// Backups of invented files in a repository of a test's own.
//
//   BackupRepository repository;                     // in memory, encrypted
//   auto manifest = make_backup(repository.store(), {{"PG_VERSION", {'1', '5', '\n'}}});
//   EXPECT_EQ(restore(repository.store(), manifest), files);
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "repository/backup/backup_reader.h"
#include "repository/backup/backup_writer.h"
#include "storage/memory/memory_storage.h"
#include "support/must.h"

namespace pitr::backup_test {

using test::must;

using FileContents = std::map<std::string, Bytes>;

class BackupRepository {
 public:
  enum class Cipher : std::uint8_t { kNone, kAes };

  BackupRepository() : BackupRepository(Cipher::kAes) {}
  explicit BackupRepository(Cipher cipher);
  // In a storage of the caller's.
  BackupRepository(Storage& storage, Cipher cipher);

  Storage& storage() { return repository_->storage(); }
  const IncarnationStore& store() const { return *store_; }
  // The same storage, opened with some other key.
  Result<std::unique_ptr<Repository>> open_with(const std::optional<KeyEncryptionKey>& key) {
    return Repository::open(storage(), key);
  }

 private:
  void open(Storage& storage, Cipher cipher);
  SystemClock clock_;
  std::unique_ptr<MemoryStorage> memory_;
  std::optional<KeyEncryptionKey> key_;
  std::unique_ptr<Repository> repository_;
  std::optional<IncarnationStore> store_;
};

struct BackupRun {
  BackupId id = BackupId::make(Timestamp::from_unix_us(1'772'356'500'000'000), 1);
  PackOptions options;
  int workers = 1;
  std::size_t read_bytes = 256 << 10;  // of a file at once: whole blocks
  bool publish = true;
};

std::unique_ptr<BackupWriter> start_backup(const IncarnationStore& store, const BackupRun& run);
BackupManifest manifest_of(const IncarnationStore& store, const BackupId& id);
FileRow file_row(const std::string& path, std::uint64_t size_bytes);

BackupManifest make_backup(const IncarnationStore& store, const FileContents& files,
                           const BackupRun& run = {});
// All pieces, put together by several threads. Every byte of every file must be there once.
Result<FileContents> try_restore(const IncarnationStore& store, const BackupManifest& manifest,
                                 std::uint64_t most_placements = kMostPlacements);
FileContents restore(const IncarnationStore& store, const BackupManifest& manifest,
                     std::uint64_t most_placements = kMostPlacements);

// Half compressible, like table pages.
Bytes random_content(std::mt19937_64& random, std::size_t size_bytes);
FileContents random_files(std::uint64_t seed);

// Damage. Everything goes through Storage, so it works on every backend.
void flip_byte(Storage& storage, const ObjectKey& key, std::uint64_t offset);
void truncate(Storage& storage, const ObjectKey& key, std::uint64_t size_bytes);
void swap_objects(Storage& storage, const ObjectKey& a, const ObjectKey& b);

}  // namespace pitr::backup_test
