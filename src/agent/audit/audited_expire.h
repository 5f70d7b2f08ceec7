// expire_cluster(), with its line in the audit trail. A dry run leaves none.
#pragma once

#include "agent/audit/audit_trail.h"
#include "repository/expire/expire.h"

namespace pitr {

Result<ExpireReport> expire_audited(Repository& repository, const std::string& cluster,
                                    const ExpireOptions& options, const AskedBy& asked_by,
                                    const Clock& clock, std::stop_token stop);

}  // namespace pitr
