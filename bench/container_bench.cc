// The container format alone, in memory: seal and open, per compression.
#include <benchmark/benchmark.h>

#include "bench/wal_like.h"
#include "codec/container.h"

namespace pitr::bench {
namespace {

constexpr std::size_t kSize = 16 << 20;

struct Fixture {
  DataKey key{1, Secret256::random().value()};
  Keyring keyring;
  ContainerIdentity identity{"repository", "main/1-15", ContainerKind::kSegment, "wal/object"};
  Bytes plain = wal_like(kSize);

  Fixture() { keyring.add(key).value(); }

  Bytes seal(Compression compression, bool two_threads) const {
    const ContainerOptions options{.compression = compression, .key = &key};
    auto writer = ContainerWriter::create(identity, options).value();
    Bytes sealed;
    writer.header(sealed);
    (two_threads ? writer.add_on_two_threads(plain, sealed) : writer.add(plain, sealed)).value();
    writer.finish({}, sealed).value();
    return sealed;
  }
};

void seal(benchmark::State& state) {
  const Fixture fixture;
  for (auto _ : state) {
    auto sealed = fixture.seal(static_cast<Compression>(state.range(0)), state.range(1) == 2);
    benchmark::DoNotOptimize(sealed.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * kSize));
}

void open(benchmark::State& state) {
  const Fixture fixture;
  const auto sealed = fixture.seal(static_cast<Compression>(state.range(0)), false);
  const MemorySource source(sealed);
  for (auto _ : state) {
    const auto reader = ContainerReader::open(source, fixture.identity, fixture.keyring).value();
    auto plain = reader.read_all(kSize).value();
    benchmark::DoNotOptimize(plain.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * kSize));
}

void compressions(benchmark::internal::Benchmark* benchmark, bool with_threads) {
  for (const auto compression : {Compression::kNone, Compression::kLz4, Compression::kZstd}) {
    for (const int threads : {1, 2}) {
      if (with_threads) {
        benchmark->Args({static_cast<int>(compression), threads});
      } else if (threads == 1) {
        benchmark->Args({static_cast<int>(compression)});
      }
    }
  }
}

BENCHMARK(seal)->ArgNames({"compression", "threads"})->UseRealTime()->Apply([](auto* benchmark) {
  compressions(benchmark, true);
});
BENCHMARK(open)->ArgNames({"compression"})->UseRealTime()->Apply([](auto* benchmark) {
  compressions(benchmark, false);
});

}  // namespace
}  // namespace pitr::bench
