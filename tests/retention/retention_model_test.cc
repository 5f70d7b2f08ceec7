// plan_retention() over years of simulated days, against a naive model and against the truth.
#include "retention/retention_model.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>

#include "retention/simulated_history.h"

namespace pitr::test {
namespace {

const char* const kZones[] = {"UTC", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe",
                              "Pacific/Apia"};

RetentionPolicy random_policy(SimulatedHistory& history) {
  RetentionPolicy policy;
  policy.keep_last = static_cast<unsigned>(history.pick(1, 8));
  policy.keep_daily = static_cast<unsigned>(history.pick(0, 10));
  policy.keep_weekly = static_cast<unsigned>(history.pick(0, 6));
  policy.keep_monthly = static_cast<unsigned>(history.pick(0, 14));
  policy.keep_yearly = static_cast<unsigned>(history.pick(0, 3));
  policy.keep_verified = static_cast<unsigned>(history.pick(0, 3));
  policy.keep_within = std::chrono::hours(history.pick(0, 20 * 24));
  policy.time_zone = kZones[history.pick(0, std::size(kZones) - 1)];
  return policy;
}

std::set<std::string> kept_ids(const RetentionInput& input, const RetentionPlan& plan) {
  std::set<std::string> ids;
  for (const auto& decision : plan.decisions) {
    if (decision.keep()) ids.insert(input.backups[decision.backup].id);
  }
  return ids;
}

// "Not before": nothing that has a date goes earlier.
class Promises {
 public:
  void check(const RetentionInput& input, const std::set<std::string>& kept) {
    for (const auto& backup : input.backups) {
      if (kept.contains(backup.id)) continue;
      const auto promised = not_before_.find(backup.id);
      if (promised == not_before_.end()) continue;
      EXPECT_LE(promised->second, input.now) << backup.id << " went before its time";
    }
  }
  void note(const RetentionInput& input, const RetentionPlan& plan) {
    for (const auto& decision : plan.decisions) {
      if (const auto until = decision.until()) {
        not_before_[input.backups[decision.backup].id] = *until;
      }
    }
  }

 private:
  std::map<std::string, Timestamp> not_before_;
};

void expect_window_is_whole(SimulatedHistory& history, const RetentionPolicy& policy) {
  const auto left = history.input();
  const auto& moments = history.moments();
  // A clock that is stepped takes as much away from the window (see kLargestClockStep).
  const auto margin = history.clock_is_steady() ? Microseconds(0) : 2 * kLargestClockStep;
  for (auto moment = moments.rbegin(); moment != moments.rend(); ++moment) {
    if (moment->time <= history.now() - policy.keep_within - Microseconds(std::chrono::hours(24))) {
      break;
    }
    if (moment->time <= history.now() - policy.keep_within + margin) continue;
    if (!can_reach(*moment, history.all_backups(), history.timelines(), nullptr)) continue;
    ASSERT_TRUE(can_reach(*moment, left.backups, history.timelines(), &history.wal()))
        << to_string(moment->time) << ", timeline " << moment->timeline << ", position "
        << moment->lsn;
  }
}

// Each backup that is kept still has what it needs to become consistent.
void expect_backups_restore(SimulatedHistory& history) {
  for (const auto& backup : history.input().backups) {
    const Moment stop{backup.incarnation, backup.timeline, backup.stop_lsn, backup.stop_time};
    ASSERT_TRUE(can_reach(stop, {backup}, history.timelines(), &history.wal())) << backup.id;
  }
}

void expect_like_model(SimulatedHistory& history, const RetentionInput& input,
                       const RetentionPolicy& policy, const RetentionPlan& plan,
                       const LocalCalendar& calendar) {
  const RetentionModel model(input, policy, calendar);
  const auto kept = model.kept();
  ASSERT_EQ(kept_ids(input, plan), kept);
  for (const auto& chunk : history.wal()) {
    ASSERT_EQ(plan.keeps_wal(chunk.incarnation, chunk.timeline, chunk.number * kChunk,
                             (chunk.number + 1) * kChunk),
              model.keeps(chunk, kept))
        << "incarnation " << chunk.incarnation << ", timeline " << chunk.timeline << ", chunk "
        << chunk.number;
  }
}

void live_for_years(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  SimulatedHistory history(seed);
  const auto policy = random_policy(history);
  const LocalCalendar calendar(policy.time_zone);
  Promises promises;
  const auto end = history.now() + std::chrono::hours(24 * history.pick(100, 900));
  while (history.now() < end) {
    history.step();
    if (!history.happens(0.1)) continue;
    const auto input = history.input();
    const auto plan = plan_retention(input, policy);
    ASSERT_TRUE(plan) << plan.error().message();
    const auto kept = kept_ids(input, *plan);
    if (history.clock_is_steady()) promises.check(input, kept);
    if (history.happens(0.3)) expect_like_model(history, input, policy, *plan, calendar);
    promises.note(input, *plan);
    history.apply(*plan, input);
    expect_window_is_whole(history, policy);
    expect_backups_restore(history);
    if (::testing::Test::HasFailure()) return;
  }
  // What went on the way doesn't change what stays in the end.
  if (!history.clock_is_steady()) return;
  auto everything = history.input();
  const auto left = history.input();
  everything.backups = history.all_backups();
  const auto counted = RetentionModel(everything, policy, calendar).kept_by_count();
  std::set<std::string> left_ids;
  for (const auto& backup : left.backups) left_ids.insert(backup.id);
  EXPECT_TRUE(std::ranges::includes(left_ids, counted));
}

std::uint64_t first_seed() {
  const char* given = ::getenv("PITR_TEST_SEED");
  return given ? std::strtoull(given, nullptr, 10) : 1;
}

TEST(RetentionModel, YearsOfSimulatedDays) {
  const auto first = first_seed();
  for (auto seed = first; seed < first + 40 && !HasFailure(); ++seed) live_for_years(seed);
}

}  // namespace
}  // namespace pitr::test
