// The plan and the outcome of a restore, for people and as JSON. Pure; thread-safe.
#pragma once

#include <string>
#include <vector>

#include "programs/pitr_restore/restore_rewrite.h"
#include "programs/pitr_restore/restored_server.h"
#include "restore/files/restorer.h"
#include "restore/files/target_directory.h"
#include "restore/plan/plan.h"

namespace pitr {

struct RestoreView {
  const RestorePlan& plan;
  std::string cluster;
  std::string zone;                       // in which times are shown
  std::optional<std::string> given_time;  // the target, in that zone
  std::optional<Path> data_directory;
  std::vector<TablespacePlace> tablespaces;
  std::vector<PlaceState> places;
  RecoveryAction action = RecoveryAction::kPromote;
  bool keep_archive_mode = false;
  const RewriteView* rewrite = nullptr;  // --delta, --in-place
};

struct RestoreOutcome {
  std::optional<TimelineId> new_timeline;
  std::optional<RestoreSummary> files;
  std::string undo;  // the command; empty: there is none
  std::optional<ServerReport> server;
};

std::string plan_text(const RestoreView& view);
std::string outcome_text(const RestoreView& view, const RestoreOutcome& outcome);
std::string outcome_json(const RestoreView& view, const RestoreOutcome& outcome);

}  // namespace pitr
