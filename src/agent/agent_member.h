// A cluster of an agent: its service, and what does its jobs on schedule.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/cluster_service.h"
#include "agent/jobs/cluster_jobs.h"
#include "agent/jobs/job_runner.h"

namespace pitr {

struct AgentMember {
  std::unique_ptr<ClusterService> service;
  std::unique_ptr<ClusterJobs> jobs;
  std::unique_ptr<JobRunner> runner;  // uses both

  const std::string& name() const { return service->config().name; }
  ServiceStatus status() const;
};

using AgentMembers = std::vector<AgentMember>;  // as in the configuration

// "-" stands for the only one. kInvalid where there are several, kNotFound for other names.
Result<const AgentMember*> find_member(const AgentMembers& members, const std::string& cluster);

}  // namespace pitr
