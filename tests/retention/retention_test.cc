#include "retention/retention.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "retention/simulate.h"

namespace pitr::test {
namespace {

using std::chrono::hours;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::int64_t kNoon = 1'772'366'400;  // Sunday, 2026-03-01 12:00 UTC

Timestamp day(int days_before) {
  return Timestamp::from_unix_us(kNoon * 1'000'000) - hours(24 * days_before);
}

// A cluster on one timeline whose position grows by 1000 a day.
class Retention : public ::testing::Test {
 protected:
  Retention() { input.now = day(0); }

  RetentionBackup& add(int days_before, std::uint32_t timeline = 1, std::uint32_t incarnation = 0) {
    RetentionBackup backup;
    backup.id = fmt::format("{}d", days_before);
    backup.incarnation = incarnation;
    backup.timeline = timeline;
    backup.start_lsn = position(days_before);
    backup.stop_lsn = backup.start_lsn + 10;
    backup.stop_time = day(days_before) - hours(1);
    return input.backups.emplace_back(std::move(backup));
  }
  static std::uint64_t position(int days_before) {
    return 1'000'000 - 1000 * static_cast<std::uint64_t>(days_before);
  }
  void only_last() {
    policy = {.keep_last = 1,
              .keep_daily = 0,
              .keep_weekly = 0,
              .keep_monthly = 0,
              .keep_yearly = 0,
              .keep_verified = 0};
  }
  RetentionPlan plan() {
    auto planned = plan_retention(input, policy);
    EXPECT_TRUE(planned) << planned.error().message();
    return *planned;
  }
  std::vector<std::string> kept() {
    std::vector<std::string> ids;
    for (const auto& decision : plan().decisions) {
      if (decision.keep()) ids.push_back(input.backups[decision.backup].id);
    }
    return ids;
  }
  RetentionDecision decision(const std::string& id) {
    for (auto& one : plan().decisions) {
      if (input.backups[one.backup].id == id) return one;
    }
    ADD_FAILURE() << id;
    return {};
  }

  RetentionInput input;
  RetentionPolicy policy;
};

TEST_F(Retention, AWindowNeedsTheBackupBeforeIt) {
  only_last();
  for (int days = 40; days >= 0; --days) add(days);
  EXPECT_EQ(kept().front(), "14d");  // ended an hour before the window begins
  EXPECT_EQ(kept().size(), 15u);
  const auto plan = this->plan();
  EXPECT_TRUE(plan.keeps_wal(0, 1, position(14), position(14) + 1));
  EXPECT_FALSE(plan.keeps_wal(0, 1, position(14) - 1, position(14)));
  EXPECT_TRUE(plan.keeps_wal(0, 1, position(0) + 5'000'000, position(0) + 5'000'001));
  const auto base = decision("14d");
  EXPECT_EQ(base.kept_by.front().tier, RetentionTier::kBase);
  // Until the next one is 14 days old.
  EXPECT_EQ(base.until(), day(13) - hours(1) + hours(14 * 24));
}

TEST_F(Retention, WhatEndsAsTheWindowBeginsIsItsBase) {
  only_last();
  add(20).stop_time = day(14);
  add(14).stop_time = day(14) + Microseconds(1);
  EXPECT_THAT(kept(), ElementsAre("20d", "14d"));
  EXPECT_EQ(decision("20d").kept_by.front().tier, RetentionTier::kBase);
  EXPECT_EQ(decision("14d").kept_by.back().tier, RetentionTier::kWithin);
}

TEST_F(Retention, OutsideOfTheWindowABackupsOwnWalStays) {
  only_last();
  add(100).pins = {{"release", std::nullopt}};
  add(50);
  add(14);
  add(0);
  EXPECT_THAT(kept(), ElementsAre("100d", "14d", "0d"));
  const auto wal = plan().wal;
  ASSERT_EQ(wal.size(), 2u);
  EXPECT_EQ(wal[0].from_lsn, position(100));
  EXPECT_EQ(wal[0].to_lsn, position(100) + 10);
  EXPECT_EQ(wal[1].from_lsn, position(14));
  EXPECT_EQ(wal[1].to_lsn, KeptWal::kOpenEnd);
  EXPECT_TRUE(decision("100d").is_kept_for_good());
  EXPECT_EQ(decision("100d").until(), std::nullopt);
}

TEST_F(Retention, BackupsThatStopDontMakeOlderOnesGo) {
  policy.keep_last = 1;
  for (int days = 400; days >= 0; --days) add(days);
  const auto before = kept();
  input.now = day(-3000);
  // But for the window: of what was in it only its base stays where no tier counts it.
  const auto after = kept();
  for (const auto& id : after) EXPECT_THAT(before, Contains(id));
  EXPECT_THAT(after, Contains("0d"));
  EXPECT_THAT(after, Contains("6d"));   // daily
  EXPECT_THAT(after, Contains("1d"));   // 2026-02
  EXPECT_THAT(after, Contains("60d"));  // 2025-12-31
  EXPECT_TRUE(plan().keeps_wal(0, 1, position(0), position(-500)));
}

TEST_F(Retention, TheReasonsNameTheTiers) {
  for (int days = 40; days >= 0; --days) add(days);
  std::vector<std::string> tiers;
  for (const auto& reason : decision("0d").kept_by) {
    tiers.push_back(fmt::format("{} {}", to_string(reason.tier), reason.detail));
  }
  EXPECT_THAT(tiers, ElementsAre("last 1 of 3", "daily 2026-03-01", "weekly 2026-W09",
                                 "monthly 2026-03", "yearly 2026", "window "));
  const auto goes = decision("33d").not_kept_by;
  EXPECT_THAT(
      goes,
      ElementsAre("33 are newer", "daily: 2026-01-27 is not among the newest 7",
                  "weekly: 28d is the last of 2026-W05", "monthly: 29d is the last of 2026-01",
                  "yearly: 0d is the last of 2026", "window: ended before 2026-02-15 12:00 +0000"));
}

TEST_F(Retention, SaysUntilWhen) {
  only_last();
  policy.keep_within = Microseconds(0);
  policy.keep_daily = 7;
  for (int days = 6; days >= 0; --days) add(days);
  // Today counts already: tomorrow's backup is the one that pushes 6d out.
  EXPECT_EQ(decision("6d").until(), day(-1) - hours(12));
  EXPECT_EQ(decision("1d").until(), day(-6) - hours(12));
  EXPECT_EQ(decision("0d").until(), std::nullopt);  // a later one today takes its place
}

TEST_F(Retention, PinsExpire) {
  only_last();
  add(90).pins = {{"old", day(1)}, {"audit", day(-1)}};
  add(80).pins = {{"gone", day(0)}};
  add(14);
  add(0);
  EXPECT_THAT(kept(), ElementsAre("90d", "14d", "0d"));
  EXPECT_EQ(decision("90d").until(), day(-1));
  EXPECT_THAT(decision("80d").not_kept_by, Contains(HasSubstr("pin gone expired on 2026-03-01")));
}

TEST_F(Retention, VerifiedOnesAreNeverTooFew) {
  only_last();
  policy.keep_verified = 2;
  policy.keep_within = Microseconds(0);
  add(50).is_verified = true;
  add(40).is_verified = true;
  add(30);
  add(20).is_verified = true;
  add(0);
  EXPECT_THAT(kept(), ElementsAre("40d", "20d", "0d"));
  input.backups.back().is_verified = true;
  EXPECT_THAT(kept(), ElementsAre("20d", "0d"));
}

TEST_F(Retention, AFullRepositoryIsAWarningOnly) {
  for (int days = 40; days >= 0; --days) add(days);
  const auto before = kept();
  policy.max_size_bytes = 1000;
  input.stored_bytes = 1000;
  EXPECT_THAT(plan().warnings, IsEmpty());
  input.stored_bytes = 1001;
  EXPECT_THAT(plan().warnings, ElementsAre(HasSubstr("1 more than max_size")));
  EXPECT_EQ(kept(), before);
}

TEST_F(Retention, ABackupOfTheFutureTakesNobodysPlace) {
  only_last();
  policy.keep_within = Microseconds(0);
  add(1);
  add(0);
  add(-1);  // ends in 23 hours
  EXPECT_THAT(kept(), ElementsAre("0d", "-1d"));
  EXPECT_THAT(plan().warnings, ElementsAre(HasSubstr("still to come")));
  EXPECT_EQ(decision("-1d").kept_by.front().tier, RetentionTier::kFuture);
}

TEST_F(Retention, AClockThatFellBackDeletesNothing) {
  for (int days = 400; days >= 0; --days) add(days);
  input.now = day(5000);
  EXPECT_EQ(kept().size(), 401u);
  EXPECT_TRUE(plan().keeps_wal(0, 1, position(400), position(399)));
}

TEST_F(Retention, ATimelinesWindowBeginsOnItsAncestor) {
  only_last();
  // Timeline 2 left timeline 1 five days ago, at what timeline 1 had been ten days ago.
  const auto branch = position(10);
  input.timelines = {{0, 1, {}, day(5)}, {0, 2, {{1, branch}}, day(0)}};
  add(30);
  add(16);
  add(12);
  add(8);  // behind the branch: of no use to timeline 2
  add(2, 2).start_lsn = branch + 3000;
  input.backups.back().stop_lsn = branch + 3010;
  EXPECT_THAT(kept(), ElementsAre("16d", "12d", "8d", "2d"));
  const auto plan = this->plan();
  // Both ends: somebody may want back what timeline 1 had before it was left.
  EXPECT_TRUE(plan.keeps_wal(0, 1, position(5), position(5) + 1));
  EXPECT_TRUE(plan.keeps_wal(0, 1, position(16), position(16) + 1));
  EXPECT_FALSE(plan.keeps_wal(0, 1, position(16) - 1, position(16)));
  EXPECT_TRUE(plan.keeps_wal(0, 2, branch - 1, branch + 1));
  EXPECT_FALSE(plan.keeps_wal(0, 2, branch - 2, branch - 1));

  // Later timeline 1 is out of the window but for what timeline 2 needs of it.
  input.now = day(-10);
  policy.keep_within = hours(24 * 14);
  input.timelines[1].last_written = input.now;
  const auto later = this->plan();
  EXPECT_FALSE(later.keeps_wal(0, 1, position(5), position(5) + 1));
  EXPECT_TRUE(later.keeps_wal(0, 1, branch - 1, branch));
}

TEST_F(Retention, NothingCrossesAnUpgrade) {
  only_last();
  policy.keep_daily = 2;
  policy.keep_yearly = 1;
  input.timelines = {{0, 1, {}, day(20)}, {1, 1, {}, day(0)}};
  add(21);
  add(20);  // the last of the old server, on the day of the upgrade
  auto& first = add(20, 1, 1);
  first.id = "first";
  first.stop_time = day(20);
  add(19, 1, 1);
  add(1, 1, 1);
  add(0, 1, 1);
  // The old server's last backup stands for its year, until that is over.
  EXPECT_THAT(kept(), ElementsAre("20d", "19d", "1d", "0d"));
  const auto plan = this->plan();
  EXPECT_FALSE(plan.keeps_wal(0, 1, position(20) + 11, position(20) + 12));
  EXPECT_TRUE(plan.keeps_wal(1, 1, position(0), position(0) + 1));
  for (int days = 1; days < 400; ++days) add(-days, 1, 1);
  input.now = day(-399);
  input.timelines[1].last_written = input.now;
  EXPECT_EQ(kept().front(), "-385d");
}

TEST_F(Retention, AnIdleDatabaseKeepsItsWindow) {
  only_last();
  add(60);
  input.timelines = {{0, 1, {}, day(50)}};
  EXPECT_TRUE(plan().keeps_wal(0, 1, position(50), position(50) + 1));
  EXPECT_FALSE(plan().keeps_wal(0, 1, position(60) - 1, position(60)));
}

TEST_F(Retention, WithoutABackupAllWalStays) {
  input.timelines = {{0, 1, {}, day(0)}};
  EXPECT_TRUE(plan().keeps_wal(0, 1, 0, 1));
  EXPECT_TRUE(plan().windows.front().has_no_backup);
}

TEST_F(Retention, PoliciesThatCantBeFollowedAreRefused) {
  policy.keep_last = 0;
  EXPECT_EQ(plan_retention(input, policy).error().kind(), ErrorKind::kInvalid);
  policy.keep_last = 1;
  policy.time_zone = "Mars/Olympus";
  EXPECT_THAT(plan_retention(input, policy).error().message(), HasSubstr("Mars/Olympus"));
}

TEST(SimulateRetention, DefaultsKeepTheirTiersAfterYears) {
  const auto simulated = simulate_retention({}, day(2000), 2000, hours(24));
  ASSERT_TRUE(simulated);
  EXPECT_EQ(simulated->backups_taken, 2000u);
  std::map<RetentionTier, int> kept;
  for (const auto& decision : simulated->plan.decisions) {
    EXPECT_TRUE(decision.keep());
    for (const auto& reason : decision.kept_by) ++kept[reason.tier];
  }
  EXPECT_EQ(kept[RetentionTier::kDaily], 7);
  EXPECT_EQ(kept[RetentionTier::kWeekly], 4);
  EXPECT_EQ(kept[RetentionTier::kMonthly], 12);
  EXPECT_EQ(kept[RetentionTier::kYearly], 5);
  EXPECT_EQ(kept[RetentionTier::kWithin], 14);
  EXPECT_EQ(kept[RetentionTier::kBase], 1);
  EXPECT_GE(simulated->most_kept, simulated->input.backups.size());
  EXPECT_EQ(simulate_retention({}, day(0), 0, hours(24)).error().kind(), ErrorKind::kInvalid);
}

}  // namespace
}  // namespace pitr::test
