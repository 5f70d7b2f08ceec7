// When a stall is news.
#include "agent/events/stream_watch.h"

namespace pitr {
namespace {

class StreamWatchTest : public testing::Test {
 protected:
  StreamWatchTest() { set(WalReceiverState::kStreaming, 100, 100); }

  void set(WalReceiverState state, std::uint64_t durable, std::uint64_t server) {
    status_.state = state;
    status_.durable_lsn = Lsn(durable);
    status_.server_lsn = Lsn(server);
  }
  // So much later.
  std::vector<std::string> look(Seconds after) {
    now_ += after;
    std::vector<std::string> names;
    for (auto& event : watch_.look(status_, now_)) {
      names.emplace_back(to_string(event.type));
      last_ = event.message;
    }
    return names;
  }

  StreamWatch watch_;
  WalReceiverStatus status_;
  SteadyTime now_{};
  std::string last_;
};

TEST_F(StreamWatchTest, AStallIsToldOnceAndItsEndToo) {
  EXPECT_THAT(look(Seconds(2)), testing::IsEmpty());
  set(WalReceiverState::kWaiting, 100, 100);
  status_.last_error = "the disk is full";
  EXPECT_THAT(look(Seconds(2)), testing::IsEmpty());
  EXPECT_THAT(look(Seconds(59)), testing::IsEmpty());
  EXPECT_THAT(look(Seconds(1)), testing::ElementsAre("wal_stalled"));
  EXPECT_EQ(last_, "no WAL was stored for 1min 00s: the disk is full");
  EXPECT_THAT(look(Seconds(3600)), testing::IsEmpty());
  set(WalReceiverState::kStreaming, 100, 100);
  EXPECT_THAT(look(Seconds(2)), testing::ElementsAre("wal_resumed"));
  EXPECT_THAT(look(Seconds(2)), testing::IsEmpty());
}

TEST_F(StreamWatchTest, AShortTroubleIsNoNews) {
  for (int i = 0; i < 10; ++i) {
    set(WalReceiverState::kConnecting, 100, 100);
    EXPECT_THAT(look(Seconds(2)), testing::IsEmpty());
    EXPECT_THAT(look(Seconds(50)), testing::IsEmpty());
    set(WalReceiverState::kStreaming, 100, 100);
    EXPECT_THAT(look(Seconds(2)), testing::IsEmpty());
  }
}

TEST_F(StreamWatchTest, AServerAheadIsAStallOnlyWhereNothingMoves) {
  set(WalReceiverState::kStreaming, 200, 900);
  for (int i = 0; i < 100; ++i) {
    set(WalReceiverState::kStreaming, 200 + i, 900 + i);
    EXPECT_THAT(look(Seconds(2)), testing::IsEmpty());
  }
  EXPECT_THAT(look(Seconds(2)), testing::IsEmpty());
  EXPECT_THAT(look(Seconds(60)), testing::ElementsAre("wal_stalled"));
}

TEST_F(StreamWatchTest, WithoutAReceiverTheReasonIsTold) {
  const auto trouble = Error::transient("no server").with_hint("start it");
  EXPECT_TRUE(watch_.look(trouble, now_).empty());
  const auto events = watch_.look(trouble, now_ + Seconds(61));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].details.at("fix"), "start it");
  EXPECT_THAT(look(Seconds(62)), testing::ElementsAre("wal_resumed"));
}

TEST_F(StreamWatchTest, EachGapIsToldAtOnce) {
  status_.gaps = 1;
  status_.last_gap = "from 1 to 2";
  EXPECT_THAT(look(Seconds(0)), testing::ElementsAre("gap_detected"));
  EXPECT_THAT(look(Seconds(2)), testing::IsEmpty());
  status_.gaps = 2;
  EXPECT_THAT(look(Seconds(2)), testing::ElementsAre("gap_detected"));
  watch_.begin_receiver();
  status_.gaps = 1;
  EXPECT_THAT(look(Seconds(2)), testing::ElementsAre("gap_detected"));
}

}  // namespace
}  // namespace pitr
