// The recovery settings of a restored directory: a marked section at the end of
// postgresql.auto.conf. Pure; thread-safe.
//
// The server reads settings in file order, the last of a name wins, and every recovery_target_* is
// checked against the others when it is set (guc assign hooks in xlogrecovery.c): so the section
// first empties all targets, then sets the one.
#pragma once

#include <string>
#include <string_view>

#include "restore/recovery/recovery_plan.h"

namespace pitr {

enum class RecoveryAction { kPromote, kPause, kShutdown };
std::string_view to_string(RecoveryAction action);
Result<RecoveryAction> parse_recovery_action(std::string_view text);

struct RecoverySettings {
  std::string restore_command;
  Lsn target_lsn;
  bool inclusive = true;
  TimelineId timeline;
  RecoveryAction action = RecoveryAction::kPromote;
  bool keep_archive_mode = false;  // false: archive_mode = off
};

// The file's text with a new section, without that of an earlier restore.
std::string with_recovery_settings(std::string_view auto_conf, const RecoverySettings& settings);

// '<program>' --plan '<plan>' "%f" "%p", quoted for the shell, with % doubled.
std::string restore_command(const Path& wal_get_program, const Path& wal_get_plan);

}  // namespace pitr
