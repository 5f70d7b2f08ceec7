// What the jobs of a cluster do, by its service and its repository. Thread-safe; both and the clock
// must outlive it.
#pragma once

#include "agent/cluster_service.h"
#include "agent/jobs/job_runner.h"

namespace pitr {

class ClusterJobs final : public Jobs {
 public:
  ClusterJobs(ClusterService& service, Repository& repository, const Clock& clock)
      : service_(service), repository_(repository), clock_(clock) {}

  // Of checks it is an error only where they can't be made; what they find is in the status.
  Result<std::string> run(JobKind kind, std::stop_token stop) override;
  Result<std::optional<Timestamp>> last_backup(JobKind kind, Timestamp now) override;
  void could_not_begin(JobKind kind, const Error& error) override;

  // What somebody asked for, in the cluster's turn; the observer is told of waiting for it. It
  // counts in the metrics as the scheduled ones do; of verifications those in full, of everything
  // or of a cycle.
  Result<VerifyReport> verify_now(const VerifyOptions& options, const AskedBy& asked_by,
                                  Observer& observer, std::stop_token stop);
  Result<ExpireReport> expire_now(const AskedBy& asked_by, Observer& observer,
                                  std::stop_token stop);
  // Takes no turn, as it only reads.
  Result<ExpireReport> show_expire();

 private:
  Result<JobTurn::Holder> take_turn(std::string what, Observer& observer, std::stop_token stop);
  void count(JobKind kind, Outcome outcome, Timestamp started);
  Result<std::string> run_one(JobKind kind, std::stop_token stop);
  Result<std::string> back_up(ReadRequest read, std::stop_token stop);
  Result<std::string> expire(std::stop_token stop);
  Result<std::string> verify(std::stop_token stop);
  Result<std::string> check(std::stop_token stop);

  ClusterService& service_;
  Repository& repository_;
  const Clock& clock_;
};

}  // namespace pitr
