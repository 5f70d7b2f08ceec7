// The audit trail summed up by quarter: what an auditor wants to see first. Pure; quarters are
// UTC's.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "repository/audit/audit_entry.h"

namespace pitr {

struct AuditCount {
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
};

struct AuditQuarter {
  std::string name;  // "2026-Q4"
  std::map<AuditedOperation, AuditCount> operations;
  std::map<std::string, std::uint64_t> users;  // entries of each
  std::uint64_t without_reason = 0;            // restores and deletions whose reason nobody gave
};

std::string quarter_of(Timestamp time);

class AuditSummary {
 public:
  void add(const AuditEntry& entry);
  const std::map<std::string, AuditQuarter>& quarters() const { return quarters_; }

 private:
  std::map<std::string, AuditQuarter> quarters_;
};

}  // namespace pitr
