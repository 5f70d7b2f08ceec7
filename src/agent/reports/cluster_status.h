// Puts a cluster's status together: what the service says, what the repository holds, and the slot.
// Whatever of it cannot be had is told in the status; this never fails. Functions only;
// thread-safe.
#pragma once

#include <optional>
#include <stop_token>

#include "agent/reports/status.h"
#include "config/config.h"
#include "repository/repository.h"

namespace pitr {

// service: absent where no agent answered. repository: null where it couldn't be opened, for the
// reason in `trouble`.
ClusterStatus collect_cluster_status(const ClusterConfig& config,
                                     const std::optional<ServiceStatus>& service,
                                     Repository* repository, const std::string& trouble,
                                     std::stop_token stop = {});

Result<SlotReport> report_slot(const ClusterConfig& config, std::stop_token stop = {});

}  // namespace pitr
