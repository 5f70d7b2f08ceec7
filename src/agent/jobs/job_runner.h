// Does one cluster's jobs when they are due: on one thread backups and expire, never two at once,
// and on another one checks, which must not wait for a backup of hours. What it did outlives it in
// a file of the local state directory.
//
// A job that fails is tried again, with delays that grow, and is told in status(). One that never
// comes back blocks nobody but its own cluster, and takes one of the agent's slots. Thread-safe;
// jobs, slots, turn and clock must outlive it.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <span>
#include <stop_token>
#include <thread>

#include "agent/jobs/job_book.h"
#include "agent/jobs/job_slots.h"
#include "agent/jobs/job_turn.h"
#include "common/file.h"

namespace pitr {

// What the jobs do.
class Jobs {
 public:
  virtual ~Jobs() = default;
  // Says in a few words what it did.
  virtual Result<std::string> run(JobKind kind, std::stop_token stop) = 0;
  // When the newest published backup began that the schedule of `kind` counts.
  virtual Result<std::optional<Timestamp>> last_backup(JobKind kind, Timestamp now) = 0;
  // A backup is due, and it can't be found out whether there is one already.
  virtual void could_not_begin(JobKind, const Error&) {}
};

class JobRunner {
 public:
  JobRunner(std::string cluster, JobBook book, Jobs& jobs, JobSlots& slots, JobTurn& turn,
            const Clock& clock, Path state_file);
  ~JobRunner();

  void start();
  // Returns at once; what runs is cancelled.
  void request_stop();
  Result<void> set_schedule(const ScheduleConfig& config);
  std::vector<JobStatus> status() const;

  // Whether both threads are at work, or looked for some within the last two minutes.
  bool is_alive() const;

  enum class Lane { kWork, kChecks };
  // Does the first job of the lane that is due. False: none is.
  bool run_due(Lane lane, std::stop_token stop);

 private:
  void loop(Lane lane, std::stop_token stop);
  void note_beat(Lane lane, bool is_busy);
  void wait(Lane lane, std::stop_token stop);
  void look_for_backups();
  Result<void> note_last_backup(JobKind kind);
  void run(JobKind kind, std::stop_token stop);
  Result<std::string> run_in_turn(JobKind kind, std::stop_token stop, bool& needed);
  Result<std::string> run_backup(JobKind kind, std::stop_token stop, bool& needed);
  void finish(JobKind kind, const Result<std::string>& result);
  void save();

  const std::string cluster_;
  Jobs& jobs_;
  JobSlots& slots_;
  JobTurn& turn_;
  const Clock& clock_;
  const Path state_file_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  struct Beat {
    bool is_busy = true;
    SteadyTime last;
  };
  std::array<Beat, 2> beats_;  // guarded; by lane
  JobBook book_;               // guarded
  unsigned changes_ = 0;       // guarded: of the schedule
  bool can_save_ = true;       // guarded: told once when not
  SteadyTime looked_;          // of the working thread: when the repository was asked for backups
  bool has_looked_ = false;
  std::stop_source stop_;
  std::jthread work_, checks_;  // last: they use all of the above
};

}  // namespace pitr
