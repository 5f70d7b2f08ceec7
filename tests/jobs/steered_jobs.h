// Jobs and a clock for tests: jobs do what the test says, and time passes when it says so.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "agent/jobs/job_runner.h"
#include "config/load.h"
#include "support/must.h"
#include "support/temporary_directory.h"

namespace pitr::test {

// Thread-safe.
class SteeredClock final : public Clock {
 public:
  explicit SteeredClock(Timestamp now) : now_(now) {}
  Timestamp now() const override {
    std::lock_guard lock(mutex_);
    return now_;
  }
  SteadyTime steady_now() const override {
    std::lock_guard lock(mutex_);
    return steady_;
  }
  void pass(Microseconds time) {
    std::lock_guard lock(mutex_);
    now_ = now_ + time;
    steady_ += time;
  }
  // As an administrator does it: no time passes.
  void step(Microseconds by) {
    std::lock_guard lock(mutex_);
    now_ = now_ + by;
  }

 private:
  mutable std::mutex mutex_;
  Timestamp now_;
  SteadyTime steady_{};
};

// Thread-safe; do_run is called without a lock.
class SteeredJobs final : public Jobs {
 public:
  explicit SteeredJobs(const Clock& clock) : clock_(clock) {}

  std::function<Result<std::string>(JobKind, std::stop_token)> do_run;

  Result<std::string> run(JobKind kind, std::stop_token stop) override {
    const auto began = clock_.now();
    {
      std::lock_guard lock(mutex_);
      runs_.push_back(kind);
    }
    auto result = do_run ? do_run(kind, stop) : Result<std::string>("done");
    std::lock_guard lock(mutex_);
    if (result && kind == JobKind::kIndependent) published_[JobKind::kIndependent] = began;
    if (result && (kind == JobKind::kBackup || kind == JobKind::kIndependent)) {
      published_[JobKind::kBackup] = began;
    }
    return result;
  }
  Result<std::optional<Timestamp>> last_backup(JobKind kind, Timestamp) override {
    std::lock_guard lock(mutex_);
    const auto found = published_.find(kind);
    return found == published_.end() ? std::optional<Timestamp>() : found->second;
  }
  void publish(JobKind kind, Timestamp began) {
    std::lock_guard lock(mutex_);
    published_[kind] = began;
  }
  void forget_backup(JobKind kind) {
    std::lock_guard lock(mutex_);
    published_.erase(kind);
  }
  void forget_backups() {
    std::lock_guard lock(mutex_);
    published_.clear();
  }
  // Since the last call.
  std::vector<JobKind> take_runs() {
    std::lock_guard lock(mutex_);
    return std::exchange(runs_, {});
  }

 private:
  const Clock& clock_;
  std::mutex mutex_;
  std::vector<JobKind> runs_;
  std::map<JobKind, Timestamp> published_;
};

inline ScheduleConfig schedule_of(const std::string& yaml) {
  auto schedule = must(parse_config("schedule: " + yaml, "test")).schedule;
  // Most tests are about the others.
  if (yaml.find("verify") == std::string::npos) schedule.verify = Schedule::never();
  return schedule;
}

inline Timestamp utc(int year, unsigned month, unsigned day, int hour = 0, int minute = 0) {
  const std::chrono::sys_days date =
      std::chrono::year(year) / static_cast<int>(month) / static_cast<int>(day);
  const auto time = date + std::chrono::hours(hour) + std::chrono::minutes(minute);
  return Timestamp::from_unix_us(Microseconds(time.time_since_epoch()).count());
}

// A runner, made anew when the agent starts.
class RunnerSite {
 public:
  explicit RunnerSite(Timestamp now)
      : clock(now), jobs(clock), home_(must(TemporaryDirectory::create_in("/dev/shm"))) {}

  Path state_file() const { return home_ / "main/jobs.json"; }
  void start(const ScheduleConfig& config) {
    runner.reset();
    runner = std::make_unique<JobRunner>("main", must(JobBook::create("main", config)), jobs, slots,
                                         turn, clock, state_file());
  }
  // Everything that is due now.
  std::vector<JobKind> run() {
    while (runner->run_due(JobRunner::Lane::kWork, {})) {
    }
    return jobs.take_runs();
  }
  JobStatus status(JobKind kind) const {
    for (auto& job : runner->status()) {
      if (job.kind == kind) return job;
    }
    throw std::runtime_error("no such job");
  }

  SteeredClock clock;
  SteeredJobs jobs;
  JobSlots slots{1};
  JobTurn turn;

 private:
  TemporaryDirectory home_;

 public:
  std::unique_ptr<JobRunner> runner;  // last: it uses all of the above
};

}  // namespace pitr::test
