// pitr-restore: puts a cluster back to a moment. Its exit codes are in exit_codes.h.
#include <CLI/CLI.hpp>
#include <cstring>

#include "programs/exit_codes.h"
#include "programs/guarded_main.h"
#include "programs/parse_arguments.h"
#include "programs/pitr_restore/restore_run.h"
#include "programs/wal_serve.h"
#include "repository/audit/audit_entry.h"

namespace pitr {
namespace {

void add_options(CLI::App& app, RestoreArguments& arguments) {
  const char* target = "Target (one of these)";
  app.add_option("--timestamp", arguments.timestamp,
                 "A moment: 2026-03-01 09:15:00[.123456][+01|Z| Europe/Berlin]; without a zone, "
                 "local time")
      ->group(target);
  app.add_option("--lsn", arguments.lsn, "A WAL position: up to and with the record there")
      ->group(target);
  app.add_option("--xid", arguments.xid, "A transaction: up to and with its end")->group(target);
  app.add_option("--name", arguments.name, "A restore point (pg_create_restore_point)")
      ->group(target);
  app.add_flag("--immediate", arguments.immediate, "The end of the backup")->group(target);
  app.add_flag("--latest", arguments.latest, "All WAL that is stored")->group(target);
  app.add_flag("--exclusive", arguments.exclusive, "Stop before the target's record, not after it")
      ->group(target);
  app.add_option("--timeline", arguments.timeline, "Default: the newest stored")->group(target);
  app.add_option("--backup", arguments.backup,
                 "An id, the beginning of one, or latest. Default: the newest that can reach the "
                 "target")
      ->group(target);

  const char* place = "Where";
  app.add_option("--target-dir", arguments.target_directory, "The data directory to fill")
      ->group(place);
  app.add_option("--tablespace-map", arguments.tablespace_map,
                 "OLD=NEW or OID=NEW; may be repeated")
      ->group(place);
  auto* delta = app.add_flag("--delta", arguments.delta,
                             "Keep what is right of what is there, by digest, and write the rest")
                    ->group(place);
  auto* in_place = app.add_flag("--in-place", arguments.in_place,
                                "Put the stopped or crashed cluster's own directory back: archives "
                                "its WAL, takes a safety backup of what changed, writes only that")
                       ->group(place)
                       ->excludes(delta);
  app.add_flag("--no-safety", arguments.no_safety, "In place: take no safety backup; no undo")
      ->group(place)
      ->needs(in_place);
  app.add_flag("--force", arguments.force,
               "Replace what is there; with --delta, a directory that isn't PostgreSQL's too")
      ->group(place);
  app.add_flag("-y,--yes", arguments.yes, "Don't ask")->group(place);
  app.add_option("-j,--jobs", arguments.jobs, "Threads that write files")->group(place);

  const char* server = "The server";
  app.add_flag("--start", arguments.start, "Start it, wait for the target and compare")
      ->group(server);
  app.add_option(
         "--action", arguments.action,
         "At the target: promote, pause or shutdown. Paused, what a transaction under way at "
         "the target has locked (a DROP, say) can't be read before SELECT pg_promote()")
      ->capture_default_str()
      ->group(server);
  app.add_option("--port", arguments.port, "Default: as in its configuration")->group(server);
  app.add_option("--set", arguments.settings,
                 "NAME=VALUE: a setting for this start only; may be repeated")
      ->group(server);
  app.add_option("--bin-dir", arguments.binary_directory, "Where pg_ctl and postgres are")
      ->group(server);
  app.add_option("--archive-mode", arguments.archive_mode,
                 "off, so that a copy doesn't archive beside the original; or preserve, the "
                 "default in place")
      ->group(server);

  app.add_flag("-n,--dry-run", arguments.dry_run, "Only show the plan");
  app.add_flag("--json", arguments.json, "Plan and outcome as JSON on standard output");
  app.add_option("-c,--config", arguments.config, "The configuration file");
  app.add_option("--cluster", arguments.cluster, "Default: the only one configured");
  app.add_option("--reason", arguments.reason, "Why, for the audit trail (pitr audit)")
      ->check([](const std::string& text) {
        return text.size() <= kLongestReason ? std::string() : "a reason that is too long";
      });
  app.add_option("--system-identifier", arguments.system_identifier,
                 "An earlier database of that name");
}

int run(int argc, char** argv) {
  CLI::App app("Restores a PostgreSQL cluster to a moment. Shows the plan before it does anything.",
               "pitr-restore");
  RestoreArguments arguments;
  add_options(app, arguments);
  try {
    parse_arguments(app, argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? kExitSuccess : kExitUsage;
  }
  return run_restore(arguments);
}

}  // namespace
}  // namespace pitr

int main(int argc, char** argv) {
  // Run by pitr-wal-get and by restores, with exit codes of their own.
  const bool is_wal_command =
      argc > 1 && (std::strcmp(argv[1], "wal-get") == 0 || std::strcmp(argv[1], "wal-serve") == 0);
  if (is_wal_command) return pitr::run_wal_command({argv + 1, argv + argc});
  return pitr::guarded_main("pitr-restore", [&] { return pitr::run(argc, argv); });
}
