#include "repository/backup/backup_fixture.h"

#include <fmt/format.h>

#include <atomic>
#include <mutex>
#include <thread>

namespace pitr::backup_test {

static constexpr std::uint64_t kWholeObject = 1ull << 30;

BackupRepository::BackupRepository(Cipher cipher)
    : memory_(std::make_unique<MemoryStorage>(clock_)) {
  open(*memory_, cipher);
}

BackupRepository::BackupRepository(Storage& storage, Cipher cipher) {
  open(storage, cipher);
}

void BackupRepository::open(Storage& storage, Cipher cipher) {
  if (cipher == Cipher::kAes) key_ = must(KeyEncryptionKey::generate());
  repository_ = must(Repository::init(storage, key_));
  store_.emplace(*repository_, IncarnationId{"main", 7'301'234'567'890'123'456, 15}, SegmentSize());
}

std::unique_ptr<BackupWriter> start_backup(const IncarnationStore& store, const BackupRun& run) {
  const BackupIntent intent{run.id, "db1", Timestamp::from_unix_us(1'772'356'500'000'000),
                            Lsn(0x2000028), std::nullopt};
  return must(BackupWriter::start(store, intent, run.options));
}

BackupManifest manifest_of(const IncarnationStore& store, const BackupId& id) {
  BackupManifest manifest(id);
  manifest.incarnation = store.id();
  manifest.host = "db1";
  manifest.label = "nightly";
  manifest.server_version_num = 150'004;
  manifest.segment_size_bytes = store.segment_size().bytes();
  manifest.timeline = TimelineId(1);
  manifest.start_lsn = Lsn(0x2000028);
  manifest.stop_lsn = Lsn(0x2000130);
  manifest.start_time = Timestamp::from_unix_us(1'772'356'500'123'456);
  manifest.stop_time = Timestamp::from_unix_us(1'772'356'501'000'000);
  return manifest;
}

FileRow file_row(const std::string& path, std::uint64_t size_bytes) {
  return {path, FileType::kFile, 0600, size_bytes, Timestamp::from_unix_us(1'700'000'000'000'000),
          ""};
}

static Result<void> write_files(BackupWriter& writer, PackWriter& packs,
                                const std::vector<const FileContents::value_type*>& files,
                                std::atomic<std::size_t>& next, std::size_t read_bytes) {
  for (auto i = next++; i < files.size(); i = next++) {
    const auto& [path, content] = *files[i];
    for (std::size_t at = 0; at < content.size(); at += read_bytes) {
      const auto piece = ByteView(content).subspan(at, std::min(read_bytes, content.size() - at));
      TRY(packs.add(path, static_cast<std::uint32_t>(at / kBlockSize), piece));
    }
    writer.add_file(file_row(path, content.size()));
  }
  return packs.finish();
}

BackupManifest make_backup(const IncarnationStore& store, const FileContents& files,
                           const BackupRun& run) {
  const auto writer = start_backup(store, run);
  std::vector<const FileContents::value_type*> order;
  for (const auto& file : files) order.push_back(&file);
  std::atomic<std::size_t> next = 0;
  std::vector<std::unique_ptr<PackWriter>> packs(static_cast<std::size_t>(run.workers));
  std::vector<Result<void>> results(packs.size());
  {
    std::vector<std::jthread> workers;
    for (std::size_t i = 0; i < packs.size(); ++i) {
      packs[i] = must(writer->new_pack_writer());
      workers.emplace_back(
          [&, i] { results[i] = write_files(*writer, *packs[i], order, next, run.read_bytes); });
    }
  }
  for (auto& result : results) must(std::move(result));
  auto manifest = must(writer->store_manifest(manifest_of(store, run.id)));
  if (run.publish) must(writer->publish(manifest));
  return manifest;
}

static Result<void> restore_pieces(const BackupContents& contents, const PackPieces& pieces,
                                   std::atomic<std::size_t>& next, std::vector<Bytes>& files,
                                   std::vector<std::uint64_t>& written, std::mutex& mutex) {
  Bytes buffer;
  for (auto i = next++; i < pieces.size(); i = next++) {
    const auto& piece = pieces[i];
    TRY(contents.read(piece, buffer));
    const std::lock_guard lock(mutex);
    for (const auto& part : piece.placements) {
      if (part.piece_offset + part.size_bytes > buffer.size())
        return Error::internal("a short piece");
      const auto from = buffer.begin() + static_cast<std::ptrdiff_t>(part.piece_offset);
      std::copy_n(from, part.size_bytes,
                  files.at(part.file).begin() + static_cast<std::ptrdiff_t>(part.file_offset));
      written[part.file] += part.size_bytes;
    }
  }
  return {};
}

Result<FileContents> try_restore(const IncarnationStore& store, const BackupManifest& manifest,
                                 std::uint64_t most_placements) {
  const auto contents = TRY(BackupContents::open(store, manifest, nullptr, most_placements));
  std::vector<Bytes> files;
  for (const auto& file : contents->files()) files.emplace_back(file.size_bytes);
  std::vector<std::uint64_t> written(files.size());
  std::mutex mutex;
  for (std::size_t number = 0; number < contents->batch_count(); ++number) {
    const auto pieces = TRY(contents->batch(number));
    std::atomic<std::size_t> next = 0;
    Result<void> results[2];
    {
      std::jthread other(
          [&] { results[1] = restore_pieces(*contents, *pieces, next, files, written, mutex); });
      results[0] = restore_pieces(*contents, *pieces, next, files, written, mutex);
    }
    TRY(results[0]);
    TRY(results[1]);
  }
  FileContents restored;
  for (std::uint32_t i = 0; i < files.size(); ++i) {
    const auto& row = contents->files()[i];
    if (contents->wanted_bytes(i) != written[i]) return Error::internal(row.path + ": miscounted");
    if (written[i] != row.size_bytes) return Error::internal(row.path + " is not written once");
    if (row.type == FileType::kFile) restored.emplace(row.path, std::move(files[i]));
  }
  return restored;
}

FileContents restore(const IncarnationStore& store, const BackupManifest& manifest,
                     std::uint64_t most_placements) {
  return must(try_restore(store, manifest, most_placements));
}

Bytes random_content(std::mt19937_64& random, std::size_t size_bytes) {
  Bytes content(size_bytes);
  for (std::size_t i = 0; i < content.size(); i += 16) {
    const std::uint64_t word = random();
    std::memcpy(content.data() + i, &word, std::min<std::size_t>(8, content.size() - i));
  }
  return content;
}

FileContents random_files(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  FileContents files;
  const std::size_t sizes[] = {0,     1,      8191,      8192,          8193,       65535,  65536,
                               65537, 131072, 1'000'000, (1 << 20) + 1, 10'000'000, 3 << 20};
  for (const auto size : sizes) {
    files[fmt::format("base/5/{}", size)] = random_content(random, size);
  }
  for (int i = 0; i < 500; ++i) {
    files[fmt::format("base/1/{}", random() % 100'000)] = random_content(random, random() % 20'000);
  }
  files["pg_tblspc/16384/PG_15_202209061/5/16385"] = random_content(random, 40'960);
  files[std::string("weird/\xff\xfe name")] = random_content(random, 10);
  return files;
}

void flip_byte(Storage& storage, const ObjectKey& key, std::uint64_t offset) {
  auto bytes = must(storage.get(key, kWholeObject));
  bytes.at(offset) ^= 0x10;
  must(storage.remove(key));
  must(storage.put(key, bytes));
}

void truncate(Storage& storage, const ObjectKey& key, std::uint64_t size_bytes) {
  auto bytes = must(storage.get(key, kWholeObject));
  bytes.resize(size_bytes);
  must(storage.remove(key));
  must(storage.put(key, bytes));
}

void swap_objects(Storage& storage, const ObjectKey& a, const ObjectKey& b) {
  const auto bytes_of_a = must(storage.get(a, kWholeObject));
  const auto bytes_of_b = must(storage.get(b, kWholeObject));
  must(storage.remove(a));
  must(storage.remove(b));
  must(storage.put(a, bytes_of_b));
  must(storage.put(b, bytes_of_a));
}

}  // namespace pitr::backup_test
