// What pitr-restore does, once its command line is read: plan, show, ask, restore, start, compare.
// Files are touched only after the plan was made and shown. Not thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/file.h"
#include "restore/files/target_directory.h"
#include "restore/plan/plan.h"
#include "restore/recovery/recovery_settings.h"

namespace pitr {

// As the operator wrote it; at most one of the targets is set.
struct RestoreArguments {
  std::optional<std::string> timestamp;
  std::optional<std::string> lsn;
  std::optional<std::string> xid;
  std::optional<std::string> name;
  bool immediate = false;
  bool latest = false;
  bool exclusive = false;
  std::optional<std::string> timeline;
  std::optional<std::string> backup;

  std::optional<Path> target_directory;
  std::vector<std::string> tablespace_map;  // OLD=NEW or OID=NEW
  bool start = false;
  std::optional<int> port;
  std::vector<std::string> settings;  // NAME=VALUE
  std::string action = "promote";
  std::optional<std::string> archive_mode;  // off or preserve; default: off, in place preserve
  std::optional<Path> binary_directory;

  bool delta = false;      // keep what is right of what is there
  bool in_place = false;   // the same, of the cluster's own directory, undoably
  bool no_safety = false;  // in place: without a backup of what is there

  bool dry_run = false;
  bool json = false;
  bool force = false;
  bool yes = false;
  std::optional<Path> config;
  std::string cluster;
  std::optional<std::string> system_identifier;
  std::string reason;  // for the audit trail
  unsigned jobs = 0;   // 0: the number of cores, 8 at most
};

// The exit code (exit_codes.h). Errors go to standard error.
int run_restore(const RestoreArguments& arguments);

}  // namespace pitr
