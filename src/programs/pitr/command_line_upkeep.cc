// The commands that look after a repository: expire, pins, retention, verify, audit, keys, tokens.
#include "programs/pitr/command_set.h"

namespace pitr {

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
      "Nothing is ever deleted but by this and by the agent's scheduled expiry. Something\n"
      "unreadable stops it.\n"
      "The agent does it where one answers and has the same policy loaded; --dry-run only reads.");

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
                   "Only init, backup, restore, expire, verify, pin, unpin, configuration, keys or "
                   "token")
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
  add_reason(verify);
  add_json(verify);
  verify->footer(
      "In full everything is decrypted and read as a restore would, WAL record by record. What is\n"
      "damaged or missing is listed with the backups that it touches, and the positions into\n"
      "which no restore leads. Backups that are right are recorded as verified; of packs that\n"
      "aren't the next backup stores the blocks again. Exit code 5 where anything is damaged or\n"
      "missing; 7 or 6 where something could not be read, which says nothing about it.\n"
      "The agent does it where one answers, and waits for the cluster's backups and expiry.");
}

void CommandLine::add_tokens() {
  auto* token = app_.add_subcommand("token", "Who may use the agent's HTTP API over TCP");
  token->require_subcommand(1);
  auto* add = set_up(token->add_subcommand("add", "Make a token, and show it this once"),
                     [this](const auto& context) { return run_token_add(context, token_); });
  add->add_option("NAME", token_.name, "What it is called in the list and in the audit trail")
      ->required();
  add->add_option("--role", token_.role,
                  "viewer (looks), operator (also takes backups and verifies), or admin (also "
                  "expires)")
      ->type_name("ROLE")
      ->required();
  add->add_option("--expires", token_.expires, "For how long it counts, such as 90d")
      ->type_name("DURATION");
  add->add_option("--cluster", token_.clusters, "Only for this cluster; may be given again")
      ->type_name("NAME");
  add_reason(add);
  auto* list = set_up(token->add_subcommand("list", "Show the tokens' names, roles and ends"),
                      run_token_list);
  add_json(list);
  auto* remove = set_up(token->add_subcommand("remove", "Take a token away; it counts no more"),
                        [this](const auto& context) { return run_token_remove(context, token_); });
  remove->add_option("NAME", token_.name, "Its name")->required();
  add_reason(remove);
}

}  // namespace pitr
