#include "restore/plan/plan_words.h"

#include <fmt/format.h>

#include "restore/plan/timestamp_text.h"

namespace pitr {

std::string PlanWords::time(Timestamp at) const {
  if (zone.empty()) return to_string(at);
  auto text = to_string_in_zone(at, zone).value_or(to_string(at));
  const auto name = text.find(" (");  // the offset says it all
  return name == std::string::npos ? text : text.substr(0, name);
}

std::string PlanWords::target(const RestoreTarget& target) const {
  const auto* wanted = std::get_if<TargetTime>(&target);
  if (!wanted) return to_string(target);
  return fmt::format("time {}{}", time(wanted->time), wanted->inclusive ? "" : " (exclusive)");
}

std::string PlanWords::option(std::string_view option) const {
  return timeline ? fmt::format("{} --timeline {}", option, to_string(*timeline))
                  : std::string(option);
}

}  // namespace pitr
