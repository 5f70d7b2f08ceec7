// What the jobs of a cluster do, by its service and its repository. Thread-safe; both and the clock
// must outlive it.
#pragma once

#include "agent/cluster_service.h"
#include "agent/job_runner.h"

namespace pitr {

class ClusterJobs final : public Jobs {
 public:
  ClusterJobs(ClusterService& service, Repository& repository, const Clock& clock)
      : service_(service), repository_(repository), clock_(clock) {}

  // Of checks it is an error only where they can't be made; what they find is in the status.
  Result<std::string> run(JobKind kind, std::stop_token stop) override;
  Result<std::optional<Timestamp>> last_backup(JobKind kind, Timestamp now) override;
  void could_not_begin(JobKind kind, const Error& error) override;

 private:
  Result<std::string> run_one(JobKind kind, std::stop_token stop);
  Result<std::string> back_up(ReadRequest read, std::stop_token stop);
  Result<std::string> expire();
  Result<std::string> verify(std::stop_token stop);
  Result<VerifyReport> verify_audited(std::stop_token stop);
  Result<std::string> check(std::stop_token stop);

  ClusterService& service_;
  Repository& repository_;
  const Clock& clock_;
};

}  // namespace pitr
