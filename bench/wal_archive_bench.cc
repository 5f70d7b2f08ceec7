// What pitr-archive's request costs behind the socket: put_segment() of 16 MiB, new and there
// already, on a local directory (TMPDIR) with its syncs.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "bench/wal_like.h"
#include "repository/wal/wal_archive.h"
#include "storage/local/local_storage.h"

namespace pitr::bench {
namespace {

class Archive {
 public:
  Archive() : directory_(make_directory()) {
    storage_ = LocalStorage::create(directory_, clock_).value();
    repository_ = Repository::init(*storage_, KeyEncryptionKey::generate().value()).value();
    const IncarnationId incarnation{"main", 1, 15};
    archive_.emplace(IncarnationStore(*repository_, incarnation, SegmentSize()));
  }
  ~Archive() { std::filesystem::remove_all(directory_); }

  WalArchive& archive() { return *archive_; }
  const Bytes& bytes() const { return bytes_; }

 private:
  static Path make_directory() {
    std::string name = (std::filesystem::temp_directory_path() / "pitr-micro-XXXXXX").native();
    if (!::mkdtemp(name.data())) throw std::runtime_error("no temporary directory");
    return name;
  }

  SystemClock clock_;
  Path directory_;
  std::unique_ptr<LocalStorage> storage_;
  std::unique_ptr<Repository> repository_;
  std::optional<WalArchive> archive_;
  Bytes bytes_ = wal_like(SegmentSize().bytes());
};

void put_new_segment(benchmark::State& state) {
  Archive fixture;
  std::uint64_t number = 0;
  for (auto _ : state) {
    fixture.archive().put_segment({TimelineId(1), ++number}, fixture.bytes()).value();
  }
}

void put_stored_segment(benchmark::State& state) {
  Archive fixture;
  const SegmentId segment{TimelineId(1), 1};
  fixture.archive().put_segment(segment, fixture.bytes()).value();
  for (auto _ : state) fixture.archive().put_segment(segment, fixture.bytes()).value();
}

void read_segment(benchmark::State& state) {
  Archive fixture;
  const SegmentId segment{TimelineId(1), 1};
  fixture.archive().put_segment(segment, fixture.bytes()).value();
  for (auto _ : state) {
    auto bytes = fixture.archive().read_segment(segment).value();
    benchmark::DoNotOptimize(bytes.data());
  }
}

BENCHMARK(put_new_segment)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(32);
BENCHMARK(put_stored_segment)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(read_segment)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace pitr::bench
