// What a client may ask for with a job, as the JSON object of the request's body, and back. An
// empty body is an empty object; kInvalid for anything that isn't known. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "agent/cluster_service.h"

namespace pitr {

// label, reason, read ("full" or "independent"), method ("local" or "remote"), workers,
// keep_server_manifest
Result<BackupOptions> parse_backup_options(std::string_view body);
std::string to_json_text(const BackupOptions& options);

// quick, record, backup, budget_bytes, period_s, max_rate_bytes_per_second, workers, reason
struct VerifyRequest {
  VerifyOptions options;  // but its backup
  std::string backup;     // an id, or the beginning of one; empty: everything
  std::string reason;
};
Result<VerifyRequest> parse_verify_request(std::string_view body);
std::string to_json_text(const VerifyRequest& request);

// dry_run, policy, reason
struct ExpireRequest {
  bool dry_run = false;
  // What policy_text() of the client's policy is; where it isn't empty, another one is refused.
  std::string policy;
  std::string reason;
};
Result<ExpireRequest> parse_expire_request(std::string_view body);
std::string to_json_text(const ExpireRequest& request);

// Equal where the policies are.
std::string policy_text(const RetentionConfig& policy);

}  // namespace pitr
