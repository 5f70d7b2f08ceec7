#include "programs/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "common/log.h"
#include "programs/cmd_archive_wal.h"
#include "programs/cmd_audit.h"
#include "programs/cmd_backup.h"
#include "programs/cmd_check.h"
#include "programs/cmd_expire.h"
#include "programs/cmd_facts.h"
#include "programs/cmd_init.h"
#include "programs/cmd_keys.h"
#include "programs/cmd_list.h"
#include "programs/cmd_notify.h"
#include "programs/cmd_status.h"
#include "programs/cmd_verify.h"
#include "programs/exit_codes.h"

namespace pitr {
namespace {

constexpr const char* kFooter = R"(To restore, see pitr-restore --help.

Exit codes: 0 done, 1 a bug in pitr, 2 bad usage or a request that cannot work, 3 not there,
4 something else is there already, 5 damaged data, 6 permissions or key, 7 may work when tried
again, 8 stopped.)";

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
  bool is_local_ = false, is_remote_ = false, is_full_ = false, is_independent_ = false;
  std::string shown_backup_ = "latest";
  std::string wal_path_, notified_;
  Command chosen_;
};

CommandLine::CommandLine() {
  app_.require_subcommand(1);
  app_.footer(kFooter);
  app_.get_formatter()->column_width(26);
  add_init();
  add_readers();
  add_backup();
  add_archive_wal();
  add_facts();
  add_expire();
  add_pins();
  add_audit();
  add_keys();
  add_verify();
}

CLI::App* CommandLine::add(const std::string& name, const std::string& description,
                           Command command) {
  return set_up(app_.add_subcommand(name, description), std::move(command));
}

CLI::App* CommandLine::set_up(CLI::App* subcommand, Command command) {
  subcommand
      ->add_option("--config", common_.config_file,
                   "Configuration file; default: $PITR_CONFIG, /etc/pitr/pitr.yaml, "
                   "~/.config/pitr/pitr.yaml")
      ->type_name("FILE");
  subcommand->add_flag("-v,--verbose", common_.verbose, "Log on standard error what is done");
  subcommand->callback([this, command = std::move(command)] { chosen_ = command; });
  return subcommand;
}

void CommandLine::add_cluster(CLI::App* command, const std::string& description) {
  command->add_option("--cluster", common_.cluster, description)->type_name("NAME");
}

void CommandLine::add_json(CLI::App* command) {
  command->add_flag("--json", common_.json, "JSON on standard output");
}

void CommandLine::add_reason(CLI::App* command) {
  command->add_option("--reason", common_.reason, "Why, for the audit trail")
      ->type_name("TEXT")
      ->check([](const std::string& text) {
        return text.size() <= kLongestReason
                   ? std::string()
                   : fmt::format("a reason has at most {} bytes", kLongestReason);
      });
}

void CommandLine::add_init() {
  auto* init = add("init", "Make the repository and its key, and take clusters up",
                   [this](const CommandContext& context) { return run_init(context, init_); });
  add_cluster(init, "Only this cluster; default: all that are configured");
  init->add_flag("--no-encryption", init_.no_encryption,
                 "Together with \"encryption: none\" in the configuration: store everything in "
                 "the clear");
  init->footer(
      "Makes the key file and the repository where they are missing, notes which database each\n"
      "cluster is, and creates its replication slot, so that the server keeps all WAL from now\n"
      "on. Run again, it says what is there already.");
}

void CommandLine::add_readers() {
  auto* check = add("check", "Say what is missing or risky, and how to mend it", run_check);
  add_cluster(check, "Only this cluster; default: all that are configured");
  add_json(check);
  check->footer("Exit code 0 only where there is no problem; warnings don't count.");

  auto* notify = add("notify", "Send a test event to those who are notified",
                     [this](const auto& context) { return run_notify(context, notified_); });
  notify->add_option("DESTINATION", notified_, "Only this one; default: all of the configuration");
  add_json(notify);
  notify->footer("It is sent once to each, whatever its filter. Exit code 0 where all took it.");

  auto* status = add("status", "Show streaming, backups and what can be restored", run_status);
  add_cluster(status, "Only this cluster; default: all that are configured");
  add_json(status);
  status->footer("Where no agent answers, the repository and the server are asked directly.");

  auto* list = add("list", "List the backups", run_list);
  add_cluster(list, "Only this cluster; default: all that are configured");
  add_json(list);

  auto* show = add("show", "Show everything about one backup",
                   [this](const auto& context) { return run_show(context, shown_backup_); });
  add_cluster(show, "The backup's cluster; default: the only one");
  show->add_option("BACKUP", shown_backup_,
                   "Its id or the beginning of it, or \"latest\", which is the default");
  add_json(show);
}

void CommandLine::add_backup() {
  auto* backup = add("backup", "Take a base backup", [this](const auto& context) {
    if (is_local_) backup_.method = BackupConfig::Method::kLocal;
    if (is_remote_) backup_.method = BackupConfig::Method::kRemote;
    if (is_full_) backup_.read = ReadRequest::kFull;
    if (is_independent_) backup_.read = ReadRequest::kIndependent;
    backup_.reason = context.reason();
    return run_backup(context, backup_);
  });
  add_cluster(backup, "Which cluster; default: the only one");
  backup->add_option("--label", backup_.label, "A text of yours, shown by list and show")
      ->type_name("TEXT");
  add_reason(backup);
  auto* full = backup->add_flag("--full", is_full_, "Read everything; store what differs");
  auto* independent = backup->add_flag(
      "--independent", is_independent_,
      "Read and store everything, and compare with what the WAL says has not changed");
  full->option_text(" ")->excludes(independent);
  independent->option_text(" ");
  auto* local = backup->add_flag("--local", is_local_, "Read the files in data_directory");
  auto* remote =
      backup->add_flag("--remote", is_remote_, "Let the server send them over the connection");
  local->option_text(" ")->excludes(remote);
  remote->option_text(" ");
  backup->add_flag("--keep-server-manifest", backup_.keep_server_manifest,
                   "Remote only: keep the server's backup_manifest, for pg_verifybackup");
  backup->add_option("--workers", backup_.workers, "Threads that read and compress")
      ->check(CLI::Range(1, 256))
      ->option_text("N");
  add_json(backup);
  backup->footer(
      "Without --full and --independent only what changed since an earlier backup is read, where\n"
      "the WAL provably tells what that is; else everything is read, and what differs is stored.\n"
      "With --remote that takes PostgreSQL 17 or newer, and summarize_wal = on.\n"
      "Either way the backup is whole: it restores by itself, and others don't need it.\n"
      "What was chosen and why is said at the end, and by \"pitr show\".\n\n"
      "The agent takes it where one answers; else this program does, and streams the WAL that\n"
      "the backup needs by itself. Interrupting it cancels the backup, which then doesn't exist.");
}

void CommandLine::add_archive_wal() {
  auto* archive = add("archive-wal", "Store one WAL file (run by pitr-archive without an agent)",
                      [this](const auto& context) { return run_archive_wal(context, wal_path_); });
  add_cluster(archive, "Whose WAL it is; default: the only one");
  archive->add_option("PATH", wal_path_, "The file, as %p in archive_command names it")->required();
}

void CommandLine::add_facts() {
  auto* facts = app_.add_subcommand("facts", "What the repository knows about its WAL");
  facts->require_subcommand(1);
  auto* rebuild =
      set_up(facts->add_subcommand("rebuild", "Derive it again from the WAL that is stored"),
             [this](const auto& context) { return run_facts_rebuild(context, facts_); });
  add_cluster(rebuild, "Which cluster; default: the only one");
  rebuild->add_option("--timeline", facts_.timeline, "Only this timeline; default: all")
      ->type_name("N");
  rebuild->add_option("--from", facts_.from_lsn, "From the segment that holds this LSN")
      ->type_name("LSN");
  rebuild->add_option("--to", facts_.to_lsn, "Up to the segment that holds this LSN")
      ->type_name("LSN");
  add_json(rebuild);
  rebuild->footer(
      "Facts are commit times, restore points and changed blocks of each WAL segment: restores\n"
      "are planned by them, and incremental backups read only the blocks that they name. They\n"
      "are made when WAL arrives. This makes those that are missing, damaged or of an older\n"
      "version, and replaces others only where they differ. WAL is read, never written, and the\n"
      "agent may go on meanwhile. Exit code 5 where a segment's WAL turned out to be damaged.");
}

void CommandLine::add_expire() {
  auto* expire = add("expire", "Delete the backups and WAL that the policy doesn't keep",
                     [this](const auto& context) { return run_expire(context, expire_); });
  add_cluster(expire, "Only this cluster; default: all that are configured");
  add_reason(expire);
  expire->add_flag("--dry-run", expire_.dry_run, "Only show what would go, and why");
  add_json(expire);
  expire->footer(
      "The section \"retention\" of the configuration is the policy. A backup that goes is gone\n"
      "at once; what nobody needs any more is put into trash and deleted by a later run, after\n"
      "the grace. Backups and WAL that a running restore or backup needs stay until it is done.\n"
      "Nothing is ever deleted but by this command. Something unreadable stops it.");

  auto* retention = app_.add_subcommand("retention", "What a policy keeps");
  retention->require_subcommand(1);
  auto* simulate =
      set_up(retention->add_subcommand("simulate", "Show what would be there after so many days"),
             [this](const auto& context) { return run_retention_simulate(context, simulate_); });
  add_cluster(simulate, "Whose policy; default: the only one");
  simulate->add_option("--days", simulate_.days, "For how long backups are taken; default: 400")
      ->check(CLI::Range(1, 36500))
      ->option_text("N");
  simulate->add_option("--every", simulate_.every, "How often; default: 24h")
      ->type_name("DURATION");
  add_json(simulate);
}

void CommandLine::add_pins() {
  auto* pin = add("pin", "Keep a backup whatever the policy says",
                  [this](const auto& context) { return run_pin(context, pin_); });
  add_cluster(pin, "The backup's cluster; default: the only one");
  pin->add_option("BACKUP", pin_.backup, "Its id or the beginning of it")->required();
  pin->add_option("--label", pin_.label, "What for; a pin of the same label is replaced")
      ->type_name("TEXT")
      ->required();
  pin->add_option("--until", pin_.until,
                  "When the pin ends, such as \"2026-12-31\"; default: never")
      ->type_name("TIME");
  add_reason(pin);

  auto* unpin = add("unpin", "Let the policy decide again",
                    [this](const auto& context) { return run_unpin(context, pin_); });
  add_cluster(unpin, "The backup's cluster; default: the only one");
  unpin->add_option("BACKUP", pin_.backup, "Its id or the beginning of it")->required();
  unpin->add_option("--label", pin_.label, "Only this pin; default: all")->type_name("TEXT");
  add_reason(unpin);
}

void CommandLine::add_audit() {
  auto* audit = add("audit", "Show who did what, when and why",
                    [this](const auto& context) { return run_audit(context, audit_); });
  add_cluster(audit, "Only this cluster; default: all of the repository");
  audit->add_option("--from", audit_.from, "From this time on")->type_name("TIME");
  audit->add_option("--until", audit_.until, "Before this time")->type_name("TIME");
  audit->add_option("--user", audit_.user, "Only what this user did")->type_name("NAME");
  audit
      ->add_option("--operation", audit_.operation,
                   "Only init, backup, restore, expire, verify, pin, unpin, configuration or keys")
      ->type_name("NAME");
  audit->add_flag("--failures", audit_.failures_only, "Only what failed");
  audit->add_flag("--summary", audit_.summary, "Count by quarter, instead of listing");
  add_json(audit);
  audit->footer(
      "The trail is kept in the repository and never expires. Backups, restores, deletions, pins\n"
      "and the making of repositories and keys leave an entry each, also where they fail; so do\n"
      "the configurations that an agent takes into use. The same lines go to the system's\n"
      "journal: journalctl -t pitr-audit. With --json each entry is one line.");
}

void CommandLine::add_keys() {
  auto* keys = app_.add_subcommand("keys", "List and rotate the keys of the repository");
  keys->require_subcommand(1);
  add_json(set_up(keys->add_subcommand("list", "Show which key opens what"), run_keys_list));
  auto* rotate = set_up(keys->add_subcommand("rotate", "Bring another key-encryption key"),
                        [this](const auto& context) { return run_keys_rotate(context, keys_); });
  rotate->add_option("--new-key-file", keys_.new_key_file, "It is there, or is made there")
      ->type_name("FILE");
  add_reason(rotate);
  rotate->footer(
      "Without --new-key-file the configured key file is exchanged, and the old key kept beside\n"
      "it. Both keys open everything until \"pitr keys retire\" ends the rotation.");
  auto* retire = set_up(keys->add_subcommand("retire", "End what an earlier key opens"),
                        [this](const auto& context) { return run_keys_retire(context, keys_); });
  retire->add_option("ID", keys_.id, "As \"pitr keys list\" shows it")->required();
  retire->add_flag("--yes", keys_.yes, "Don't ask");
  add_reason(retire);
  add_reason(set_up(
      keys->add_subcommand("rotate-data", "Make the data key for what is written from now on"),
      run_keys_rotate_data));
}

void CommandLine::add_verify() {
  auto* verify = add("verify", "Check that what is stored is still what was written",
                     [this](const auto& context) { return run_verify(context, verify_); });
  add_cluster(verify, "Only this cluster; default: all that are configured");
  verify->add_flag("--quick", verify_.quick,
                   "Check digests of the stored bytes, and decrypt neither packs nor WAL");
  verify
      ->add_option("--backup", verify_.backup,
                   "Only what this backup needs: its id or the beginning of it")
      ->type_name("ID");
  auto* budget =
      verify->add_option("--budget", verify_.budget,
                         "Of packs and WAL only so much, what was verified longest ago first");
  budget->type_name("SIZE")->excludes("--quick")->excludes("--backup");
  verify
      ->add_option("--period", verify_.period,
                   "Of packs and WAL what is due, so that all are verified in so long; "
                   "default with --budget: 30d")
      ->type_name("DURATION")
      ->excludes("--quick")
      ->excludes("--backup");
  verify->add_option("--max-rate", verify_.max_rate, "Read no more than that, such as 50MiB/s")
      ->type_name("RATE");
  verify->add_option("--workers", verify_.workers, "Threads that read and decrypt; default: 2")
      ->check(CLI::Range(1, 256))
      ->option_text("N");
  verify->add_flag("--no-record", verify_.no_record, "Write nothing into the repository");
  add_json(verify);
  verify->footer(
      "In full everything is decrypted and read as a restore would, WAL record by record. What is\n"
      "damaged or missing is listed with the backups that it touches, and the positions into\n"
      "which no restore leads. Backups that are right are recorded as verified; of packs that\n"
      "aren't the next backup stores the blocks again. Exit code 5 where anything is damaged or\n"
      "missing; 7 or 6 where something could not be read, which says nothing about it.");
}

int CommandLine::run() {
  log::set_level(common_.verbose ? log::Level::kInfo : log::Level::kError);
  const auto context = CommandContext::load(common_);
  if (!context) return report_error(context.error());
  const auto result = chosen_(*context);
  return result ? *result : report_error(result.error());
}

// CLI11 calls a command that it doesn't know "required".
Error usage_error(const CLI::App& app, int argc, char** argv, const std::string& complaint) {
  if (argc < 2) return Error::invalid("say what to do").with_hint("see pitr --help");
  const std::string command = argv[1];
  const auto known =
      app.get_subcommands([&](const auto* one) { return one->get_name() == command; });
  if (!known.empty()) {
    return Error::invalid(complaint).with_hint("see pitr " + command + " --help");
  }
  return Error::invalid("\"" + command + "\" is not a command of pitr")
      .with_hint("see pitr --help");
}

}  // namespace

int run_command_line(int argc, char** argv) {
  CommandLine line;
  try {
    line.app().parse(argc, argv);
  } catch (const CLI::Success& success) {
    return line.app().exit(success);
  } catch (const CLI::ParseError& error) {
    return report_error(usage_error(line.app(), argc, argv, error.what()));
  }
  return line.run();
}

}  // namespace pitr
