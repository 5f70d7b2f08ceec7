#include "programs/pitr/cmd_init.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/audit/audit_trail.h"
#include "agent/repository_access.h"
#include "agent/server_identity.h"
#include "postgres/connection.h"
#include "postgres/replication.h"
#include "programs/exit_codes.h"

namespace pitr {
namespace {

Result<void> check_encryption(const Config& config, const InitOptions& options) {
  const bool is_off = config.encryption.source == EncryptionConfig::Source::kNone;
  if (options.no_encryption == is_off) return {};
  if (is_off) {
    return Error::invalid(
               "the configuration says \"encryption: none\": whoever can read the "
               "repository could read the whole database")
        .with_hint("if that is meant, say --no-encryption as well; if not, give a key_file");
  }
  return Error::invalid("the configuration asks for encryption, and --no-encryption is given")
      .with_hint("write \"encryption: none\" into the configuration to go without");
}

void tell_repository(const Config& config, const RepositoryInit& made) {
  const std::string where = config.repository.path.native();
  const std::string how =
      made.key_id.empty() ? "not encrypted" : fmt::format("encrypted with key {}", made.key_id);
  print(fmt::format("Repository {}: {}, {}.", where,
                    made.made_repository ? "made" : "is there already", how));
  if (!made.made_key) return;
  print(fmt::format(
      "\nThe key is in {}, readable by its owner only.\n"
      "  Without this key NO BACKUP CAN BE READ, not by you and not by anybody else.\n"
      "  Copy it now to a place that outlives this machine, such as a password manager, and not\n"
      "  into the repository. It is one line of text.\n",
      config.encryption.value));
}

// Whether the slot was made now.
Result<bool> make_slot(const ClusterConfig& cluster) {
  auto connection = TRY(ReplicationConnection::open(cluster.connection));
  auto made = connection.create_physical_slot(cluster.slot, true, false);
  if (made) return true;
  if (made.error().kind() == ErrorKind::kConflict) return false;
  return std::move(made).error();
}

void record_database(const AuditTrail& trail, const std::string& reason,
                     const IncarnationStore& store) {
  AuditEntry entry;
  entry.operation = AuditedOperation::kInit;
  entry.cluster = store.id().cluster;
  entry.reason = reason;
  entry.details["database"] = to_string(store.id());
  trail.record(std::move(entry));
}

Result<void> init_cluster(const ClusterConfig& cluster, Repository& repository, Clock& clock,
                          const std::string& reason) {
  const auto server = TRY(ask_server_identity(cluster.connection));
  const auto known = TRY(registered_incarnations(repository, cluster.name));
  auto opened = open_incarnation(repository, cluster.name, server, TakeUp::kAnother, clock);
  const auto store = TRY(std::move(opened));
  const bool is_new = std::ranges::none_of(
      known, [&](const RegisteredIncarnation& one) { return one.id == store.id(); });
  if (is_new) record_database(AuditTrail(repository, clock), reason, store);
  const bool made_slot = TRY(make_slot(cluster));
  print(fmt::format("Cluster {}: PostgreSQL {} with system identifier {}.", cluster.name,
                    server.major_version, server.system_identifier));
  if (!known.empty() && known.back().id != store.id()) {
    print(
        fmt::format("  Another database than before ({}): its WAL and backups are kept beside "
                    "the old ones.",
                    to_string(known.back().id)));
  }
  print(made_slot ? fmt::format("  Slot {} is made: from now on the server keeps all WAL until it "
                                "is in the repository.",
                                cluster.slot)
                  : fmt::format("  Slot {} is there already.", cluster.slot));
  return {};
}

void record_init(const AuditTrail& trail, const std::string& reason, const RepositoryInit& made) {
  if (!made.made_repository && !made.made_key) return;
  AuditEntry entry;
  entry.operation = AuditedOperation::kInit;
  entry.reason = reason;
  if (made.made_repository) entry.details["repository"] = "made";
  if (made.made_key) entry.details["key"] = "made";
  if (!made.key_id.empty()) entry.details["key_id"] = made.key_id;
  trail.record(std::move(entry));
}

std::string config_option(const CommandContext& context) {
  const auto& file = context.config_file();
  if (file == "/etc/pitr/pitr.yaml") return "";
  return " --config " + file.native();
}

void tell_next_steps(const CommandContext& context) {
  const std::string option = config_option(context);
  print(
      fmt::format("\nNext:\n"
                  "  pitr-agent{0}     streams WAL for as long as it runs (as a service:\n"
                  "      systemctl enable --now pitr-agent)\n"
                  "  pitr backup{0}    takes a base backup",
                  option));
}

}  // namespace

Result<int> run_init(const CommandContext& context, const InitOptions& options) {
  TRY(check_encryption(context.config(), options));
  const auto clusters = TRY(context.clusters());
  SystemClock clock;
  const auto made = TRY(init_repository(context.config(), clock));
  tell_repository(context.config(), made);
  auto access = TRY(RepositoryAccess::open(context.config(), clock));
  record_init(AuditTrail(access->repository(), clock), context.reason(), made);
  int worst = kExitSuccess;
  for (const auto* cluster : clusters) {
    auto done = init_cluster(*cluster, access->repository(), clock, context.reason());
    if (done) continue;
    worst = report_error(std::move(done).error().with_context("cluster " + cluster->name));
  }
  if (worst != kExitSuccess) {
    print("\nThe rest is done: run \"pitr init\" again when that is mended.");
    return worst;
  }
  tell_next_steps(context);
  return kExitSuccess;
}

}  // namespace pitr
