// A year of a cluster's jobs in a second: backups by schedule, some of which fail, expiry, and
// weeks in which the machine is off. The jobs are those of a repository that is only a list.
#include <fmt/format.h>

#include <random>
#include <set>

#include "common/log.h"
#include "jobs/steered_jobs.h"
#include "retention/simulate.h"

namespace pitr::test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

class ListedBackups {
 public:
  void take(Timestamp began) {
    RetentionBackup backup;
    backup.id = fmt::format("{}", ++taken_);
    backup.timeline = 1;
    backup.start_lsn = static_cast<std::uint64_t>(taken_) << 24;
    backup.stop_lsn = backup.start_lsn + 1;
    backup.stop_time = began;
    backups_.push_back(backup);
    days_.insert(began.unix_us() / Microseconds(hours(24)).count());
  }
  Result<RetentionPlan> expire(Timestamp now, const RetentionPolicy& policy) {
    RetentionInput input;
    input.now = now;
    input.backups = backups_;
    auto plan = TRY(plan_retention(input, policy));
    backups_.clear();
    for (const auto& decision : plan.decisions) {
      if (decision.keep()) backups_.push_back(input.backups[decision.backup]);
    }
    return plan;
  }
  std::vector<Timestamp> times() const {
    std::vector<Timestamp> times;
    for (const auto& backup : backups_) times.push_back(backup.stop_time);
    return times;
  }
  int taken() const { return taken_; }
  bool has(Timestamp began) const {
    return std::ranges::find(backups_, began, &RetentionBackup::stop_time) != backups_.end();
  }
  bool has_day(Timestamp time) const {
    return days_.contains(time.unix_us() / Microseconds(hours(24)).count());
  }

 private:
  int taken_ = 0;
  std::vector<RetentionBackup> backups_;
  std::set<std::int64_t> days_;  // on which one was taken
};

struct Year {
  explicit Year(Timestamp begin) : site(begin) {
    log::set_level(log::Level::kWarning);  // a line for each of a thousand runs helps nobody
    site.jobs.do_run = [this](JobKind kind, std::stop_token) -> Result<std::string> {
      if (kind == JobKind::kExpire) {
        ++expired;
        auto plan = backups.expire(site.clock.now(), policy);
        if (!plan) return plan.error();
        // Then the repository knows of no independent one.
        if (!backups.has(last_independent)) site.jobs.forget_backup(JobKind::kIndependent);
        return "expired";
      }
      if (fails && fails()) {
        ++failed;
        return Error::transient("failed");
      }
      if (kind == JobKind::kIndependent) {
        ++independent;
        last_independent = site.clock.now();
      }
      backups.take(site.clock.now());
      return "taken";
    };
  }
  // Minutes in which nothing is due are passed over; the runner would sleep.
  void live_until(Timestamp end) {
    while (site.clock.now() < end) {
      while (site.runner->run_due(JobRunner::Lane::kWork, {})) {
      }
      Timestamp next = end;
      for (const auto& job : site.runner->status()) {
        if (job.next) next = std::min(next, *job.next);
      }
      site.clock.pass(std::max(next - site.clock.now(), Microseconds(minutes(1))));
    }
  }

  RunnerSite site;
  ListedBackups backups;
  RetentionPolicy policy;
  std::function<bool()> fails;
  int expired = 0, failed = 0, independent = 0;
  Timestamp last_independent;
};

const std::string kSchedule = R"({backup: "0 1 * * *", independent: "0 1 1 * *",
  expire: "30 1 * * *", check: never, jitter: 0s})";

// As "pitr retention simulate" foretells it: same policy, a backup a day.
TEST(SimulatedYear, KeepsWhatTheSimulationForetells) {
  const auto begin = utc(2027, 6, 1, 1);
  Year year(begin);
  year.site.start(schedule_of(kSchedule));
  year.live_until(begin + hours(24 * 400));
  EXPECT_EQ(year.backups.taken(), 400);
  EXPECT_EQ(year.expired, 401);  // at once, and each day
  EXPECT_EQ(year.independent, 14);
  const auto simulated = must(simulate_retention(year.policy, begin, 400, hours(24)));
  std::vector<Timestamp> foretold;
  for (const auto& backup : simulated.input.backups) foretold.push_back(backup.stop_time);
  EXPECT_EQ(year.backups.times(), foretold);
  EXPECT_GT(foretold.size(), 20u);
}

TEST(SimulatedYear, FailuresAndDaysOffLoseNoDayOnWhichItRan) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937_64 random(seed);
  const auto chance = [&](double p) { return std::bernoulli_distribution(p)(random); };
  const auto begin = utc(2027, 6, 1, 0, 30);
  Year year(begin);
  year.fails = [&] { return chance(0.5); };
  std::set<std::int64_t> off;
  for (auto day = begin; day < begin + hours(24 * 365);) {
    year.site.start(schedule_of(kSchedule));  // the agent starts each day
    year.live_until(day + hours(23));
    EXPECT_TRUE(year.backups.has_day(year.site.clock.now())) << to_string(day);
    const int days = chance(0.05) ? std::uniform_int_distribution(2, 9)(random) : 1;
    const int taken = year.backups.taken();
    const int independent = year.independent;
    day = day + hours(24 * days);
    year.site.clock.pass(day - year.site.clock.now());
    if (days == 1) continue;
    // One for all that were missed; two where an independent one failed before.
    year.site.start(schedule_of(kSchedule));
    year.live_until(day + minutes(20));
    EXPECT_LE(year.backups.taken() - taken, 1 + (year.independent - independent));
    EXPECT_LE(year.independent - independent, 1);
  }
  EXPECT_GT(year.failed, 100);
  // Twelve months, and whatever the tiers of days and weeks hold.
  EXPECT_GE(year.backups.times().size(), 20u);
  // What one run keeps the next one keeps as well, at the same time.
  must(year.backups.expire(year.site.clock.now(), year.policy));
  const auto plan = must(year.backups.expire(year.site.clock.now(), year.policy));
  for (const auto& decision : plan.decisions) EXPECT_TRUE(decision.keep());
}

}  // namespace
}  // namespace pitr::test
