#include "repository/wal/timelines.h"

#include <set>
#include <thread>

#include "repository/wal/archive_fixture.h"

namespace pitr::test {
namespace {

class TimelinesTest : public testing::Test {
 protected:
  Result<TimelineReservation> reserve(std::uint32_t parent, std::uint32_t minimum = 1) {
    return reserve_timeline(repository_.store(), TimelineId(parent), TimelineId(minimum), "host-1",
                            "restore to a test", clock_);
  }

  SystemClock clock_;
  MemoryStorage storage_{clock_};
  TestRepository repository_{storage_};
};

TEST_F(TimelinesTest, EachIdIsGivenOutOnce) {
  EXPECT_EQ(must(reserve(1)).timeline, TimelineId(2));
  EXPECT_EQ(must(reserve(1)).timeline, TimelineId(3));
  EXPECT_EQ(must(reserve(2, 9)).timeline, TimelineId(9));
  EXPECT_EQ(must(reserve(1)).timeline, TimelineId(10));
  EXPECT_EQ(must(reserve(20)).timeline, TimelineId(21));
}

TEST_F(TimelinesTest, StoredTimelinesCountAsTaken) {
  WalArchive archive(repository_.store());
  must(archive.put_file("00000004.history", as_bytes("1\t0/3000000\tx\n")));
  EXPECT_EQ(must(reserve(1)).timeline, TimelineId(5));
  must(archive.put_segment(segment_number(1, 7), make_wal(1)));
  EXPECT_EQ(must(reserve(1)).timeline, TimelineId(8));
}

TEST_F(TimelinesTest, AReservationSaysWhoHoldsIt) {
  const auto taken = must(reserve(1));
  const auto found = must(timeline_reservation(repository_.store(), taken.timeline));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->parent, TimelineId(1));
  EXPECT_EQ(found->host, "host-1");
  EXPECT_EQ(found->purpose, "restore to a test");
  EXPECT_EQ(found->time, taken.time);
  EXPECT_FALSE(must(timeline_reservation(repository_.store(), TimelineId(9))).has_value());
}

TEST_F(TimelinesTest, RestoresThatRaceGetDifferentIds) {
  static constexpr int kRestores = 8;
  std::vector<std::uint32_t> ids(kRestores);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kRestores; ++i) {
      threads.emplace_back([&, i] {
        const auto taken = reserve(1);
        ids[i] = taken.has_value() ? taken->timeline.value() : 0;
      });
    }
  }
  EXPECT_EQ(std::set(ids.begin(), ids.end()), (std::set<std::uint32_t>{2, 3, 4, 5, 6, 7, 8, 9}));
}

TEST_F(TimelinesTest, TroubleDoesNotGiveOutAnId) {
  storage_.faults().add({.calls = {StorageCall::kPutIfAbsent}, .error = Error::transient("full")});
  EXPECT_EQ(kind_of(reserve(1)), ErrorKind::kTransient);
  storage_.faults().add({.calls = {StorageCall::kList}, .error = Error::transient("away")});
  EXPECT_EQ(kind_of(reserve(1)), ErrorKind::kTransient);
}

}  // namespace
}  // namespace pitr::test
