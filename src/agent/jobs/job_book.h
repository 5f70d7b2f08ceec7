// What is to be done for one cluster and when, and what was done last: the memory of its job
// runner, without threads and without a clock. Not thread-safe.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/jobs/job.h"
#include "common/result.h"
#include "config/config.h"
#include "schedule/due.h"

namespace pitr {

// What outlives the agent, of one job.
struct JobRecord {
  JobMemory memory;
  std::optional<JobEnd> last;
};

class JobBook {
 public:
  // kInvalid: the system has no such time zone.
  static Result<JobBook> create(std::string cluster, const ScheduleConfig& config);

  // What was done stays; the rest counts from now on.
  Result<void> set_schedule(const ScheduleConfig& config);
  void restore(JobKind kind, JobRecord record) { jobs_.at(kind).record = std::move(record); }
  const JobRecord& record(JobKind kind) const { return jobs_.at(kind).record; }
  // The repository says when the last one that went well began, which counts more.
  void set_done(JobKind kind, std::optional<Timestamp> began);

  bool is_due(JobKind kind, Timestamp now);
  // Of those that are due the one that has been so longest; of equals the first.
  std::optional<JobKind> first_due(std::span<const JobKind> among, Timestamp now);
  // When the first of them is due; none: never.
  std::optional<Timestamp> next_due(std::span<const JobKind> among, Timestamp now);

  void begin(JobKind kind, Timestamp now) { jobs_.at(kind).running_since = now; }
  // result: what to tell people, or why it failed.
  void end(JobKind kind, Timestamp now, const Result<std::string>& result);
  // It was cancelled, or turned out not to be needed: as if it had not begun.
  void leave(JobKind kind) { jobs_.at(kind).running_since.reset(); }

  std::vector<JobStatus> status(Timestamp now) const;

 private:
  struct Job {
    JobRules rules;
    std::string schedule;
    JobRecord record;
    std::optional<Timestamp> running_since;
  };

  explicit JobBook(std::string cluster) : cluster_(std::move(cluster)) {}

  std::string cluster_;
  std::map<JobKind, Job> jobs_;
};

}  // namespace pitr
