#include "repository/backup/backup_writer.h"

#include <fmt/format.h>

#include <algorithm>

#include "repository/backup/block_map.h"
#include "repository/backup/encoded_rows.h"
#include "repository/backup/pack_writer.h"
#include "repository/backup/table_writer.h"

namespace pitr {
namespace {

// File rows wait unsorted until there are so many, and encoded from then on (some 50 bytes each).
constexpr std::size_t kFilesPerRun = 1 << 14;

// The rows of all packs of a backup in one order.
class PackRows final : public BlockRowSource {
 public:
  explicit PackRows(RunMerge<BlockRowDecoder> merge) : merge_(std::move(merge)) {}
  Result<bool> next() override {
    const bool found = TRY(merge_.next());
    if (!found) return false;
    row_ = merge_.row();
    row_.pack = static_cast<std::uint32_t>(merge_.run());
    return true;
  }
  const PackedBlockRow& row() const override { return row_; }

 private:
  RunMerge<BlockRowDecoder> merge_;
  PackedBlockRow row_;
};

class RepositoryBackupWriter final : public BackupWriter {
 public:
  RepositoryBackupWriter(IncarnationStore store, BackupId id, const PackOptions& options)
      : store_(std::move(store)), id_(std::move(id)), options_(options), packs_(id_) {}

  Result<std::unique_ptr<PackWriter>> new_pack_writer() override {
    packs_.writer_started();
    return std::make_unique<WorkerPackWriter>(store_, options_, packs_);
  }
  void add_file(FileRow row) override;
  Result<BackupManifest> store_manifest(BackupManifest manifest) override;
  Result<void> publish(const BackupManifest& manifest) override;

 private:
  Result<void> check_complete(const BackupManifest& manifest);
  void encode_waiting_files();
  Result<void> store_tables(BackupManifest& manifest, std::vector<FinishedPack> packs);

  const IncarnationStore store_;
  const BackupId id_;
  const PackOptions options_;
  PackList packs_;

  std::mutex mutex_;
  std::vector<FileRow> waiting_files_;  // guarded
  std::vector<EncodedRows> files_;      // guarded
  std::optional<Error> bad_file_;       // guarded
  bool manifest_stored_ = false;
};

void RepositoryBackupWriter::add_file(FileRow row) {
  auto checked = check_row(row);
  const std::lock_guard lock(mutex_);
  if (!checked) {
    if (!bad_file_) bad_file_ = checked.error();
    return;
  }
  waiting_files_.push_back(std::move(row));
  if (waiting_files_.size() == kFilesPerRun) encode_waiting_files();
}

void RepositoryBackupWriter::encode_waiting_files() {
  auto run = encode_rows<FileRowEncoder>(std::move(waiting_files_));
  waiting_files_.clear();
  if (run) {
    files_.push_back(std::move(*run));
  } else if (!bad_file_) {
    bad_file_ = run.error();
  }
}

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

// One pass over files and blocks, which checks that they belong together: a backup that cannot be
// restored is never published.
Result<void> RepositoryBackupWriter::store_tables(BackupManifest& manifest,
                                                  std::vector<FinishedPack> packs) {
  std::vector<EncodedRows> runs;
  std::vector<PackRef> refs;
  for (auto& pack : packs) {
    runs.push_back(std::move(pack.rows));
    refs.push_back(pack.ref);
    manifest.packs.push_back(pack.info);
    manifest.stored_bytes += pack.info.stored_bytes;
  }
  auto pack_rows = TRY(RunMerge<BlockRowDecoder>::open(runs));
  std::vector<std::unique_ptr<BlockRowSource>> layers;
  layers.push_back(std::make_unique<PackRows>(std::move(pack_rows)));
  auto blocks = TRY(BlockMap::open(std::move(layers)));
  auto files = TRY(RunMerge<FileRowDecoder>::open(files_));
  const auto file_table = TRY(PackedFileTableWriter::create(store_));
  const auto block_table = TRY(PackedBlockTableWriter::create(store_));

  while (true) {
    const bool found = TRY(files.next());
    if (!found) break;
    const FileRow& file = files.row();
    TRY(file_table->add(file));
    const auto rows = TRY(blocks.rows_of(file));
    for (const auto& row : rows) TRY(block_table->add(row));
    if (file.type == FileType::kFile) ++manifest.file_count;
    manifest.total_bytes += file.size_bytes;
  }
  TRY(blocks.finish());
  manifest.file_table = TRY(file_table->finish({}));
  const auto block_table_id = TRY(block_table->finish(std::move(refs)));
  manifest.block_tables.push_back(block_table_id);
  manifest.stored_bytes += file_table->stored_size_bytes() + block_table->stored_size_bytes();
  return {};
}

Result<BackupManifest> RepositoryBackupWriter::store_manifest(BackupManifest manifest) {
  TRY(check_complete(manifest));
  const std::lock_guard lock(mutex_);
  if (manifest_stored_) return Error::internal("a manifest is stored once");
  encode_waiting_files();
  if (bad_file_) return *bad_file_;

  manifest.segment_size_bytes = store_.segment_size().bytes();
  manifest.file_table.clear();
  manifest.block_tables.clear();
  manifest.packs.clear();
  manifest.file_count = manifest.total_bytes = manifest.stored_bytes = 0;
  if (manifest.read_bytes == 0) manifest.read_bytes = packs_.read_bytes();
  auto stored = store_tables(manifest, packs_.take());
  if (!stored) {
    auto error = std::move(stored).error();
    // Nothing was read back yet, so the rows themselves are wrong.
    const bool is_bug = error.kind() == ErrorKind::kCorrupt || error.kind() == ErrorKind::kInvalid;
    if (!is_bug) return std::move(error).with_context("storing tables");
    return Error::internal(fmt::format("backup {} is not whole: {}", id_.text(), error.message()));
  }
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

Result<std::unique_ptr<BackupWriter>> BackupWriter::start(const IncarnationStore& store,
                                                          const BackupIntent& intent,
                                                          const PackOptions& options) {
  const auto encoded = encode_intent(intent);
  // Nobody else has this id, but if somebody had, two backups would mix.
  TRY(store.put_sealed_if_absent(ContainerKind::kIntent, store.names().backup_intent(intent.id),
                                 encoded));
  return std::make_unique<RepositoryBackupWriter>(store, intent.id, options);
}

}  // namespace pitr
