// verify_cluster(), with its line in the audit trail.
#pragma once

#include "agent/audit/audit_trail.h"
#include "repository/verify/verify.h"

namespace pitr {

// One that may write nothing into the repository (options.record) leaves no line there either.
Result<VerifyReport> verify_audited(Repository& repository, const std::string& cluster,
                                    const VerifyOptions& options, const AskedBy& asked_by,
                                    Observer& observer, const Clock& clock, std::stop_token stop);

}  // namespace pitr
