#include "postgres/wal/changed_blocks.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "support/must.h"

namespace pitr::wal {

namespace {

using test::must;
using Wanted = ChangedBlocks::Wanted;

constexpr RelationId kTable{1663, 5, 16384};
constexpr RelationId kIndex{1663, 5, 16390};
constexpr Lsn kBase(0x3000000);

Bytes encode(const ChangedBlocks& changed) {
  ByteWriter out;
  changed.encode(out, kBase);
  return out.take();
}
Result<ChangedBlocks> decode(ByteView bytes,
                             ChangedBlocks::Limits limits = {1'000'000, 100'000'000}) {
  ByteReader in(bytes);
  auto changed = TRY(ChangedBlocks::decode(in, kBase, limits));
  if (!in.at_end()) return Error::corrupt("bytes follow");
  return changed;
}
Wanted runs(std::vector<BlockRun> of) {
  return {.whole = false, .runs = std::move(of)};
}
const Wanted kWhole{.whole = true, .runs = {}};

TEST(ChangedBlocks, NamesTheMarkedBlocksAsRuns) {
  ChangedBlocks changed;
  for (const std::uint32_t block : {7u, 5u, 6u, 6u, 100u, 0u}) changed.mark(kTable, block);
  EXPECT_EQ(changed.wanted(kTable, 0), runs({{0, 1}, {5, 3}, {100, 1}}));
  EXPECT_TRUE(changed.wanted(kIndex, 0).nothing());
  EXPECT_TRUE(changed.wanted(kTable, 1).nothing());
  EXPECT_TRUE(changed.contains(kTable, 6));
  EXPECT_FALSE(changed.contains(kTable, 8));
}

TEST(ChangedBlocks, CountsBlocksFromTheStartOfEachSegment) {
  ChangedBlocks changed;
  changed.mark(kTable, {131070, 4});
  changed.mark(kTable, 3 * 131072 + 9);
  EXPECT_EQ(changed.wanted(kTable, 0), runs({{131070, 2}}));
  EXPECT_EQ(changed.wanted(kTable, 1), runs({{0, 2}}));
  EXPECT_TRUE(changed.wanted(kTable, 2).nothing());
  EXPECT_EQ(changed.wanted(kTable, 3), runs({{9, 1}}));
  EXPECT_EQ(changed.wanted(kTable, 1, 65536), runs({{65534, 2}}));
}

TEST(ChangedBlocks, WantsEverythingFromALimitOn) {
  ChangedBlocks changed;
  changed.mark(kTable, {8, 8});
  changed.limit(kTable, 10);
  changed.mark(kTable, 12);
  changed.limit(kTable, 200);  // never raised
  EXPECT_EQ(changed.wanted(kTable, 0), runs({{8, 131064}}));
  EXPECT_EQ(changed.wanted(kTable, 1), kWhole);
  EXPECT_TRUE(changed.contains(kTable, 4'000'000'000));
  EXPECT_FALSE(changed.contains(kTable, 7));
  changed.limit(kTable, 0);
  EXPECT_EQ(changed.wanted(kTable, 0), kWhole);
  EXPECT_EQ(changed.limit_of(kTable), 0u);
  EXPECT_EQ(changed.marked_blocks(), 0u);
}

TEST(ChangedBlocks, ALimitAtASegmentsBorderLeavesTheSegmentBeforeAlone) {
  ChangedBlocks changed;
  changed.limit(kTable, 131072);
  EXPECT_TRUE(changed.wanted(kTable, 0).nothing());
  EXPECT_EQ(changed.wanted(kTable, 1), kWhole);
}

TEST(ChangedBlocks, TakesEveryRelationOfARewrittenDatabaseWhole) {
  ChangedBlocks changed;
  changed.rewrite_database(1663, 5);
  EXPECT_EQ(changed.wanted(kTable, 2), kWhole);
  EXPECT_TRUE(changed.wanted({1664, 5, 16384}, 0).nothing());
  EXPECT_TRUE(changed.wanted({1663, 6, 16384}, 0).nothing());
}

TEST(ChangedBlocks, KeepsTheEarliestReasonForDistrust) {
  ChangedBlocks changed;
  EXPECT_FALSE(changed.distrusted());
  changed.distrust(Lsn(500), "later");
  changed.distrust(Lsn(400), "first");
  changed.distrust(Lsn(450), "between");
  EXPECT_EQ(changed.distrusted(), (Distrust{Lsn(400), Lsn(500), "first"}));
  ChangedBlocks earlier;
  earlier.distrust(Lsn(300), "earliest");
  changed.merge(earlier);
  EXPECT_EQ(changed.distrusted(), (Distrust{Lsn(300), Lsn(500), "earliest"}));
}

// Copies must not mark into what they were copied from.
TEST(ChangedBlocks, CopiesAndMovedOnesAreOnTheirOwn) {
  ChangedBlocks original;
  original.mark(kTable, 1);
  ChangedBlocks copy = original;
  copy.mark(kTable, 2);
  EXPECT_FALSE(original.contains(kTable, 2));
  ChangedBlocks moved = std::move(original);
  original = ChangedBlocks();
  original.mark(kTable, 3);
  moved.mark(kTable, 4);
  EXPECT_EQ(moved.wanted(kTable, 0), runs({{1, 1}, {4, 1}}));
  EXPECT_EQ(original.wanted(kTable, 0), runs({{3, 1}}));
  moved = original;
  moved.mark(kTable, 5);
  EXPECT_EQ(original.wanted(kTable, 0), runs({{3, 1}}));
}

// What ChangedBlocks says, in the plainest way.
struct Model {
  std::map<RelationId, std::set<std::uint32_t>> marked;
  std::map<RelationId, std::uint32_t> limits;
  std::set<std::pair<std::uint32_t, std::uint32_t>> databases;

  bool contains(const RelationId& id, std::uint32_t block) const {
    const auto limit = limits.find(id);
    const auto blocks = marked.find(id);
    return databases.contains({id.tablespace, id.database}) ||
           (limit != limits.end() && block >= limit->second) ||
           (blocks != marked.end() && blocks->second.contains(block));
  }
};

constexpr std::uint32_t kLargestBlock = 400'000;

void apply_random(std::mt19937_64& random, ChangedBlocks& changed, Model& model) {
  const auto kind = random() % 1000;
  const RelationId id{1663, static_cast<std::uint32_t>(5 + random() % 3),
                      static_cast<std::uint32_t>(16384 + random() % 5)};
  // Dense in places, sparse elsewhere.
  auto block = static_cast<std::uint32_t>(random() % kLargestBlock);
  if (random() % 4 != 0)
    block = static_cast<std::uint32_t>(random() % 2000 + id.number % 3 * 65000);
  if (kind < 970) {
    changed.mark(id, block);
    model.marked[id].insert(block);
  } else if (kind < 990) {
    const BlockRun run{block,
                       static_cast<std::uint32_t>(1 + random() % (kind < 973 ? 70'000 : 50))};
    changed.mark(id, run);
    for (std::uint32_t i = 0; i < run.count; ++i) model.marked[id].insert(run.first + i);
  } else if (kind < 999) {
    block = std::max(block, id.number % 3 * 60'000);
    changed.limit(id, block);
    const auto at = model.limits.try_emplace(id, block).first;
    at->second = std::min(at->second, block);
  } else if (random() % 30 == 0) {
    changed.rewrite_database(id.tablespace, id.database);
    model.databases.emplace(id.tablespace, id.database);
  }
}

void expect_same(const ChangedBlocks& changed, const Model& model, std::mt19937_64& random) {
  for (std::uint32_t database = 5; database < 8; ++database) {
    for (std::uint32_t number = 16384; number < 16389; ++number) {
      const RelationId id{1663, database, number};
      std::set<std::uint32_t> probes = {0, 65535, 65536, 131071, 131072, kLargestBlock};
      for (const auto block :
           model.marked.contains(id) ? model.marked.at(id) : std::set<std::uint32_t>())
        probes.insert({block, block + 1, block - std::min(block, 1u)});
      if (model.limits.contains(id)) probes.insert(model.limits.at(id));
      for (int i = 0; i < 1000; ++i)
        probes.insert(static_cast<std::uint32_t>(random() % kLargestBlock));
      std::map<std::uint32_t, Wanted> by_segment;
      for (const auto block : probes) {
        ASSERT_EQ(changed.contains(id, block), model.contains(id, block)) << block;
        auto [at, is_new] = by_segment.try_emplace(block / 131072);
        if (is_new) at->second = changed.wanted(id, at->first);
        const auto& wanted = at->second;
        const auto local = block % 131072;
        auto run = std::ranges::upper_bound(wanted.runs, local, {}, &BlockRun::first);
        const bool is_wanted =
            wanted.whole ||
            (run != wanted.runs.begin() && local - std::prev(run)->first < std::prev(run)->count);
        ASSERT_EQ(is_wanted, model.contains(id, block)) << block;
      }
    }
  }
}

TEST(ChangedBlocks, SaysWhatAPlainModelSaysAlsoMergedAndDecoded) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    Model model;
    std::vector<ChangedBlocks> parts(1 + random() % 4);
    const auto actions = random() % 3000;
    for (auto& part : parts) {
      for (std::uint64_t i = 0; i < actions; ++i) apply_random(random, part, model);
    }
    ChangedBlocks all;
    std::ranges::shuffle(parts, random);
    for (const auto& part : parts) all.merge(must(decode(encode(part))));
    expect_same(all, model, random);
    if (HasFatalFailure()) return;

    ChangedBlocks other_order;
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) other_order.merge(*part);
    const auto encoded = encode(all);
    EXPECT_EQ(encode(other_order), encoded);
    EXPECT_EQ(encode(must(decode(encoded))), encoded);
  }
}

TEST(ChangedBlocks, ComesBackWithEverythingAtItsExtremes) {
  ChangedBlocks changed;
  changed.mark({0, 0, 0}, 0);
  changed.mark({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, 0xFFFFFFFE);
  changed.limit({0xFFFFFFFF, 0xFFFFFFFF, 0}, 0xFFFFFFFE);
  changed.limit(kTable, 0);
  changed.mark(kIndex, {0, 65536});
  changed.rewrite_database(0xFFFFFFFF, 0xFFFFFFFF);
  changed.distrust(Lsn(1), "before the base");
  changed.distrust(Lsn(~0ull), std::string(1000, 'x'));
  const auto again = must(decode(encode(changed)));
  EXPECT_EQ(encode(again), encode(changed));
  EXPECT_TRUE(again.contains({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, 0xFFFFFFFE));
  EXPECT_EQ(again.distrusted(), (Distrust{Lsn(1), Lsn(~0ull), "before the base"}));
  EXPECT_EQ(again.wanted(kIndex, 0, 65536), kWhole);
}

TEST(ChangedBlocks, TakesFewBytes) {
  std::mt19937_64 random(1);
  ChangedBlocks scattered;  // one block in 1000: ten bits tell which
  for (int i = 0; i < 10'000; ++i) {
    scattered.mark(kTable, static_cast<std::uint32_t>(random() % 10'000'000));
  }
  EXPECT_LT(encode(scattered).size(), 10'000 * 13 / 8);
  ChangedBlocks half;  // a bit each
  for (int i = 0; i < 700'000; ++i)
    half.mark(kTable, static_cast<std::uint32_t>(random() % 1'000'000));
  EXPECT_LT(encode(half).size(), 1'020'000 / 8);
  ChangedBlocks bulk;
  bulk.mark(kTable, {1000, 1'000'000});
  EXPECT_LT(encode(bulk).size(), 120u);
  ChangedBlocks catalogs;
  for (std::uint32_t i = 0; i < 100; ++i) catalogs.mark({1663, 5, 1200 + i * 30}, i / 3);
  EXPECT_LT(encode(catalogs).size(), 100 * 7);
}

TEST(ChangedBlocks, RefusesDamagedBytes) {
  ChangedBlocks changed;
  std::mt19937_64 random(5);
  for (int i = 0; i < 1000; ++i)
    changed.mark(kTable, static_cast<std::uint32_t>(random() % 200'000));
  changed.limit(kIndex, 7);
  changed.rewrite_database(1663, 9);
  changed.distrust(kBase, "a reason");
  const auto encoded = encode(changed);
  for (std::size_t size = 0; size < encoded.size(); ++size) {
    ASSERT_FALSE(decode(ByteView(encoded).first(size))) << size;
  }
  // Whatever else is accepted has that form alone.
  for (int i = 0; i < 2000; ++i) {
    auto damaged = encoded;
    damaged[random() % damaged.size()] ^= static_cast<std::uint8_t>(1 + random() % 255);
    const auto decoded = decode(damaged);
    if (decoded) {
      ASSERT_EQ(must(decode(encode(*decoded))).marked_blocks(), decoded->marked_blocks());
    }
  }
}

TEST(ChangedBlocks, RefusesMoreThanTheWalCouldName) {
  ChangedBlocks changed;
  changed.mark(kTable, {0, 50'000});
  changed.mark(kIndex, 1);
  const auto encoded = encode(changed);
  EXPECT_TRUE(decode(encoded, {2, 50'001}));
  EXPECT_FALSE(decode(encoded, {2, 50'000}));
  EXPECT_FALSE(decode(encoded, {1, 50'001}));
}

}  // namespace
}  // namespace pitr::wal
