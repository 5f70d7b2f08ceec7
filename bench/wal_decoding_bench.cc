// Decoding WAL: the continuity checks alone, and with facts and changed blocks. On WAL that is
// written here (small updates of random blocks, commits), or on the segments of PITR_BENCH_WAL, a
// directory such as a server's pg_wal.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "common/file.h"
#include "postgres/wal/segment_facts.h"
#include "postgres/wal/wal_builder.h"

namespace pitr::bench {
namespace {

struct Segments {
  wal::DecoderOptions options;
  std::uint64_t first = 0;
  std::vector<Bytes> bytes;

  std::uint64_t size_bytes() const { return bytes.size() * options.segment_size.bytes(); }
};

Segments read_segments(const Path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory.native())) {
    const auto name = entry.path().filename().string();
    if (name.size() == 24) names.push_back(name);
  }
  std::ranges::sort(names);
  Segments segments;
  for (const auto& name : names) {
    auto bytes = read_file(directory / name).value();
    segments.options.segment_size = SegmentSize::from_bytes(bytes.size()).value();
    const auto id = parse_segment_file_name(name, segments.options.segment_size).value();
    segments.options.timeline = id.timeline;
    if (segments.bytes.empty()) segments.first = id.number;
    // The last one isn't whole, and recycled ones follow it.
    auto facts = wal::build_segment_facts(id, segments.options, std::nullopt, bytes);
    if (!facts) break;
    segments.bytes.push_back(std::move(bytes));
  }
  return segments;
}

Segments write_segments() {
  test::WalBuilder wal({.segment_size = SegmentSize()});
  std::mt19937_64 random(1);
  std::uint32_t xid = 1000;
  while (wal.last_segment() < wal.first_segment() + 4) {
    for (const std::uint16_t bytes : {80, 60, 60, 40}) {
      wal.heap_insert(xid, static_cast<std::uint32_t>(16384 + random() % 20),
                      static_cast<std::uint32_t>(random() % 200'000), bytes);
    }
    wal.commit(xid, Timestamp::from_unix_us(1'800'000'000'000'000 + xid));
    ++xid;
  }
  Segments segments;
  segments.options.segment_size = wal.options().segment_size;
  segments.options.timeline = wal.options().timeline;
  segments.first = wal.first_segment();
  for (std::uint64_t i = 0; i < 4; ++i) segments.bytes.push_back(wal.segment(segments.first + i));
  return segments;
}

const Segments& segments() {
  static const Segments all = [] {
    const char* directory = std::getenv("PITR_BENCH_WAL");
    return directory ? read_segments(directory) : write_segments();
  }();
  return all;
}

void decode_only(benchmark::State& state) {
  const auto& input = segments();
  std::uint64_t records = 0;
  for (auto _ : state) {
    auto decoder =
        wal::WalDecoder::start(input.options, input.options.segment_size.start_of(input.first),
                               std::nullopt, [&](const wal::Record&) -> Result<void> {
                                 ++records;
                                 return {};
                               });
    for (const auto& bytes : input.bytes) decoder.value().push(bytes).value();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * input.size_bytes()));
  state.SetItemsProcessed(static_cast<std::int64_t>(records));
}

void decode_into_facts(benchmark::State& state) {
  const auto& input = segments();
  std::uint64_t facts_bytes = 0;
  std::uint64_t blocks = 0;
  for (auto _ : state) {
    std::optional<wal::Carry> carry;
    for (std::size_t i = 0; i < input.bytes.size(); ++i) {
      wal::Carry next;
      const auto facts =
          wal::build_segment_facts({input.options.timeline, input.first + i}, input.options,
                                   std::move(carry), input.bytes[i], &next)
              .value();
      carry = std::move(next);
      facts_bytes += wal::encode_facts(facts).size();
      blocks += facts.changes->marked_blocks();
    }
  }
  const auto total = state.iterations() * input.size_bytes();
  state.SetBytesProcessed(static_cast<std::int64_t>(total));
  state.counters["facts_percent_of_wal"] =
      100.0 * static_cast<double>(facts_bytes) / static_cast<double>(total);
  state.counters["blocks_per_segment"] =
      static_cast<double>(blocks) /
      static_cast<double>(state.iterations() * static_cast<std::int64_t>(input.bytes.size()));
}

BENCHMARK(decode_only)->Unit(benchmark::kMillisecond);
BENCHMARK(decode_into_facts)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace pitr::bench
