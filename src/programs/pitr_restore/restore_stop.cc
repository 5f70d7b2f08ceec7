#include "programs/pitr_restore/restore_stop.h"

#include <fmt/format.h>

#include <system_error>

#include "restore/files/in_place_journal.h"
#include "restore/files/target_directory.h"

namespace pitr {

static constexpr Milliseconds kStopDeadline{1500};

RestoreStop::RestoreStop(Path data_directory)
    : data_directory_(std::move(data_directory)), signals_(kStopDeadline, [this] {
        const auto left = remains();
        return fmt::format("{}: {}", left.what, left.what_to_do);
      }) {}

RestoreStop::Remains RestoreStop::remains() const {
  const auto directory = data_directory_.string();
  if (files_are_done_) {
    return {"all files are restored into " + directory,
            "start the server on it, and it recovers to the target"};
  }
  std::error_code ignored;
  const bool is_marked = std::filesystem::exists(restoring_marker(data_directory_), ignored);
  const bool can_start =
      std::filesystem::exists(data_directory_ / "global" / "pg_control", ignored);
  const bool is_there = std::filesystem::exists(data_directory_, ignored);
  // A rewrite keeps what was there, as far as it is right.
  const auto journal = read_journal(data_directory_);
  if (!can_start && (!journal.has_value() || *journal)) {
    const bool can_undo = journal.has_value() && !(*journal)->undo.empty();
    return {directory + " is rewritten in part, and no server can start on it",
            "run the same command again, and it goes on" +
                (can_undo ? "; to bring back what was there: " + (*journal)->undo : "")};
  }
  if (!is_marked && (can_start || !is_there)) {
    return {"nothing was touched in " + directory, "run pitr-restore again"};
  }
  return {directory + " holds a part of the restore, and no server can start on it",
          "run pitr-restore again with --force, or remove the directory and what it placed of "
          "tablespaces; what was there before is gone"};
}

Error RestoreStop::explained(Error error) const {
  if (error.kind() != ErrorKind::kCancelled) return error;
  auto left = remains();
  return Error::cancelled("stopped: " + left.what).with_hint(std::move(left.what_to_do));
}

}  // namespace pitr
