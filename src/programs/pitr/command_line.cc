#include "programs/pitr/command_line.h"

#include <fmt/format.h>

#include "common/log.h"
#include "programs/exit_codes.h"
#include "programs/parse_arguments.h"
#include "programs/pitr/command_set.h"

namespace pitr {

static constexpr const char* kFooter = R"(To restore, see pitr-restore --help.

Exit codes: 0 done, 1 a bug in pitr, 2 bad usage or a request that cannot work, 3 not there,
4 something else is there already, 5 damaged data, 6 permissions or key, 7 may work when tried
again, 8 stopped.)";

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
  add_tokens();
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
  add_reason(init);
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

int run_command_line(int argc, char** argv) {
  CommandLine line;
  try {
    parse_arguments(line.app(), argc, argv);
  } catch (const CLI::Success& success) {
    return line.app().exit(success);
  } catch (const CLI::ParseError& error) {
    return report_error(usage_error(line.app(), argc, argv, error.what()));
  }
  return line.run();
}

}  // namespace pitr
