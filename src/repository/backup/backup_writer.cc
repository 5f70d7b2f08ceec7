#include "repository/backup/backup_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "repository/backup/backup_reader.h"
#include "repository/backup/block_digests.h"
#include "repository/backup/block_mover.h"
#include "repository/backup/own_rows.h"
#include "repository/backup/pack_writer.h"
#include "repository/backup/table_tiers.h"

namespace pitr {
namespace {

// Sizes that manifests of format 1 don't have.
Result<void> fill_in_sizes(const IncarnationStore& store, BackupManifest& manifest) {
  for (auto& table : manifest.block_tables) {
    if (table.stored_bytes > 0) continue;
    const auto stored = TRY(store.storage().stat(store.names().table(table.id)));
    table.stored_bytes = stored.size_bytes;
  }
  for (auto& pack : manifest.packs) {
    if (pack.plain_bytes > 0) continue;
    const auto opened = TRY(SealedReader::open(store, ContainerKind::kPack, pack.key));
    pack.plain_bytes = pack.live_bytes = opened->plain_size_bytes();
    manifest.restore_read_bytes += pack.plain_bytes;
  }
  return {};
}

class RepositoryBackupWriter final : public BackupWriter {
 public:
  RepositoryBackupWriter(IncarnationStore store, BackupId id, const PackOptions& options,
                         std::optional<ParentBackup> parent, BlockDigests parent_digests,
                         LostBlocks lost, Microseconds good_for, const Clock& clock)
      : store_(std::move(store)),
        id_(std::move(id)),
        good_for_(good_for),
        clock_(clock),
        started_(clock.steady_now()),
        options_(options),
        parent_(std::move(parent)),
        parent_digests_(std::move(parent_digests)),
        lost_(std::move(lost)),
        packs_(id_),
        digests_(store_) {}

  Result<std::unique_ptr<PackWriter>> new_pack_writer() override {
    packs_.writer_started();
    return std::make_unique<WorkerPackWriter>(store_, options_, packs_, digests_,
                                              parent_digests_.share(), lost_);
  }
  void add_file(FileRow row, Keep keep) override {
    const std::lock_guard lock(mutex_);
    files_.add(std::move(row), keep);
  }
  Result<BackupManifest> store_manifest(BackupManifest manifest) override;
  Result<void> publish(const BackupManifest& manifest) override;

 private:
  Result<void> check_complete(const BackupManifest& manifest);
  Result<void> check_in_time() const;
  Result<void> check_not_in_trash(const BackupManifest& manifest) const;
  Result<void> take_over_parent(BackupManifest& manifest);
  std::vector<EncodedRows> take_packs(BackupManifest& manifest);
  Result<OwnRows> store_files(BackupManifest& manifest);
  Result<bool> move_from_dead_packs(BackupManifest& manifest, OwnRows& own);
  Result<void> store_contents(BackupManifest& manifest);

  const IncarnationStore store_;
  const BackupId id_;
  const Microseconds good_for_;
  const Clock& clock_;
  const SteadyTime started_;
  const PackOptions options_;
  std::optional<ParentBackup> parent_;
  const BlockDigests parent_digests_;
  const LostBlocks lost_;
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

// Everything that the parent's tables say, for this backup's rows to lie over.
Result<void> RepositoryBackupWriter::take_over_parent(BackupManifest& manifest) {
  auto& parent = parent_->manifest;
  manifest.parent = parent.id;
  manifest.packs = std::move(parent.packs);
  manifest.block_tables = std::move(parent.block_tables);
  manifest.restore_read_bytes = parent.restore_read_bytes;
  manifest.changed_since_moved_bytes = parent.changed_since_moved_bytes;
  // Digests under another key say nothing about these blocks.
  if (parent.digest_epoch == manifest.digest_epoch) {
    manifest.digest_tables = std::move(parent.digest_tables);
  }
  return fill_in_sizes(store_, manifest);
}

std::vector<EncodedRows> RepositoryBackupWriter::take_packs(BackupManifest& manifest) {
  std::vector<EncodedRows> rows;
  for (auto& pack : packs_.take()) {
    rows.push_back(std::move(pack.rows));
    manifest.restore_read_bytes += pack.info.plain_bytes;
    manifest.stored_bytes += pack.info.stored_bytes;
    manifest.packs.push_back(std::move(pack.info));
  }
  return rows;
}

// Takes over what the parent has, puts this backup's own rows on it, and checks that they belong
// together: a backup that cannot be restored is never published.
Result<OwnRows> RepositoryBackupWriter::store_files(BackupManifest& manifest) {
  std::unique_ptr<FileTableReader> parent_files;
  if (parent_) {
    parent_files = TRY(FileTableReader::open(store_, parent_->manifest.file_table));
    TRY(take_over_parent(manifest));
  }
  const auto first_pack = static_cast<std::uint32_t>(manifest.packs.size());
  const auto pack_rows = take_packs(manifest);
  for (auto i = first_pack; parent_ && i < manifest.packs.size(); ++i) {
    manifest.changed_since_moved_bytes += manifest.packs[i].plain_bytes;
  }
  auto own = make_own_rows(store_, files_, pack_rows, first_pack, parent_files.get());
  if (!own) {
    auto error = std::move(own).error();
    // But for the parent's files, nothing was read back yet, so the rows themselves are wrong.
    const bool is_bug = error.kind() == ErrorKind::kCorrupt || error.kind() == ErrorKind::kInvalid;
    if (!is_bug) return std::move(error).with_context("storing tables");
    return Error::internal(fmt::format("backup {} is not whole: {}", id_.text(), error.message()));
  }
  manifest.file_table = own->file_table.id;
  manifest.file_count = own->file_count;
  manifest.total_bytes = own->total_bytes;
  manifest.stored_bytes += own->file_table.stored_bytes;
  return own;
}

// Stores blocks again that lie in packs which are mostly dead, or to be left. True where the tables
// have to be merged: rows that name packs which are no longer needed go by that.
Result<bool> RepositoryBackupWriter::move_from_dead_packs(BackupManifest& manifest, OwnRows& own) {
  if (!parent_ || !move_is_due(manifest, parent_->leave_packs, options_.map)) return false;
  packs_.writer_started();
  WorkerPackWriter into(store_, options_, packs_, digests_, parent_digests_.share(), lost_);
  const auto moved =
      TRY(move_blocks(store_, manifest, own.blocks, files_, parent_->leave_packs, into));
  TRY(into.finish());
  manifest.restore_read_bytes = moved.read_bytes;
  manifest.changed_since_moved_bytes = 0;
  const auto first_pack = static_cast<std::uint32_t>(manifest.packs.size());
  const auto rows = take_packs(manifest);
  own.blocks = TRY(add_rows(std::move(own.blocks), rows, first_pack));
  return moved.moved_bytes > 0 || !parent_->leave_packs.empty();
}

Result<void> RepositoryBackupWriter::store_contents(BackupManifest& manifest) {
  auto own = TRY(store_files(manifest));
  const bool moved = TRY(move_from_dead_packs(manifest, own));
  auto blocks =
      TRY(stack_block_tables(store_, own.blocks, files_, std::move(manifest.block_tables),
                             std::move(manifest.packs), options_.map, /*merge_all=*/moved));
  manifest.block_tables = std::move(blocks.tables);
  manifest.packs = std::move(blocks.packs);
  auto digests = TRY(stack_digest_tables(store_, digests_.take(), std::move(own.digest_tombstones),
                                         std::move(manifest.digest_tables), options_.map));
  manifest.digest_tables = std::move(digests.tables);
  manifest.stored_bytes += blocks.written_bytes + digests.written_bytes;
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

// Expire takes it for dead some time after that, and collects what it stored.
Result<void> RepositoryBackupWriter::check_in_time() const {
  const auto took = clock_.steady_now() - started_;
  if (took < good_for_) return {};
  return Error::conflict(
             fmt::format("backup {} took {} h, and may not take more than {} h: expire may have "
                         "removed what it refers to",
                         id_.text(), std::chrono::duration_cast<std::chrono::hours>(took).count(),
                         std::chrono::duration_cast<std::chrono::hours>(good_for_).count()))
      .with_hint("set a longer grace in the section \"retention\" of the configuration");
}

// It can't be there in time; the last thing to ask before somebody may rely on this backup.
Result<void> RepositoryBackupWriter::check_not_in_trash(const BackupManifest& manifest) const {
  const auto records = TRY(read_trash(store_));
  const auto trash = trash_at(store_, records, Timestamp());
  if (trash.objects.empty()) return {};
  std::set<std::string> needed;
  add_contents(store_, manifest, needed);
  for (const auto& name : needed) {
    if (!trash.objects.contains(name)) continue;
    return Error::conflict(
               fmt::format("backup {} can't be published: {} is being deleted", id_.text(), name))
        .with_hint("start it again");
  }
  return {};
}

Result<void> RepositoryBackupWriter::publish(const BackupManifest& manifest) {
  const std::lock_guard lock(mutex_);
  if (!manifest_stored_ || manifest.id != id_) {
    return Error::internal(fmt::format("backup {} published without its manifest", id_.text()));
  }
  TRY(check_not_in_trash(manifest));
  TRY(check_in_time());
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
                                                          std::optional<ParentBackup> parent,
                                                          const Clock& clock) {
  TRY(check_parent(store, intent, parent));
  auto digests = TRY(open_parent_digests(store, intent.id, parent));
  auto lost = parent ? TRY(LostBlocks::read(store, *parent)) : LostBlocks();
  const auto encoded = encode_intent(intent);
  // Nobody else has this id, but if somebody had, two backups would mix.
  TRY(store.put_sealed_if_absent(ContainerKind::kIntent, store.names().backup_intent(intent.id),
                                 encoded));
  // Expire says what it drops, and looks at intents again then.
  if (parent) {
    const auto records = TRY(read_trash(store));
    const auto stored = TRY(store.storage().stat(store.names().backup_intent(intent.id)));
    TRY(check_not_dropped(store, parent->manifest.id, trash_at(store, records, stored.modified)));
  }
  return std::make_unique<RepositoryBackupWriter>(store, intent.id, options, std::move(parent),
                                                  std::move(digests), std::move(lost),
                                                  intent.good_for, clock);
}

}  // namespace pitr
