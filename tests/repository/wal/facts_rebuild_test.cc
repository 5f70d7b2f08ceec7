#include "repository/wal/facts_rebuild.h"

#include "postgres/wal/wal_builder.h"
#include "storage/memory/memory_storage.h"
#include "support/must.h"

namespace pitr::test {
namespace {

const TimelineId kOne(1);
const TimelineId kTwo(2);

// Three segments with changes.
class FactsRebuildTest : public testing::Test {
 protected:
  FactsRebuildTest()
      : repository_(must(Repository::init(storage_, must(KeyEncryptionKey::generate())))),
        store_(*repository_, {"main", wal_.options().system_identifier, 15},
               wal_.options().segment_size),
        archive_(store_),
        facts_(store_) {
    while (wal_.last_segment() < first() + 3) wal_.heap_insert(7, 16384, 1, 7000);
  }
  std::uint64_t first() const { return wal_.first_segment(); }
  SegmentId segment(std::uint64_t index) const { return {kOne, first() + index}; }
  void store_segments() {
    for (std::uint64_t i = 0; i < 3; ++i) {
      must(archive_.put_segment(segment(i), wal_.segment(segment(i).number)));
    }
  }
  FactsRebuildReport rebuild(const FactsRebuildRange& range = {}) {
    NullObserver observer;
    return must(rebuild_facts(archive_, facts_, range, observer, {}));
  }
  Bytes encoded(std::uint64_t index) {
    const auto facts = must(facts_.get(segment(index)));
    return facts ? wal::encode_facts(*facts) : Bytes();
  }

  SystemClock clock_;
  WalBuilder wal_;
  MemoryStorage storage_{clock_};
  std::unique_ptr<Repository> repository_;
  IncarnationStore store_;
  WalArchive archive_;
  FactsStore facts_;
};

TEST_F(FactsRebuildTest, MakesMissingFactsOnce) {
  store_segments();
  const auto made = rebuild();
  EXPECT_EQ(made.segments, 3u);
  EXPECT_EQ(made.added, 3u);
  EXPECT_EQ(made.unresolved, 0u);
  EXPECT_TRUE(must(facts_.get(segment(1)))->changes->contains({1663, 5, 16384}, 1));
  const auto again = rebuild();
  EXPECT_EQ(again.unchanged, 3u);
  EXPECT_EQ(again.added + again.replaced, 0u);
}

TEST_F(FactsRebuildTest, ReplacesWhatIsOldWrongOrDamaged) {
  store_segments();
  rebuild();
  const std::vector<Bytes> right = {encoded(0), encoded(1), encoded(2)};
  auto old = *must(facts_.get(segment(0)));
  old.changes.reset();
  must(facts_.replace(old));
  auto wrong = *must(facts_.get(segment(1)));
  wrong.changes->mark({1663, 5, 9}, 9);
  must(facts_.replace(wrong));
  const auto key = store_.names().facts(segment(2));
  auto bytes = must(storage_.get(key, 1 << 20));
  bytes[bytes.size() / 2] ^= 1;
  must(storage_.remove(key));
  must(storage_.put(key, bytes));

  const auto report = rebuild();
  EXPECT_EQ(report.replaced, 2u);
  EXPECT_EQ(report.added, 1u);
  for (std::uint64_t i = 0; i < 3; ++i) EXPECT_EQ(encoded(i), right[i]) << i;
}

TEST_F(FactsRebuildTest, KeepsToTheRangeThatWasAskedFor) {
  store_segments();
  const auto size = wal_.options().segment_size;
  EXPECT_EQ(rebuild({.timeline = kTwo}).segments, 0u);
  const auto middle = rebuild(
      {.timeline = kOne, .from = size.start_of(first() + 1), .to = size.start_of(first() + 2) - 1});
  EXPECT_EQ(middle.segments, 1u);
  EXPECT_EQ(middle.unresolved, 0u) << "what began in the segment before is read from there";
  EXPECT_TRUE(encoded(0).empty());
  NullObserver observer;
  EXPECT_FALSE(rebuild_facts(archive_, facts_, {.from = Lsn(5), .to = Lsn(4)}, observer, {}));
}

TEST_F(FactsRebuildTest, TellsDamagedSegmentsAndGoesOn) {
  store_segments();
  must(storage_.remove(store_.names().segment(segment(1))));
  auto damaged = wal_.segment(segment(1).number);
  damaged[500'000] ^= 1;
  must(archive_.put_segment(segment(1), damaged));
  const auto report = rebuild();
  ASSERT_EQ(report.failures.size(), 1u);
  EXPECT_EQ(report.failures[0].segment, segment(1));
  EXPECT_EQ(report.added, 2u);
  EXPECT_EQ(report.unresolved, 1u);
  EXPECT_TRUE(encoded(1).empty());
}

TEST_F(FactsRebuildTest, AStopIsCancellation) {
  store_segments();
  NullObserver observer;
  std::stop_source stop;
  stop.request_stop();
  const auto stopped = rebuild_facts(archive_, facts_, {}, observer, stop.get_token());
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().kind(), ErrorKind::kCancelled);
}

}  // namespace
}  // namespace pitr::test
