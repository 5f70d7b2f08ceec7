// The commands of pitr and what their arguments set: declared here, built by command_line.cc and
// command_line_upkeep.cc. Only they include this, as CLI11 costs seconds to compile. Not
// thread-safe.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "programs/pitr/cmd_archive_wal.h"
#include "programs/pitr/cmd_audit.h"
#include "programs/pitr/cmd_backup.h"
#include "programs/pitr/cmd_check.h"
#include "programs/pitr/cmd_expire.h"
#include "programs/pitr/cmd_facts.h"
#include "programs/pitr/cmd_init.h"
#include "programs/pitr/cmd_keys.h"
#include "programs/pitr/cmd_list.h"
#include "programs/pitr/cmd_notify.h"
#include "programs/pitr/cmd_status.h"
#include "programs/pitr/cmd_token.h"
#include "programs/pitr/cmd_verify.h"

namespace pitr {

using Command = std::function<Result<int>(const CommandContext&)>;

// Everything that the arguments can say.
class CommandLine {
 public:
  CommandLine();
  CLI::App& app() { return app_; }
  int run();

 private:
  CLI::App* add(const std::string& name, const std::string& description, Command command);
  CLI::App* set_up(CLI::App* subcommand, Command command);
  void add_cluster(CLI::App* command, const std::string& description);
  void add_json(CLI::App* command);
  void add_init();
  void add_backup();
  void add_readers();
  void add_archive_wal();
  void add_facts();
  void add_expire();
  void add_pins();
  void add_audit();
  void add_keys();
  void add_reason(CLI::App* command);
  void add_verify();
  void add_tokens();

  CLI::App app_{"Continuous backup of PostgreSQL, and restores to any moment of it.", "pitr"};
  CommonOptions common_;
  InitOptions init_;
  BackupOptions backup_;
  FactsRebuildOptions facts_;
  ExpireArguments expire_;
  PinArguments pin_;
  VerifyArguments verify_;
  SimulateArguments simulate_;
  AuditArguments audit_;
  KeysArguments keys_;
  TokenArguments token_;
  bool is_local_ = false, is_remote_ = false, is_full_ = false, is_independent_ = false;
  std::string shown_backup_ = "latest";
  std::string wal_path_, notified_;
  Command chosen_;
};

}  // namespace pitr
