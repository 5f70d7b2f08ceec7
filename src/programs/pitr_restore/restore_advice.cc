#include "programs/pitr_restore/restore_advice.h"

#include <fmt/format.h>

#include <algorithm>

#include "programs/confirm.h"

namespace pitr {

Result<void> confirm_replacing(const std::vector<PlaceState>& places, bool is_rewrite,
                               const RestoreArguments& arguments) {
  const auto occupied = std::ranges::find_if(
      places, [](const PlaceState& place) { return place.occupancy != Occupancy::kFree; });
  if (occupied == places.end()) return {};
  if (!arguments.force && !is_rewrite) {
    return Error::conflict(
               fmt::format("{} holds {}", occupied->path.string(), occupied->description))
        .with_hint("--force replaces it; or choose another --target-dir");
  }
  if (arguments.yes) return {};
  const auto path = occupied->path.string();
  return confirm(is_rewrite
                     ? fmt::format("What differs in {} will be overwritten or deleted.", path)
                     : path + " will be deleted.",
                 fmt::format("what is in {} would be replaced; that", path));
}

Error with_damage_hint(Error error) {
  if (error.kind() != ErrorKind::kCorrupt || !error.hint().empty()) return error;
  return std::move(error).with_hint(
      "pitr verify names what is damaged and which backups need it; --backup takes another one. "
      "Where the database lives, pitr backup stores the damaged blocks again");
}

}  // namespace pitr
