// From the configuration to an open repository: the place where concrete storage is named, and
// where the configuration's words become those of the layers below.
//
// RepositoryAccess owns storage and repository; whoever opened it owns it, and outlives everything
// that uses them. Thread-safe.
#pragma once

#include <memory>
#include <optional>

#include "basebackup/base_backup.h"
#include "codec/keyring.h"
#include "common/clock.h"
#include "config/config.h"
#include "repository/expire/expire.h"
#include "repository/repository.h"
#include "repository/wal/wal_archive.h"
#include "storage/measured/measured_storage.h"
#include "walreceiver/wal_receiver.h"

namespace pitr {

class RepositoryAccess {
 public:
  // Errors as of Repository::open(), and those of the key's source.
  static Result<std::unique_ptr<RepositoryAccess>> open(const Config& config, const Clock& clock);

  Storage& storage() { return measured_; }
  const StorageMeter& meter() const { return meter_; }
  Repository& repository() { return *repository_; }

  // Reads the key, as `config` says now, and takes up the data keys that were added since; logs
  // which. After an error what was known goes on to count.
  Result<void> reload_keys(const Config& config);

 private:
  explicit RepositoryAccess(std::unique_ptr<Storage> storage)
      : storage_(std::move(storage)), measured_(*storage_, meter_) {}
  std::unique_ptr<Storage> storage_;
  StorageMeter meter_;
  MeasuredStorage measured_;
  std::unique_ptr<Repository> repository_;
};

// nullopt: the configuration says "encryption: none".
Result<std::optional<KeyEncryptionKey>> read_encryption_key(const EncryptionConfig& config);

struct RepositoryInit {
  bool made_key = false;
  bool made_repository = false;
  std::string key_id;  // empty without encryption
};
// Makes what is missing: the key file (only where the key comes from a file), the directory and the
// repository in it. What is there is opened, which proves that it fits. A repository that is there
// never gets a new key.
Result<RepositoryInit> init_repository(const Config& config, const Clock& clock);

// The configuration in the words of the layers below.
WalArchive::Options wal_archive_options(const WalConfig& config);
WalReceiverOptions wal_receiver_options(const ClusterConfig& config);
PackOptions pack_options(const CompressionConfig& config);
RetentionPolicy retention_policy(const RetentionConfig& config);
ExpireOptions expire_options(const RetentionConfig& config);

}  // namespace pitr
