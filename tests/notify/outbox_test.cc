// Filter, collapse, retries and bounds, with a clock that only the test moves.
#include "notify/outbox.h"

namespace pitr {
namespace {

class OutboxTest : public testing::Test {
 protected:
  Event event(EventType type, const std::string& subject = "") {
    Event made;
    made.type = type;
    made.cluster = "main";
    made.message = "it happened";
    if (!subject.empty()) made.details["subject"] = subject;
    return made;
  }
  void pass(Milliseconds time) { now_ += time; }
  // All that can be told now.
  std::vector<std::string> tell(Outbox& outbox) {
    std::vector<std::string> told;
    while (const auto delivery = outbox.take(now_)) {
      const auto repeated = delivery->event.details.find("repeated");
      told.push_back(std::string(to_string(delivery->event.type)) +
                     (repeated == delivery->event.details.end() ? "" : " x" + repeated->second));
      outbox.sent();
    }
    return told;
  }
  Destination destination_;
  SteadyTime now_{std::chrono::hours(1)};
};

TEST_F(OutboxTest, FiltersByTypeSeverityAndCluster) {
  destination_.filter.least = EventSeverity::kWarning;
  destination_.filter.clusters = {"main"};
  Outbox outbox(destination_);
  outbox.add(event(EventType::kBackupCreated), now_);
  outbox.add(event(EventType::kWalStalled), now_);
  auto other = event(EventType::kGapDetected);
  other.cluster = "other";
  outbox.add(other, now_);
  EXPECT_THAT(tell(outbox), testing::ElementsAre("wal_stalled"));

  destination_.filter = {.types = {EventType::kAgentStopped}, .clusters = {"other"}};
  Outbox by_type(destination_);
  auto stopped = event(EventType::kAgentStopped);
  stopped.cluster.clear();
  by_type.add(stopped, now_);
  by_type.add(event(EventType::kGapDetected), now_);
  EXPECT_THAT(tell(by_type), testing::ElementsAre("agent_stopped"));
}

TEST_F(OutboxTest, RepeatedTroublesAreOneMessage) {
  Outbox outbox(destination_);
  for (int i = 0; i < 13; ++i) {
    outbox.add(event(EventType::kBackupFailure), now_);
    pass(std::chrono::minutes(1));
  }
  outbox.add(event(EventType::kCheckProblem, "backups"), now_);
  EXPECT_THAT(tell(outbox), testing::ElementsAre("backup_failure", "check_problem"));
  EXPECT_EQ(outbox.next_time(), SteadyTime(std::chrono::hours(2)));
  pass(std::chrono::hours(1));
  EXPECT_THAT(tell(outbox), testing::ElementsAre("backup_failure x12"));
  EXPECT_EQ(outbox.counts().collapsed, 12u);
  // Quiet for as long: forgotten.
  pass(std::chrono::hours(1));
  EXPECT_THAT(tell(outbox), testing::IsEmpty());
  outbox.add(event(EventType::kBackupFailure), now_);
  EXPECT_THAT(tell(outbox), testing::ElementsAre("backup_failure"));
}

TEST_F(OutboxTest, WhatEndsATroubleComesAtOnceAndSoDoesTheNextFailure) {
  Outbox outbox(destination_);
  for (int i = 0; i < 3; ++i) outbox.add(event(EventType::kBackupFailure), now_);
  outbox.add(event(EventType::kBackupCreated), now_);
  outbox.add(event(EventType::kBackupFailure), now_);
  EXPECT_THAT(tell(outbox), testing::ElementsAre("backup_failure", "backup_failure x2",
                                                 "backup_created", "backup_failure"));
  outbox.add(event(EventType::kCheckProblem, "a"), now_);
  outbox.add(event(EventType::kCheckProblem, "b"), now_);
  outbox.add(event(EventType::kCheckResolved, "a"), now_);
  outbox.add(event(EventType::kCheckProblem, "a"), now_);
  outbox.add(event(EventType::kCheckProblem, "b"), now_);
  EXPECT_THAT(tell(outbox), testing::ElementsAre("check_problem", "check_problem", "check_resolved",
                                                 "check_problem"));
}

TEST_F(OutboxTest, TriesAgainWithTheSameIdUntilItGivesUp) {
  Outbox outbox(destination_);
  outbox.add(event(EventType::kBackupCreated), now_);
  const auto id = outbox.take(now_)->id;
  EXPECT_EQ(id.size(), 32u);
  EXPECT_TRUE(outbox.failed(Error::transient("away"), now_));
  EXPECT_FALSE(outbox.take(now_));
  const auto begin = now_;
  unsigned attempts = 1;
  while (!outbox.empty()) {
    now_ = *outbox.next_time();
    const auto delivery = outbox.take(now_);
    ASSERT_TRUE(delivery);
    EXPECT_EQ(delivery->id, id);
    ASSERT_EQ(delivery->attempt, ++attempts);
    ASSERT_LT(attempts, 1000u) << "it is never given up";
    outbox.failed(Error::transient("away"), now_);
  }
  EXPECT_LE(now_ - begin, destination_.give_up);
  EXPECT_GT(attempts, 10u);
  EXPECT_EQ(outbox.counts().failed, 1u);
}

TEST_F(OutboxTest, WhatIsRefusedHoldsUpNobody) {
  Outbox outbox(destination_);
  outbox.add(event(EventType::kBackupCreated), now_);
  outbox.add(event(EventType::kAgentStopped), now_);
  outbox.take(now_);
  EXPECT_FALSE(outbox.failed(Error::invalid("too large"), now_));
  EXPECT_THAT(tell(outbox), testing::ElementsAre("agent_stopped"));
}

TEST_F(OutboxTest, TheOldestGoWhenItIsFull) {
  Outbox outbox(destination_, 3);
  outbox.add(event(EventType::kAgentStarted), now_);
  const auto trying = outbox.take(now_);
  EXPECT_TRUE(outbox.add(event(EventType::kBackupCreated), now_));
  EXPECT_TRUE(outbox.add(event(EventType::kExpireCompleted), now_));
  EXPECT_FALSE(outbox.add(event(EventType::kAgentStopped), now_));
  outbox.sent();  // the one that was under way
  EXPECT_THAT(tell(outbox), testing::ElementsAre("expire_completed", "agent_stopped"));
  EXPECT_EQ(outbox.counts().dropped, 1u);
}

}  // namespace
}  // namespace pitr
