// The block map: what a backup, and a restore before its first byte, cost with a million files, and
// after a thousand scattered incrementals. In a directory below TMPDIR; peak memory is the
// process's, without what it had before.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <malloc.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "repository/backup/backup_reader.h"
#include "repository/backup/backup_writer.h"
#include "repository/backup/block_digests.h"
#include "storage/local/local_storage.h"

namespace pitr::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

double seconds_since(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

double memory_mib(const char* what) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(what)) return std::stod(line.substr(line.find(':') + 1)) / 1024;
  }
  return 0;
}

// Peak memory of what happens during its life.
class PeakMemory {
 public:
  PeakMemory() {
    ::malloc_trim(0);  // what was freed would be taken again unseen
    std::ofstream("/proc/self/clear_refs") << "5";
    before_mib_ = memory_mib("VmRSS");
  }
  double mib() const { return memory_mib("VmHWM") - before_mib_; }

 private:
  double before_mib_;
};

// A repository without cipher in a directory that goes with it.
class Fixture {
 public:
  Fixture() {
    directory_ = std::filesystem::temp_directory_path() / "pitr-bench-XXXXXX";
    ::mkdtemp(directory_.data());
    storage_ = LocalStorage::create(Path(directory_ + "/r"), clock_).value();
    repository_ = Repository::init(*storage_, std::nullopt).value();
    store_.emplace(*repository_, IncarnationId{"main", 1, 15}, SegmentSize());
  }
  ~Fixture() { std::filesystem::remove_all(directory_); }

  const IncarnationStore& store() const { return *store_; }

  struct Stored {
    std::string path;
    std::uint32_t first_block;
    std::uint32_t count;
  };
  // Files of as many blocks, all the same but for their number, so that only the map counts.
  BackupManifest backup(const std::optional<BackupManifest>& parent,
                        const std::vector<FileRow>& files, const std::vector<Stored>& stored) {
    const auto id = BackupId::make(Timestamp::from_unix_us(1'772'356'500'000'000), ++backups_);
    BackupIntent intent{id, "db1", Timestamp(), Lsn(1), std::nullopt};
    std::optional<ParentBackup> with_parent;
    if (parent) {
      intent.parent = parent->id;
      with_parent = ParentBackup{*parent, {}};
    }
    auto writer = BackupWriter::start(*store_, intent, {}, std::move(with_parent)).value();
    auto packs = writer->new_pack_writer().value();
    static const Bytes kBlocks(1 << 20);
    for (const auto& run : stored) {
      for (std::uint32_t done = 0; done < run.count; done += 128) {
        const auto count = std::min(run.count - done, 128u);
        packs->add(run.path, run.first_block + done, ByteView(kBlocks).first(count * kBlockSize))
            .value();
      }
    }
    packs->finish().value();
    const auto start = SteadyClock::now();
    for (const auto& file : files) writer->add_file(file, parent ? Keep::kRest : Keep::kNothing);
    BackupManifest manifest(id);
    manifest.incarnation = store_->id();
    manifest.segment_size_bytes = store_->segment_size().bytes();
    manifest = writer->store_manifest(std::move(manifest)).value();
    manifest_seconds_ = seconds_since(start);
    writer->publish(manifest).value();  // else it is nobody's parent
    return manifest;
  }
  double manifest_seconds() const { return manifest_seconds_; }  // of the last backup

  // As expire will do.
  void remove_unreferenced(const BackupManifest& manifest) {
    std::set<std::string> needed{store_->names().table(manifest.file_table).text()};
    for (const auto& table : manifest.block_tables) {
      needed.insert(store_->names().table(table.id).text());
    }
    for (const auto& table : manifest.digest_tables) {
      needed.insert(store_->names().table(table.id).text());
    }
    for (const auto& pack : manifest.packs) needed.insert(pack.key.text());
    for (const auto* folder : {"pack/", "table/"}) {
      const auto objects = list_all(*storage_, store_->names().prefix() + folder).value();
      for (const auto& object : objects) {
        if (!needed.contains(object.key.text())) storage_->remove(object.key).value();
      }
    }
  }

 private:
  std::string directory_;
  SystemClock clock_;
  std::unique_ptr<LocalStorage> storage_;
  std::unique_ptr<Repository> repository_;
  std::optional<IncarnationStore> store_;
  std::uint64_t backups_ = 0;
  double manifest_seconds_ = 0;
};

FileRow file(std::string path, std::uint64_t blocks) {
  return {
      std::move(path), FileType::kFile, 0600, blocks * kBlockSize, Timestamp::from_unix_us(1), ""};
}

std::uint64_t size_of(const std::vector<TableInfo>& tables) {
  std::uint64_t size = 0;
  for (const auto& table : tables) size += table.stored_bytes;
  return size;
}

void measure_reading(benchmark::State& state, const Fixture& fixture,
                     const BackupManifest& manifest) {
  {
    const PeakMemory memory;
    const auto start = SteadyClock::now();
    const auto contents = BackupContents::open(fixture.store(), manifest).value();
    state.counters["open_s"] = seconds_since(start);
    state.counters["open_MiB"] = memory.mib();
    state.counters["pieces"] = static_cast<double>(contents->batch(0).value()->size());
  }
  {
    const PeakMemory memory;
    const auto start = SteadyClock::now();
    check_block_map(fixture.store(), manifest).value();
    state.counters["check_s"] = seconds_since(start);
    state.counters["check_MiB"] = memory.mib();
  }
  const PeakMemory memory;
  const auto start = SteadyClock::now();
  auto digests = FileDigests::open(fixture.store(), manifest).value();
  while (digests.next().value()) {
  }
  state.counters["digests_s"] = seconds_since(start);
  state.counters["digests_MiB"] = memory.mib();
}

void a_million_files(benchmark::State& state) {
  std::vector<FileRow> files;
  std::vector<Fixture::Stored> stored;
  for (int i = 0; i < 1'000'000; ++i) {
    files.push_back(file(fmt::format("base/{}/{}", i / 10'000, 16'384 + i % 10'000), 1));
    stored.push_back({files.back().path, 0, 1});
  }
  for (auto _ : state) {
    Fixture fixture;
    const auto full = fixture.backup(std::nullopt, files, stored);
    state.counters["full_manifest_s"] = fixture.manifest_seconds();
    const PeakMemory memory;
    const auto second = fixture.backup(full, files, {{files[500'000].path, 0, 1}});
    state.counters["incremental_s"] = fixture.manifest_seconds();
    state.counters["incremental_MiB"] = memory.mib();
    state.counters["incremental_stored"] = static_cast<double>(second.stored_bytes);
    measure_reading(state, fixture, second);
  }
}

void a_thousand_incrementals(benchmark::State& state) {
  constexpr std::uint32_t kFiles = 10, kFileBlocks = 131'072, kChanges = 6'400;
  const auto incrementals = static_cast<int>(state.range(0));
  std::mt19937_64 random(1);
  std::vector<FileRow> files;
  std::vector<Fixture::Stored> stored;
  for (std::uint32_t i = 0; i < kFiles; ++i) {
    files.push_back(file(fmt::format("base/5/16384.{}", i), kFileBlocks));
    stored.push_back({files.back().path, 0, kFileBlocks});
  }
  for (auto _ : state) {
    Fixture fixture;
    auto manifest = fixture.backup(std::nullopt, files, stored);
    double sum = 0, most = 0;
    const PeakMemory memory;
    for (int i = 0; i < incrementals; ++i) {
      std::set<std::pair<std::uint32_t, std::uint32_t>> changed;
      while (changed.size() < kChanges) changed.emplace(random() % kFiles, random() % kFileBlocks);
      stored.clear();
      for (const auto& [number, block] : changed) stored.push_back({files[number].path, block, 1});
      manifest = fixture.backup(manifest, files, stored);
      sum += fixture.manifest_seconds();
      most = std::max(most, fixture.manifest_seconds());
      if (i % 50 == 0) fixture.remove_unreferenced(manifest);
    }
    state.counters["incremental_MiB"] = memory.mib();
    state.counters["manifest_mean_s"] = sum / incrementals;
    state.counters["manifest_most_s"] = most;
    state.counters["layers"] = static_cast<double>(manifest.block_tables.size());
    state.counters["packs"] = static_cast<double>(manifest.packs.size());
    state.counters["map_bytes"] = static_cast<double>(size_of(manifest.block_tables));
    state.counters["read_x"] = static_cast<double>(manifest.restore_read_bytes) /
                               static_cast<double>(manifest.total_bytes);
    measure_reading(state, fixture, manifest);
  }
}

BENCHMARK(a_million_files)->Iterations(1)->Unit(benchmark::kSecond);
BENCHMARK(a_thousand_incrementals)->Arg(100)->Arg(1'000)->Iterations(1)->Unit(benchmark::kSecond);

}  // namespace
}  // namespace pitr::bench
