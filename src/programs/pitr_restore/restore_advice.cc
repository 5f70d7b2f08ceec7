#include "programs/pitr_restore/restore_advice.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace pitr {

static Result<bool> ask_yes(std::string_view question) {
  fmt::print(stderr, "{} Type \"yes\" to go on: ", question);
  std::fflush(stderr);
  char answer[16] = {};
  if (!std::fgets(answer, sizeof answer, stdin)) return false;
  return std::string_view(answer) == "yes\n";
}

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
  if (::isatty(STDIN_FILENO) != 1) {
    return Error::invalid(fmt::format("what is in {} would be replaced; that is asked before, and "
                                      "there is no terminal",
                                      occupied->path.string()))
        .with_hint("say --yes");
  }
  const auto* what =
      is_rewrite ? "What differs in {} will be overwritten or deleted." : "{} will be deleted.";
  const bool yes = TRY(ask_yes(fmt::format(fmt::runtime(what), occupied->path.string())));
  if (!yes) return Error::cancelled("nothing was touched");
  return {};
}

Error with_damage_hint(Error error) {
  if (error.kind() != ErrorKind::kCorrupt || !error.hint().empty()) return error;
  return std::move(error).with_hint(
      "pitr verify names what is damaged and which backups need it; --backup takes another one. "
      "Where the database lives, pitr backup stores the damaged blocks again");
}

}  // namespace pitr
