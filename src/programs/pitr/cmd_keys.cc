#include "programs/pitr/cmd_keys.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "agent/audit/audit_trail.h"
#include "agent/key_file.h"
#include "agent/repository_access.h"
#include "programs/confirm.h"
#include "programs/exit_codes.h"
#include "programs/pitr/text_table.h"
#include "repository/keys/key_rotation.h"

namespace pitr {
namespace {

using Details = std::map<std::string, std::string>;

Result<KeyEncryptionKey> configured_key(const Config& config) {
  auto key = TRY(read_encryption_key(config.encryption));
  if (key) return *key;
  return Error::invalid("the configuration says \"encryption: none\": there are no keys");
}

AuditEntry entry_of(const CommandContext& context, const char* action) {
  AuditEntry entry;
  entry.operation = AuditedOperation::kKeys;
  entry.reason = context.reason();
  entry.details["action"] = action;
  return entry;
}

std::string day_text(std::uint32_t day) {
  return day == 0 ? "-" : to_string(start_of_day(day)).substr(0, 10);
}

std::string_view to_text(KeyringEntry::Opens opens) {
  switch (opens) {
    case KeyringEntry::Opens::kYes:
      return "yes";
    case KeyringEntry::Opens::kOtherKey:
      return "no";
    case KeyringEntry::Opens::kDamaged:
      return "damaged";
  }
  return "?";
}

std::string proof_text(const std::vector<KeyProof>& proofs) {
  std::string text;
  for (const auto& proof : proofs) {
    text += proof.opened ? fmt::format("  epoch {}: opened {}\n", proof.epoch, proof.opened->text())
                         : fmt::format(
                               "  epoch {}: the secret is the same; nothing sealed with it was "
                               "found to try it on\n",
                               proof.epoch);
  }
  return text;
}

void tell_next_steps(const std::string& old_id) {
  print(
      fmt::format("\nNext:\n"
                  "  Copy the new key to a safe place outside this machine and the repository.\n"
                  "  Give it to every host that uses this repository, and reload or restart its\n"
                  "  agent: systemctl reload pitr-agent\n"
                  "  Then, so that the old key opens nothing any more: pitr keys retire {}\n"
                  "Until then either key opens everything.",
                  old_id));
}

Result<AddedWrapping> add_audited(const CommandContext& context, Repository& repository,
                                  const KeyEncryptionKey& current, const KeyEncryptionKey& added,
                                  const std::function<Result<void>()>& then) {
  auto entry = entry_of(context, "rotate");
  entry.details["old_key"] = current.id();
  entry.details["new_key"] = added.id();
  const auto work = [&](Details&) -> Result<AddedWrapping> {
    auto done = TRY(add_wrapping(repository, current, added));
    TRY(then());
    return done;
  };
  return AuditTrail(repository, SystemClock::shared()).run(std::move(entry), work);
}

Result<int> exchange_key_file(const CommandContext& context, Repository& repository) {
  const auto& file = context.config().encryption.value;
  auto exchange = TRY(KeyFileExchange::start(file));
  const auto added = TRY(add_audited(context, repository, exchange.old_key(), exchange.new_key(),
                                     [&] { return exchange.finish(); }));
  print(
      fmt::format("Key {} opens everything that key {} opens:\n{}"
                  "{} holds the new key now, {} the old one.",
                  exchange.new_key().id(), exchange.old_key().id(), proof_text(added.proofs), file,
                  exchange.kept_file().native()));
  tell_next_steps(exchange.old_key().id());
  return kExitSuccess;
}

}  // namespace

Result<int> run_keys_list(const CommandContext& context) {
  const auto key = TRY(configured_key(context.config()));
  auto access = TRY(RepositoryAccess::open(context.config(), SystemClock::shared()));
  const auto entries = TRY(list_keys(access->repository(), key));
  auto json = nlohmann::json::array();
  TextTable table;
  for (const char* title : {"EPOCH", "KEY", "DATA KEY MADE", "STORED", "OPENS", "PROBLEM"}) {
    table.add_column(title);
  }
  for (const auto& entry : entries) {
    json.push_back({{"epoch", entry.epoch},
                    {"key_id", entry.kek_id},
                    {"made", entry.made_day == 0 ? std::string() : day_text(entry.made_day)},
                    {"stored", to_string(entry.stored)},
                    {"opens", to_text(entry.opens)},
                    {"problem", entry.problem}});
    table.add_row({std::to_string(entry.epoch), entry.kek_id, day_text(entry.made_day),
                   to_string(entry.stored).substr(0, 19), std::string(to_text(entry.opens)),
                   entry.problem});
  }
  if (context.json()) {
    print(nlohmann::json{{"configured_key", key.id()}, {"keyring", std::move(json)}}.dump(2));
  } else {
    print(fmt::format("The configured key is {}. Times are UTC.\n\n{}", key.id(), table.to_text()));
  }
  return kExitSuccess;
}

Result<int> run_keys_rotate(const CommandContext& context, const KeysArguments& arguments) {
  const auto& encryption = context.config().encryption;
  const auto current = TRY(configured_key(context.config()));
  const bool is_file = encryption.source == EncryptionConfig::Source::kKeyFile;
  if (arguments.new_key_file.empty() && !is_file) {
    return Error::invalid(
               "the configured key comes from a command or the environment, where pitr "
               "can't put another one")
        .with_hint("say --new-key-file FILE; the key is made there if FILE does not exist");
  }
  auto access = TRY(RepositoryAccess::open(context.config(), SystemClock::shared()));
  if (arguments.new_key_file.empty()) return exchange_key_file(context, access->repository());
  const auto key = TRY(read_or_create_key_file(arguments.new_key_file));
  const auto added =
      TRY(add_audited(context, access->repository(), current, key, [] { return Result<void>(); }));
  print(fmt::format(
      "Key {} in {} opens everything that key {} opens:\n{}"
      "\nThe configuration still names key {}. {}",
      key.id(), arguments.new_key_file, current.id(), proof_text(added.proofs), current.id(),
      is_file ? fmt::format("Change it to\n  encryption:\n    key_file: {}",
                            std::filesystem::absolute(arguments.new_key_file).native())
              : "Make its key_command or key_env give the text of that file."));
  tell_next_steps(current.id());
  return kExitSuccess;
}

static Result<void> confirm_retiring(const KeysArguments& arguments) {
  if (arguments.yes) return {};
  return confirm(fmt::format("Key {} will open nothing of the repository any more.", arguments.id),
                 "retiring a key");
}

Result<int> run_keys_retire(const CommandContext& context, const KeysArguments& arguments) {
  const auto key = TRY(configured_key(context.config()));
  auto access = TRY(RepositoryAccess::open(context.config(), SystemClock::shared()));
  TRY(confirm_retiring(arguments));
  auto entry = entry_of(context, "retire");
  entry.details["old_key"] = arguments.id;
  entry.details["key"] = key.id();
  const auto retired = TRY(
      AuditTrail(access->repository(), SystemClock::shared()).run(std::move(entry), [&](Details&) {
        return retire_key(access->repository(), key, arguments.id);
      }));
  print(
      fmt::format("Key {} opens everything:\n{}Key {} is retired: it opens nothing of this "
                  "repository any more.\nCopies of the repository that were made before still "
                  "open with it.",
                  key.id(), proof_text(retired.proofs), arguments.id));
  return kExitSuccess;
}

Result<int> run_keys_rotate_data(const CommandContext& context) {
  const auto key = TRY(configured_key(context.config()));
  auto access = TRY(RepositoryAccess::open(context.config(), SystemClock::shared()));
  const auto work = [&](Details& details) -> Result<std::uint32_t> {
    const auto epoch = TRY(add_epoch(access->repository(), key, SystemClock::shared()));
    details["epoch"] = std::to_string(epoch);
    return epoch;
  };
  const auto epoch = TRY(AuditTrail(access->repository(), SystemClock::shared())
                             .run(entry_of(context, "rotate-data"), work));
  print(
      fmt::format("The data key of epoch {} seals what is written from now on.\n"
                  "What is stored stays sealed with the earlier ones, and readable.\n\n"
                  "Next: make every agent of this repository read the keys again, now:\n"
                  "  systemctl reload pitr-agent\n"
                  "Until then it seals with the earlier key, and can't read what others seal "
                  "with the new one.",
                  epoch));
  return kExitSuccess;
}

}  // namespace pitr
