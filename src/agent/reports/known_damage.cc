#include "agent/reports/known_damage.h"

#include <algorithm>
#include <set>

#include "repository/verify/verify_cycle.h"
#include "repository/verify/verify_records.h"

namespace pitr {

Result<std::vector<std::string>> known_damage(const IncarnationStore& store) {
  const auto state = TRY(read_cycle_state(store));
  std::set<std::string> damaged;
  for (const auto& [unit, checked] : state.checked) {
    if (!checked.is_right) damaged.insert(unit);
  }
  // A quick verification leaves no other trace.
  const auto packs = TRY(damaged_packs(store));
  const auto prefix_size = store.names().prefix().size();
  for (const auto& one : packs) damaged.insert(one.pack.text().substr(prefix_size));
  return std::vector<std::string>(damaged.begin(), damaged.end());
}

std::vector<std::string> damage_of(const BackupManifest& backup, const IncarnationStore& store,
                                   const std::vector<std::string>& known) {
  const auto prefix = store.names().prefix();
  std::vector<std::string> damaged;
  std::ranges::copy_if(known, std::back_inserter(damaged), [&](const std::string& unit) {
    return std::ranges::any_of(
        backup.packs, [&](const PackInfo& pack) { return pack.key.text() == prefix + unit; });
  });
  return damaged;
}

}  // namespace pitr
