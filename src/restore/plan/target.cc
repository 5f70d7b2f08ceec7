#include "restore/plan/target.h"

#include <fmt/format.h>

namespace pitr {

namespace {

std::string_view exclusive_suffix(bool inclusive) {
  return inclusive ? "" : " (exclusive)";
}

struct Describe {
  std::string operator()(const TargetTime& target) const {
    return fmt::format("time {}{}", to_string(target.time), exclusive_suffix(target.inclusive));
  }
  std::string operator()(const TargetLsn& target) const {
    return fmt::format("LSN {}{}", to_string(target.lsn), exclusive_suffix(target.inclusive));
  }
  std::string operator()(const TargetXid& target) const {
    return fmt::format("transaction {}{}", target.xid, exclusive_suffix(target.inclusive));
  }
  std::string operator()(const TargetName& target) const {
    return fmt::format("restore point \"{}\"", target.name);
  }
  std::string operator()(const TargetImmediate&) const { return "the backup's end"; }
  std::string operator()(const TargetLatest&) const { return "latest"; }
};

}  // namespace

std::string to_string(const RestoreTarget& target) {
  return std::visit(Describe(), target);
}

}  // namespace pitr
