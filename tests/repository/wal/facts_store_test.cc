#include "repository/wal/facts_store.h"

#include "repository/wal/archive_fixture.h"

namespace pitr::test {
namespace {

constexpr TimelineId kTimeline(1);

class FactsStoreTest : public testing::Test {
 protected:
  // Each segment's facts tell its number.
  static wal::SegmentFacts facts_of(std::uint64_t number, wal::Head head = wal::Head::kResolved) {
    wal::SegmentFacts facts;
    facts.segment = {kTimeline, number};
    facts.segment_size = kSmallSegments;
    facts.system_identifier = kIncarnation.system_identifier;
    facts.head = head;
    facts.linked = head != wal::Head::kUnresolved;
    const auto start = kSmallSegments.start_of(number);
    facts.first_record = start + 100;
    facts.first_record_previous = start - 8;
    facts.last_record = start + 5000;
    facts.last_record_end = start + 5100;
    facts.commits = static_cast<std::uint32_t>(number);
    return facts;
  }
  static Bytes encoded(const std::vector<wal::SegmentFacts>& all) {
    Bytes bytes;
    for (const auto& facts : all) {
      const auto one = wal::encode_facts(facts);
      bytes.insert(bytes.end(), one.begin(), one.end());
    }
    return bytes;
  }
  std::vector<std::string> facts_objects() {
    return keys_below(storage_, repository_.store().names().facts_prefix(kTimeline));
  }
  std::vector<std::string> watermark_objects() {
    return keys_below(storage_, repository_.store().names().watermark_prefix(kTimeline));
  }

  const std::uint64_t per_log_ = kSmallSegments.segments_per_log();
  SystemClock clock_;
  MemoryStorage storage_{clock_};
  TestRepository repository_{storage_};
  FactsStore facts_{repository_.store()};
};

TEST_F(FactsStoreTest, FactsAreReadBackInOrderWhateverOrderTheyCameIn) {
  for (const std::uint64_t number : {7ull, 3ull, 4ull + per_log_, 5ull}) {
    must(facts_.put(facts_of(number)));
  }
  EXPECT_EQ(must(facts_.get({kTimeline, 5}))->commits, 5u);
  EXPECT_FALSE(must(facts_.get({kTimeline, 4})).has_value());
  EXPECT_FALSE(must(facts_.get({TimelineId(2), 5})).has_value());
  EXPECT_EQ(encoded(must(facts_.range(kTimeline, 0, UINT64_MAX))),
            encoded({facts_of(3), facts_of(5), facts_of(7), facts_of(4 + per_log_)}));
  EXPECT_EQ(encoded(must(facts_.range(kTimeline, 4, 7))), encoded({facts_of(5), facts_of(7)}));
}

TEST_F(FactsStoreTest, ABetterAnswerReplacesAWorseOneAndNotTheOtherWayRound) {
  must(facts_.put(facts_of(3, wal::Head::kUnresolved)));
  must(facts_.put(facts_of(3, wal::Head::kResolved)));
  EXPECT_EQ(must(facts_.get({kTimeline, 3}))->head, wal::Head::kResolved);
  must(facts_.put(facts_of(3, wal::Head::kUnresolved)));
  EXPECT_EQ(must(facts_.get({kTimeline, 3}))->head, wal::Head::kResolved);
}

// Whoever finds them takes them for granted, and nobody writes them again.
TEST_F(FactsStoreTest, FactsThatAFailedWriteLeftAreMadeDurableWhenTheyAreFound) {
  Fault fault;
  fault.calls = {StorageCall::kPut};
  fault.moment = Fault::Moment::kInFlight;
  fault.error = Error::transient("planned");
  for (std::uint64_t number = 1; number <= 20; ++number) {
    storage_.faults().add(fault);
    ASSERT_FALSE(facts_.put(facts_of(number)).has_value());
    ASSERT_TRUE(must(facts_.get({kTimeline, number})).has_value());
    if (number % 2 == 0) {
      must(facts_.put(facts_of(number)));
    } else {
      must(facts_.ensure_durable({kTimeline, number}));
    }
    storage_.faults().clear();
  }
  storage_.power_loss();
  for (std::uint64_t number = 1; number <= 20; ++number) {
    EXPECT_TRUE(must(facts_.get({kTimeline, number})).has_value()) << number;
  }
  EXPECT_EQ(facts_.ensure_durable({kTimeline, 21}).error().kind(), ErrorKind::kNotFound);
}

TEST_F(FactsStoreTest, TheSameFactsAreNotWrittenTwice) {
  must(facts_.put(facts_of(3)));
  storage_.faults().add({.calls = {StorageCall::kPut},
                         .times = Fault::kEveryTime,
                         .error = Error::transient("written again")});
  must(facts_.put(facts_of(3)));
}

TEST_F(FactsStoreTest, ARolledUpLogReadsTheSame) {
  const std::uint64_t first = per_log_ - 300;  // the timeline began in the middle of the log
  for (auto number = first; number < per_log_; ++number) must(facts_.put(facts_of(number)));
  const auto before = encoded(must(facts_.range(kTimeline, 0, UINT64_MAX)));
  EXPECT_TRUE(must(facts_.roll_up(kTimeline, 0)));
  EXPECT_EQ(facts_objects().size(), 1u);
  EXPECT_EQ(encoded(must(facts_.range(kTimeline, 0, UINT64_MAX))), before);
  EXPECT_EQ(must(facts_.get({kTimeline, first + 7}))->commits, first + 7);
  EXPECT_FALSE(must(facts_.get({kTimeline, first - 1})).has_value());
  EXPECT_EQ(must(facts_.range(kTimeline, first + 2, first + 4)).size(), 3u);
  EXPECT_TRUE(must(facts_.roll_up(kTimeline, 0)));
}

TEST_F(FactsStoreTest, ALogWithAHoleIsNotRolledUp) {
  EXPECT_FALSE(must(facts_.roll_up(kTimeline, 0)));
  for (auto number = per_log_ - 5; number < per_log_; ++number) {
    if (number != per_log_ - 3) must(facts_.put(facts_of(number)));
  }
  EXPECT_FALSE(must(facts_.roll_up(kTimeline, 0)));
  must(facts_.put(facts_of(per_log_ - 3)));
  EXPECT_TRUE(must(facts_.roll_up(kTimeline, 0)));

  must(facts_.put(facts_of(per_log_)));  // the next log has only begun
  EXPECT_FALSE(must(facts_.roll_up(kTimeline, 1)));
}

TEST_F(FactsStoreTest, BetterFactsCountAfterTheRollUpToo) {
  must(facts_.put(facts_of(per_log_ - 2)));
  must(facts_.put(facts_of(per_log_ - 1, wal::Head::kUnresolved)));
  EXPECT_TRUE(must(facts_.roll_up(kTimeline, 0)));
  must(facts_.put(facts_of(per_log_ - 1)));
  EXPECT_EQ(must(facts_.get({kTimeline, per_log_ - 1}))->head, wal::Head::kResolved);
  const auto before = encoded(must(facts_.range(kTimeline, 0, per_log_)));
  EXPECT_TRUE(must(facts_.roll_up(kTimeline, 0)));
  EXPECT_EQ(facts_objects().size(), 1u);
  EXPECT_EQ(encoded(must(facts_.range(kTimeline, 0, per_log_))), before);
}

TEST_F(FactsStoreTest, AnInterruptedRollUpLosesNothing) {
  for (auto number = per_log_ - 9; number < per_log_; ++number) must(facts_.put(facts_of(number)));
  const auto before = encoded(must(facts_.range(kTimeline, 0, UINT64_MAX)));
  for (const auto call : {StorageCall::kPut, StorageCall::kGet, StorageCall::kRemove}) {
    for (std::uint64_t skip = 0; skip < 9; skip += 4) {
      storage_.faults().add({.calls = {call}, .skip = skip, .error = Error::transient("planned")});
      (void)facts_.roll_up(kTimeline, 0);
      storage_.faults().clear();
      storage_.power_loss();
      EXPECT_EQ(encoded(must(facts_.range(kTimeline, 0, UINT64_MAX))), before);
    }
  }
}

TEST_F(FactsStoreTest, DamageIsReportedAndNewFactsTakeItsPlace) {
  must(facts_.put(facts_of(3)));
  must(facts_.put(facts_of(4)));
  const auto key = ObjectKey::from_parts(facts_objects().at(0));
  const auto good = stored_bytes(storage_, key);
  for (std::size_t at = 0; at < good.size(); ++at) {
    flip_byte(storage_, key, at);
    EXPECT_FALSE(facts_.get({kTimeline, 3}).has_value()) << "byte " << at;
    replace_object(storage_, key, ByteView(good).first(at));
    EXPECT_EQ(kind_of(facts_.range(kTimeline, 0, 9)), ErrorKind::kCorrupt) << at << " bytes";
    replace_object(storage_, key, good);
  }
  swap_objects(storage_, key, ObjectKey::from_parts(facts_objects().at(1)));
  EXPECT_EQ(kind_of(facts_.get({kTimeline, 3})), ErrorKind::kCorrupt);
  must(facts_.put(facts_of(3)));
  EXPECT_EQ(must(facts_.get({kTimeline, 3}))->commits, 3u);
}

TEST_F(FactsStoreTest, TroubleIsNeverCalledAbsence) {
  must(facts_.put(facts_of(3)));
  storage_.faults().add({.calls = {StorageCall::kGet, StorageCall::kList},
                         .times = Fault::kEveryTime,
                         .error = Error::transient("planned")});
  EXPECT_EQ(kind_of(facts_.get({kTimeline, 3})), ErrorKind::kTransient);
  EXPECT_EQ(kind_of(facts_.range(kTimeline, 0, 9)), ErrorKind::kTransient);
  EXPECT_EQ(kind_of(facts_.put(facts_of(3))), ErrorKind::kTransient);
  EXPECT_EQ(kind_of(facts_.watermark(kTimeline)), ErrorKind::kTransient);
}

Watermark watermark_at(std::uint64_t lsn, std::int64_t time_s) {
  return {kTimeline, Lsn(lsn), Timestamp::from_unix_us(1'772'356'500'000'000 + time_s * 1'000'000)};
}

TEST_F(FactsStoreTest, TheNewestWatermarkTakesTheOthersPlace) {
  EXPECT_FALSE(must(facts_.watermark(kTimeline)).has_value());
  for (const auto& mark : {watermark_at(100, 1), watermark_at(100, 2), watermark_at(200, 3)}) {
    must(facts_.put_watermark(mark));
    const auto found = must(facts_.watermark(kTimeline));
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->lsn, mark.lsn);
    EXPECT_EQ(found->time, mark.time);
  }
  EXPECT_EQ(watermark_objects().size(), 1u);
  EXPECT_FALSE(must(facts_.watermark(TimelineId(2))).has_value());
}

TEST_F(FactsStoreTest, AClockThatStepsBackDoesNotHideTheHigherLsn) {
  must(facts_.put_watermark(watermark_at(100, 50)));
  storage_.faults().add({.calls = {StorageCall::kRemove}, .error = Error::transient("planned")});
  EXPECT_EQ(kind_of(facts_.put_watermark(watermark_at(200, 10))), ErrorKind::kTransient);
  EXPECT_EQ(watermark_objects().size(), 2u);
  EXPECT_EQ(must(facts_.watermark(kTimeline))->lsn, Lsn(200));
}

TEST_F(FactsStoreTest, AWatermarkUnderAnotherNameIsFound) {
  must(facts_.put_watermark(watermark_at(100, 1)));
  const auto old = stored_bytes(storage_, ObjectKey::from_parts(watermark_objects().at(0)));
  must(facts_.put_watermark(watermark_at(200, 2)));
  replace_object(storage_, ObjectKey::from_parts(watermark_objects().at(0)), old);
  EXPECT_EQ(kind_of(facts_.watermark(kTimeline)), ErrorKind::kCorrupt);
}

}  // namespace
}  // namespace pitr::test
