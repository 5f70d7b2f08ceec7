#include "repository/backup/backup_writer.h"

#include <fmt/format.h>

#include <algorithm>

#include "repository/backup/block_digests.h"
#include "repository/backup/own_rows.h"
#include "repository/backup/pack_writer.h"
#include "repository/backup/table_tiers.h"

namespace pitr {
namespace {

class RepositoryBackupWriter final : public BackupWriter {
 public:
  RepositoryBackupWriter(IncarnationStore store, BackupId id, const PackOptions& options,
                         std::optional<ParentBackup> parent, BlockDigests parent_digests)
      : store_(std::move(store)),
        id_(std::move(id)),
        options_(options),
        parent_(std::move(parent)),
        parent_digests_(std::move(parent_digests)),
        packs_(id_),
        digests_(store_) {}

  Result<std::unique_ptr<PackWriter>> new_pack_writer() override {
    packs_.writer_started();
    return std::make_unique<WorkerPackWriter>(store_, options_, packs_, digests_,
                                              parent_digests_.share());
  }
  void add_file(FileRow row, Keep keep) override {
    const std::lock_guard lock(mutex_);
    files_.add(std::move(row), keep);
  }
  Result<BackupManifest> store_manifest(BackupManifest manifest) override;
  Result<void> publish(const BackupManifest& manifest) override;

 private:
  Result<void> check_complete(const BackupManifest& manifest);
  Result<void> store_contents(BackupManifest& manifest);
  Result<void> store_blocks(BackupManifest& manifest, OwnRows own);

  const IncarnationStore store_;
  const BackupId id_;
  const PackOptions options_;
  std::optional<ParentBackup> parent_;
  const BlockDigests parent_digests_;
  PackList packs_;
  DigestRuns digests_;

  std::mutex mutex_;
  FileRuns files_;  // guarded
  bool manifest_stored_ = false;
};

Result<void> RepositoryBackupWriter::check_complete(const BackupManifest& manifest) {
  if (manifest.id != id_ || manifest.incarnation != store_.id()) {
    return Error::internal(fmt::format("manifest of {} in {} stored as {} in {}",
                                       manifest.id.text(), to_string(manifest.incarnation),
                                       id_.text(), to_string(store_.id())));
  }
  const auto unfinished = packs_.unfinished_writers();
  if (unfinished == 0) return {};
  return Error::internal(
      fmt::format("backup {}: {} pack writers are not finished", id_.text(), unfinished));
}

// Takes over what the parent has, puts this backup's own rows on it, and checks that they belong
// together: a backup that cannot be restored is never published.
Result<void> RepositoryBackupWriter::store_contents(BackupManifest& manifest) {
  auto stored = packs_.take();
  std::vector<EncodedRows> pack_rows;
  std::uint64_t changed_bytes = 0;
  std::unique_ptr<FileTableReader> parent_files;
  if (parent_) {
    auto& parent = parent_->manifest;
    manifest.parent = parent.id;
    parent_files = TRY(FileTableReader::open(store_, parent.file_table));
    manifest.packs = std::move(parent.packs);
    manifest.block_tables = std::move(parent.block_tables);
    manifest.restore_read_bytes = parent.restore_read_bytes;
    manifest.changed_since_moved_bytes = parent.changed_since_moved_bytes;
    // Digests under another key say nothing about these blocks.
    if (parent.digest_epoch == manifest.digest_epoch) {
      manifest.digest_tables = std::move(parent.digest_tables);
    }
  }
  const auto first_pack = static_cast<std::uint32_t>(manifest.packs.size());
  for (auto& pack : stored) {
    pack_rows.push_back(std::move(pack.rows));
    changed_bytes += pack.info.plain_bytes;
    manifest.stored_bytes += pack.info.stored_bytes;
    manifest.packs.push_back(std::move(pack.info));
  }
  manifest.restore_read_bytes += changed_bytes;
  manifest.changed_since_moved_bytes += changed_bytes;
  auto own = make_own_rows(store_, files_, pack_rows, first_pack, parent_files.get());
  if (!own) {
    auto error = std::move(own).error();
    // But for the parent's files, nothing was read back yet, so the rows themselves are wrong.
    const bool is_bug = error.kind() == ErrorKind::kCorrupt || error.kind() == ErrorKind::kInvalid;
    if (!is_bug) return std::move(error).with_context("storing tables");
    return Error::internal(fmt::format("backup {} is not whole: {}", id_.text(), error.message()));
  }
  return store_blocks(manifest, std::move(*own));
}

Result<void> RepositoryBackupWriter::store_blocks(BackupManifest& manifest, OwnRows own) {
  manifest.file_table = own.file_table.id;
  manifest.file_count = own.file_count;
  manifest.total_bytes = own.total_bytes;
  auto blocks = TRY(stack_block_tables(store_, own.blocks, files_, std::move(manifest.block_tables),
                                       std::move(manifest.packs), /*merge_all=*/false));
  manifest.block_tables = std::move(blocks.tables);
  manifest.packs = std::move(blocks.packs);
  auto digests = TRY(stack_digest_tables(store_, digests_.take(), std::move(own.digest_tombstones),
                                         std::move(manifest.digest_tables)));
  manifest.digest_tables = std::move(digests.tables);
  manifest.stored_bytes +=
      own.file_table.stored_bytes + blocks.written_bytes + digests.written_bytes;
  return {};
}

Result<BackupManifest> RepositoryBackupWriter::store_manifest(BackupManifest manifest) {
  TRY(check_complete(manifest));
  const std::lock_guard lock(mutex_);
  if (manifest_stored_) return Error::internal("a manifest is stored once");
  TRY(files_.finish());

  manifest.segment_size_bytes = store_.segment_size().bytes();
  manifest.parent.reset();
  manifest.block_tables.clear();
  manifest.packs.clear();
  manifest.digest_tables.clear();
  manifest.digest_epoch = parent_digests_.hasher().epoch();
  manifest.restore_read_bytes = manifest.changed_since_moved_bytes = manifest.stored_bytes = 0;
  if (manifest.read_bytes == 0) manifest.read_bytes = packs_.read_bytes();
  TRY(store_contents(manifest));
  const auto encoded = encode_manifest(manifest);
  TRY(store_.put_sealed(ContainerKind::kManifest, store_.names().backup_manifest(id_), encoded));
  manifest_stored_ = true;
  return manifest;
}

Result<void> RepositoryBackupWriter::publish(const BackupManifest& manifest) {
  const std::lock_guard lock(mutex_);
  if (!manifest_stored_ || manifest.id != id_) {
    return Error::internal(fmt::format("backup {} published without its manifest", id_.text()));
  }
  const auto summary = to_backup_json(manifest);
  return store_.storage().put(store_.names().backup_json(id_), as_bytes(summary));
}

}  // namespace

static Result<void> check_parent(const IncarnationStore& store, const BackupIntent& intent,
                                 const std::optional<ParentBackup>& parent) {
  const bool is_named = parent ? intent.parent == parent->manifest.id : !intent.parent.has_value();
  if (!is_named) {
    return Error::internal(
        fmt::format("the intent of backup {} does not name its parent", intent.id.text()));
  }
  if (!parent || parent->manifest.incarnation == store.id()) return {};
  return Error::invalid(
      fmt::format("backup {} of {} can't be the parent of one of {}", parent->manifest.id.text(),
                  to_string(parent->manifest.incarnation), to_string(store.id())));
}

// Without a parent, or with one whose digests can't be compared, of none.
static Result<BlockDigests> open_parent_digests(const IncarnationStore& store, const BackupId& id,
                                                const std::optional<ParentBackup>& parent) {
  if (parent) return BlockDigests::open(store, parent->manifest);
  BackupManifest none(id);
  const auto* key = store.sealing_key();
  none.digest_epoch = key == nullptr ? 0 : key->epoch;
  return BlockDigests::open(store, none);
}

Result<std::unique_ptr<BackupWriter>> BackupWriter::start(const IncarnationStore& store,
                                                          const BackupIntent& intent,
                                                          const PackOptions& options,
                                                          std::optional<ParentBackup> parent) {
  TRY(check_parent(store, intent, parent));
  auto digests = TRY(open_parent_digests(store, intent.id, parent));
  const auto encoded = encode_intent(intent);
  // Nobody else has this id, but if somebody had, two backups would mix.
  TRY(store.put_sealed_if_absent(ContainerKind::kIntent, store.names().backup_intent(intent.id),
                                 encoded));
  return std::make_unique<RepositoryBackupWriter>(store, intent.id, options, std::move(parent),
                                                  std::move(digests));
}

}  // namespace pitr
