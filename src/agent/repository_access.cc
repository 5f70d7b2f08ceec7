#include "agent/repository_access.h"

#include <fmt/format.h>

#include "agent/key_file.h"
#include "common/log.h"
#include "storage/local/local_storage.h"

namespace pitr {

Result<std::optional<KeyEncryptionKey>> read_encryption_key(const EncryptionConfig& config) {
  using Source = EncryptionConfig::Source;
  std::optional<KeyEncryptionKey> key;
  switch (config.source) {
    case Source::kKeyFile:
      key = TRY(read_key_file(config.value));
      break;
    case Source::kKeyEnvironment:
      key = TRY(read_key_environment(config.value));
      break;
    case Source::kKeyCommand:
      key = TRY(run_key_command(config.value));
      break;
    case Source::kNone:
      break;
  }
  return key;
}

static Result<std::unique_ptr<Storage>> open_storage(const RepositoryConfig& config,
                                                     const Clock& clock) {
  auto opened = LocalStorage::open(config.path, clock);
  if (!opened && opened.error().kind() == ErrorKind::kInvalid) {
    return std::move(opened).error().with_hint(
        "if its file system isn't mounted, mount it; \"pitr init\" makes a new repository");
  }
  auto storage = TRY(std::move(opened));
  return std::unique_ptr<Storage>(std::move(storage));
}

Result<std::unique_ptr<RepositoryAccess>> RepositoryAccess::open(const Config& config,
                                                                 const Clock& clock) {
  const auto key = TRY(read_encryption_key(config.encryption));
  auto storage = TRY(open_storage(config.repository, clock));
  std::unique_ptr<RepositoryAccess> access(new RepositoryAccess(std::move(storage)));
  access->repository_ = TRY(Repository::open(access->measured_, key));
  return access;
}

Result<void> RepositoryAccess::reload_keys(const Config& config) {
  if (!repository_->encrypted()) return {};
  const auto key = TRY(read_encryption_key(config.encryption));
  const auto learned = TRY(repository_->learn_keys(key));
  for (const auto epoch : learned) log::info("keys: the data key of epoch {} is new", epoch);
  if (key) {
    log::info("keys: key {} is read; what is written is sealed with the data key of epoch {}",
              key->id(), repository_->keyring().newest()->epoch);
  }
  return {};
}

static Result<bool> repository_exists(Storage& storage) {
  const auto found = storage.stat(layout::repository_json());
  if (found) return true;
  if (found.error().kind() == ErrorKind::kNotFound) return false;
  return found.error();
}

// A new key for a repository that is there would only hide that the right one is missing.
static Result<bool> make_key_file(const EncryptionConfig& config, bool repository_is_there) {
  if (config.source != EncryptionConfig::Source::kKeyFile) return false;
  const Path path = config.value;
  std::error_code error;
  const bool exists = std::filesystem::exists(path, error);
  if (error) return Error::from_errno(error.value(), "looking for the key file " + path.native());
  if (exists) return false;
  if (repository_is_there) {
    return Error::denied(fmt::format("the key file {} is missing, and there is a repository that "
                                     "was made with a key",
                                     path.native()))
        .with_hint("bring the key file back from where you keep its copy");
  }
  TRY(create_directories_durably(path.parent_path(), 0750));
  TRY(read_or_create_key_file(path));
  return true;
}

Result<RepositoryInit> init_repository(const Config& config, const Clock& clock) {
  auto storage = TRY(LocalStorage::create(config.repository.path, clock));
  const bool is_there = TRY(repository_exists(*storage));
  RepositoryInit report;
  report.made_key = TRY(make_key_file(config.encryption, is_there));
  const auto key = TRY(read_encryption_key(config.encryption));
  if (key) report.key_id = key->id();
  if (is_there) {
    auto opened = Repository::open(*storage, key);
    // Without a data key its initialisation was interrupted: init() completes it.
    if (opened) return report;
    const bool unfinished = opened.error().kind() == ErrorKind::kInvalid && key;
    if (!unfinished) return std::move(opened).error();
  }
  TRY(Repository::init(*storage, key));
  report.made_repository = true;
  return report;
}

static Compression to_compression(CompressionConfig::Method method) {
  switch (method) {
    case CompressionConfig::Method::kLz4:
      return Compression::kLz4;
    case CompressionConfig::Method::kZstd:
      return Compression::kZstd;
    case CompressionConfig::Method::kNone:
      return Compression::kNone;
  }
  return Compression::kLz4;
}

static int to_level(const CompressionConfig& config) {
  return config.method == CompressionConfig::Method::kZstd ? config.level : 0;
}

WalArchive::Options wal_archive_options(const WalConfig& config) {
  return {to_compression(config.compression.method), to_level(config.compression)};
}

PackOptions pack_options(const CompressionConfig& config) {
  PackOptions options;
  options.compression = to_compression(config.method);
  options.level = to_level(config);
  return options;
}

WalReceiverOptions wal_receiver_options(const ClusterConfig& config) {
  WalReceiverOptions options;
  options.conninfo = config.connection;
  options.slot_name = config.slot;
  options.application_name = config.application_name;
  options.stall_timeout = config.wal.stall_timeout;
  return options;
}

RetentionPolicy retention_policy(const RetentionConfig& config) {
  RetentionPolicy policy;
  policy.keep_last = config.keep_last;
  policy.keep_daily = config.keep_daily;
  policy.keep_weekly = config.keep_weekly;
  policy.keep_monthly = config.keep_monthly;
  policy.keep_yearly = config.keep_yearly;
  policy.keep_within = config.keep_within;
  policy.keep_verified = config.keep_verified;
  policy.max_size_bytes = config.max_size_bytes;
  policy.time_zone = config.time_zone;
  return policy;
}

ExpireOptions expire_options(const RetentionConfig& config) {
  return {retention_policy(config), config.grace, /*dry_run=*/false};
}

}  // namespace pitr
