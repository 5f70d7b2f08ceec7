// What an operator is asked and told around a restore: whether what is there may go, and what to do
// about damage. Functions only.
#pragma once

#include <vector>

#include "programs/pitr_restore/restore_run.h"

namespace pitr {

// Nothing is replaced without --force, or a rewrite, which asks for it; and not without a "yes", of
// a person at a terminal or --yes. kConflict, kCancelled; kInvalid where nobody can be asked.
Result<void> confirm_replacing(const std::vector<PlaceState>& places, bool is_rewrite,
                               const RestoreArguments& arguments);

// For errors in reading the repository: of damage that comes without one, the next step.
Error with_damage_hint(Error error);
template <typename T>
Result<T> with_damage_hint(Result<T> result) {
  if (result.has_value()) return result;
  return with_damage_hint(std::move(result).error());
}

}  // namespace pitr
