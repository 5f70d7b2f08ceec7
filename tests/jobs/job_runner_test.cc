#include "agent/jobs/job_runner.h"

#include <fstream>
#include <thread>

#include "jobs/steered_jobs.h"

namespace pitr::test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kDaily = R"({backup: "0 1 * * *", independent: "0 1 1 * *", expire: "0 4 * * *",
  check: never, jitter: 0s})";

TEST(JobRunner, TheFirstBackupComesAtOnceAndCountsForBothSchedules) {
  RunnerSite site(utc(2026, 3, 10, 12));
  site.start(schedule_of(kDaily));
  EXPECT_THAT(site.run(), ElementsAre(JobKind::kIndependent, JobKind::kExpire));
  EXPECT_THAT(site.run(), IsEmpty());
  EXPECT_EQ(site.status(JobKind::kBackup).next, utc(2026, 3, 11, 1));
  EXPECT_EQ(site.status(JobKind::kIndependent).next, utc(2026, 4, 1, 1));
}

TEST(JobRunner, VerificationComesLastAndIsDaily) {
  RunnerSite site(utc(2026, 3, 10, 12));
  auto schedule = schedule_of(kDaily);
  schedule.verify = ScheduleConfig().verify;
  site.start(schedule);
  EXPECT_THAT(site.run(), ElementsAre(JobKind::kIndependent, JobKind::kExpire, JobKind::kVerify));
  EXPECT_EQ(site.status(JobKind::kVerify).next, utc(2026, 3, 11, 5));
}

TEST(JobRunner, BackupsOfTheRepositoryCountWhoeverTookThem) {
  RunnerSite site(utc(2026, 3, 10, 12));
  site.jobs.publish(JobKind::kIndependent, utc(2026, 3, 1, 1));
  site.jobs.publish(JobKind::kBackup, utc(2026, 3, 10, 1));
  site.start(schedule_of(kDaily));
  EXPECT_THAT(site.run(), ElementsAre(JobKind::kExpire));
  // By hand, right before.
  site.clock.pass(hours(14));
  site.jobs.publish(JobKind::kBackup, site.clock.now());
  EXPECT_THAT(site.run(), IsEmpty());
  // Another database took the name: its first backup comes soon.
  site.jobs.forget_backups();
  site.clock.pass(minutes(11));
  EXPECT_THAT(site.run(), ElementsAre(JobKind::kIndependent));
}

// Its tier may be none of those that are kept.
TEST(JobRunner, AnIndependentBackupThatExpiredIsNotTakenAgainBeforeItsTime) {
  RunnerSite site(utc(2026, 3, 10, 12));
  site.start(schedule_of(kDaily));
  site.run();
  site.jobs.forget_backup(JobKind::kIndependent);
  site.clock.pass(hours(2));
  EXPECT_THAT(site.run(), IsEmpty());
  site.start(schedule_of(kDaily));
  EXPECT_THAT(site.run(), IsEmpty());
  site.clock.pass(hours(24 * 22));  // the 1st, 14:00
  EXPECT_THAT(site.run(), ElementsAre(JobKind::kIndependent, JobKind::kExpire));
}

TEST(JobRunner, BackupsWithoutAPauseKeepNothingElseWaiting) {
  RunnerSite site(utc(2026, 3, 10, 12));
  site.jobs.do_run = [&](JobKind kind, std::stop_token) -> Result<std::string> {
    if (kind == JobKind::kBackup) site.clock.pass(minutes(70));
    return "done";
  };
  site.start(
      schedule_of("{backup: {every: 1h}, independent: never, expire: {every: 6h}, "
                  "verify: {every: 6h}, check: never, jitter: 0s}"));
  for (int i = 0; i < 30; ++i) site.runner->run_due(JobRunner::Lane::kWork, {});
  const auto runs = site.jobs.take_runs();
  EXPECT_GE(std::ranges::count(runs, JobKind::kExpire), 4);
  EXPECT_GE(std::ranges::count(runs, JobKind::kVerify), 4);
  EXPECT_GE(std::ranges::count(runs, JobKind::kBackup), 20);
}

TEST(JobRunner, DamageIsLookedForAgainAtTheNextTimeAndStaysTold) {
  RunnerSite site(utc(2026, 3, 10, 12));
  auto schedule = schedule_of(kDaily);
  schedule.verify = ScheduleConfig().verify;
  site.start(schedule);
  site.jobs.do_run = [](JobKind kind, std::stop_token) -> Result<std::string> {
    if (kind == JobKind::kVerify) return Error::corrupt("1 object is damaged");
    return "done";
  };
  site.run();
  site.clock.pass(hours(2));
  EXPECT_THAT(site.run(), IsEmpty());
  site.start(schedule);
  EXPECT_THAT(site.run(), IsEmpty());
  const auto status = site.status(JobKind::kVerify);
  EXPECT_EQ(status.failures, 1u);
  EXPECT_THAT(status.last->error, HasSubstr("damaged"));
  EXPECT_FALSE(status.done.has_value());
  EXPECT_EQ(status.next, utc(2026, 3, 11, 5));
}

TEST(JobRunner, WhatWasMissedIsMadeUpForOnce) {
  RunnerSite site(utc(2026, 3, 10, 12));
  site.start(schedule_of(kDaily));
  site.run();
  site.clock.pass(hours(24 * 5));
  site.start(schedule_of(kDaily));
  EXPECT_THAT(site.run(), ElementsAre(JobKind::kBackup, JobKind::kExpire));
  EXPECT_THAT(site.run(), IsEmpty());
  site.clock.pass(hours(24 * 40));
  EXPECT_THAT(site.run(), ElementsAre(JobKind::kIndependent, JobKind::kExpire));
}

TEST(JobRunner, FailuresAreTriedAgainAndToldAlsoAfterARestart) {
  RunnerSite site(utc(2026, 3, 10, 12));
  site.start(schedule_of(kDaily));
  site.run();
  site.clock.pass(hours(13));
  site.jobs.do_run = [](JobKind, std::stop_token) -> Result<std::string> {
    return Error::transient("the disk is full");
  };
  EXPECT_THAT(site.run(), ElementsAre(JobKind::kBackup));
  EXPECT_THAT(site.run(), IsEmpty());
  site.clock.pass(minutes(1));
  EXPECT_THAT(site.run(), ElementsAre(JobKind::kBackup));
  site.start(schedule_of(kDaily));
  const auto failed = site.status(JobKind::kBackup);
  EXPECT_EQ(failed.failures, 2u);
  ASSERT_TRUE(failed.last);
  EXPECT_EQ(failed.last->error, "the disk is full");
  EXPECT_EQ(failed.next, utc(2026, 3, 11, 1, 3));
  site.clock.pass(minutes(2));
  site.jobs.do_run = nullptr;
  EXPECT_THAT(site.run(), ElementsAre(JobKind::kBackup));
  EXPECT_EQ(site.status(JobKind::kBackup).failures, 0u);
  EXPECT_EQ(site.status(JobKind::kBackup).last->result, "done");
}

// Jobs whose last run isn't known are due; backups are known all the same.
TEST(JobRunner, LosingItsFileLosesNothing) {
  RunnerSite site(utc(2026, 3, 10, 12));
  site.start(schedule_of(kDaily));
  site.run();
  for (const std::string text : {"", "{", "{\"jobs\": {\"backup\": 5}}", "[]"}) {
    std::ofstream(site.state_file()) << text;
    site.start(schedule_of(kDaily));
    EXPECT_THAT(site.run(), ElementsAre(JobKind::kExpire)) << text;
  }
  std::filesystem::remove_all(site.state_file().parent_path());
  std::ofstream(site.state_file().parent_path()) << "a file where the directory was";
  site.start(schedule_of(kDaily));
  EXPECT_THAT(site.run(), ElementsAre(JobKind::kExpire));
  EXPECT_THAT(site.run(), IsEmpty());
}

TEST(JobRunner, ANewScheduleKeepsWhatWasDone) {
  RunnerSite site(utc(2026, 3, 10, 12));
  site.start(schedule_of(kDaily));
  site.run();
  must(
      site.runner->set_schedule(schedule_of("{backup: {every: 2h}, expire: never, check: never}")));
  EXPECT_EQ(site.status(JobKind::kBackup).next, utc(2026, 3, 10, 14));
  EXPECT_EQ(site.status(JobKind::kBackup).schedule, "every 2h");
  EXPECT_FALSE(site.status(JobKind::kExpire).next);
  must(site.runner->set_schedule(schedule_of("never")));
  site.clock.pass(hours(24 * 100));
  EXPECT_THAT(site.run(), IsEmpty());
}

// ---- With its threads

template <typename Condition>
bool eventually(Condition&& condition) {
  const auto deadline = std::chrono::steady_clock::now() + Seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(Milliseconds(5));
  }
  return true;
}

// Counts how many work at once.
struct Overlap {
  std::atomic<int> now = 0, most = 0, runs = 0;
  void enter() {
    const int others = ++now;
    most = std::max(most.load(), others);
    ++runs;
  }
};

TEST(JobRunner, ByHandAndByScheduleTakeTurns) {
  RunnerSite site(utc(2026, 3, 10, 12));
  Overlap overlap;
  site.jobs.do_run = [&](JobKind, std::stop_token) {
    overlap.enter();
    site.clock.pass(minutes(20));  // so that the next one is due
    std::this_thread::yield();
    --overlap.now;
    return Result<std::string>("done");
  };
  site.start(schedule_of("{backup: {every: 10min}, expire: {every: 10min}, check: never}"));
  site.runner->start();
  int waited = 0;
  for (int i = 0; i < 200; ++i) {
    const auto turn = must(site.turn.take("a backup", {}, [&](const std::string& other) {
      EXPECT_THAT(other, HasSubstr("scheduled"));
      ++waited;
    }));
    overlap.enter();
    std::this_thread::yield();
    --overlap.now;
  }
  EXPECT_TRUE(eventually([&] { return overlap.runs > 250; }));
  EXPECT_EQ(overlap.most, 1);
}

TEST(JobRunner, AHangingJobHoldsUpNoCheckAndEndsOnStop) {
  RunnerSite site(utc(2026, 3, 10, 12));
  std::atomic<int> checks = 0;
  std::atomic<bool> hangs = false;
  site.jobs.do_run = [&](JobKind kind, std::stop_token stop) -> Result<std::string> {
    if (kind == JobKind::kCheck) {
      ++checks;
      site.clock.pass(minutes(5));
      return "fine";
    }
    hangs = true;
    while (!stop.stop_requested()) std::this_thread::sleep_for(Milliseconds(1));
    return Error::cancelled("stopped");
  };
  site.start(schedule_of("{check: {every: 5min}}"));
  site.runner->start();
  EXPECT_TRUE(eventually([&] { return hangs && checks > 5; }));
  const auto running = site.status(JobKind::kIndependent);
  EXPECT_TRUE(running.running_since);
  site.clock.pass(hours(5));
  EXPECT_TRUE(eventually([&] { return site.runner->is_alive(); }));  // it is at work
  // Who waits for it can go away.
  std::stop_source stop;
  stop.request_stop();
  const auto turn = site.turn.take("a backup", stop.get_token());
  ASSERT_FALSE(turn);
  EXPECT_EQ(turn.error().kind(), ErrorKind::kCancelled);
  EXPECT_THAT(turn.error().message(), HasSubstr("a scheduled independent backup"));
  site.runner->request_stop();
  site.runner.reset();
  // A stop is no failure.
  site.start(schedule_of("{check: {every: 5min}}"));
  EXPECT_EQ(site.status(JobKind::kIndependent).failures, 0u);
}

// By the clock of the test the threads sleep for minutes; the watchdog would bark.
TEST(JobRunner, ThreadsThatDoNotComeBackAreNoticed) {
  RunnerSite site(utc(2026, 3, 10, 12));
  site.start(schedule_of("never"));
  EXPECT_TRUE(site.runner->is_alive());
  site.runner->start();
  EXPECT_TRUE(eventually([&] {
    site.clock.pass(minutes(3));
    return !site.runner->is_alive();
  }));
  // They look again when something changes.
  EXPECT_TRUE(eventually([&] {
    must(site.runner->set_schedule(schedule_of("never")));
    return site.runner->is_alive();
  }));
}

}  // namespace
}  // namespace pitr::test
