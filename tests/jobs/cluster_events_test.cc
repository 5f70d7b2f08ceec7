// What becomes an event, and what doesn't.
#include "agent/events/cluster_events.h"

#include "jobs/steered_jobs.h"

namespace pitr::test {
namespace {

class ClusterEventsTest : public testing::Test {
 protected:
  SteeredClock clock_{Timestamp::from_unix_us(1'700'000'000'000'000)};
  EventLog log_;
  ClusterEvents events_{"main", clock_, &log_};

  std::vector<std::string> told() {
    std::vector<std::string> texts;
    for (const auto& event : log_.since(seen_, 100)) {
      EXPECT_EQ(event.cluster, "main");
      EXPECT_EQ(event.time, clock_.now());
      const auto subject = event.details.find("subject");
      texts.push_back(std::string(to_string(event.type)) +
                      (subject == event.details.end() ? "" : " " + subject->second));
    }
    seen_ = log_.last_number();
    return texts;
  }

 private:
  std::uint64_t seen_ = 0;
};

TEST_F(ClusterEventsTest, FailuresAreToldWithTheirFixAndCancelledJobsAreNot) {
  events_.backup_ended(Error::transient("no server").with_hint("start it"));
  events_.expire_ended(Error::invalid("no policy"));
  events_.verification_ended(Error::transient("storage is away"));
  const auto first = log_.since(0, 1).front();
  EXPECT_EQ(first.message, "a backup failed: no server");
  EXPECT_EQ(first.details.at("fix"), "start it");
  EXPECT_EQ(first.details.at("kind"), to_string(ErrorKind::kTransient));
  EXPECT_THAT(told(),
              testing::ElementsAre("backup_failure", "expire_failure", "verification_failed"));

  events_.backup_ended(Error::cancelled("the agent stops"));
  events_.expire_ended(Error::cancelled("the agent stops"));
  VerifyReport stopped;
  stopped.was_stopped = true;
  events_.verification_ended(stopped);
  EXPECT_THAT(told(), testing::IsEmpty());
}

TEST_F(ClusterEventsTest, VerificationThatFindsSomethingFailed) {
  events_.verification_ended(VerifyReport());
  VerifyReport damaged;
  damaged.findings.push_back({IncarnationId(),
                              FindingKind::kDamaged,
                              "pack/1",
                              Error::corrupt("a frame is wrong"),
                              {},
                              {}});
  events_.verification_ended(damaged);
  const auto last = log_.since(1, 1).front();
  EXPECT_THAT(last.message, testing::HasSubstr("pack/1 is damaged: a frame is wrong"));
  EXPECT_THAT(told(), testing::ElementsAre("verification_completed", "verification_failed"));
}

TEST_F(ClusterEventsTest, OfExpirysWarningsOnlyThatOfTheSizeIsAnEvent) {
  ExpireReport report;
  report.plan.warnings = {"a backup has no WAL", "it is full"};
  events_.expire_ended(report);
  EXPECT_THAT(told(), testing::ElementsAre("expire_completed"));
  report.plan.size_warning = "it is full";
  events_.expire_ended(report);
  EXPECT_EQ(log_.since(2, 1).front().message, "it is full");
  EXPECT_THAT(told(), testing::ElementsAre("expire_completed", "storage_low max_size"));
}

TEST_F(ClusterEventsTest, ChecksTellWhatIsNewAndWhatIsGone) {
  Findings none, first, second;
  first.ok("wal_level", "replica");
  first.warning("backups", "the last one is old", "take one");
  first.warning("free space", "3 MiB", "make room");
  first.problem("streaming", "not yet", "wait");
  events_.check_ended(none, first);
  EXPECT_THAT(told(), testing::ElementsAre("check_problem backups", "storage_low free space"));
  events_.check_ended(first, first);
  EXPECT_THAT(told(), testing::IsEmpty());

  second.problem("backups", "there is none", "take one");
  second.ok("free space", "3 GiB");
  events_.check_ended(first, second);
  EXPECT_THAT(told(), testing::ElementsAre("check_problem backups", "check_resolved free space"));
  events_.check_ended(second, none);
  EXPECT_THAT(told(), testing::ElementsAre("check_resolved backups"));
}

TEST_F(ClusterEventsTest, NobodyNeedsToListen) {
  ClusterEvents("main", clock_, nullptr).backup_ended(Error::transient("no server"));
  EXPECT_THAT(told(), testing::IsEmpty());
}

}  // namespace
}  // namespace pitr::test
