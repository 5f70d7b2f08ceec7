// pitr-agent: streams the WAL of the configured clusters into the repository, takes in what
// archive_command hands over, and takes base backups, expires and checks them by schedule. Runs in
// the foreground and logs to standard error; SIGTERM ends it within seconds, SIGHUP makes it read
// its configuration and its key again. Exit codes: exit_codes.h.
#include <malloc.h>

#include <CLI/CLI.hpp>

#include "agent/agent.h"
#include "agent/audit/audit_trail.h"
#include "agent/repository_access.h"
#include "codec/digest.h"
#include "common/log.h"
#include "config/listen_address.h"
#include "config/load.h"
#include "postgres/connection.h"
#include "programs/exit_codes.h"
#include "programs/guarded_main.h"
#include "programs/parse_arguments.h"
#include "programs/pitr_agent/reload_signal.h"
#include "programs/pitr_agent/service_notify.h"
#include "programs/stop_signals.h"

namespace pitr {
namespace {

struct Options {
  std::string config_file;
  std::string log_level;
};

log::Level to_level(const std::string& name) {
  if (name == "debug") return log::Level::kDebug;
  if (name == "warning") return log::Level::kWarning;
  if (name == "error") return log::Level::kError;
  return log::Level::kInfo;
}

void describe(const Config& config, const Path& file, RepositoryAccess& access) {
  log::info("pitr-agent with {}", file.native());
  log::info("repository: {}, {}", access.storage().description(),
            access.repository().encrypted() ? "encrypted" : "not encrypted");
  for (const auto& cluster : config.clusters) {
    log::info("cluster {}: {}, slot {}{}", cluster.name, describe_conninfo(cluster.connection),
              cluster.slot,
              cluster.data_directory ? ", files in " + cluster.data_directory->native() : "");
  }
  for (const auto& destination : config.notifications) {
    log::info("notifications to {}: {}", destination.name, pitr::describe(destination));
  }
}

void set_log(const Options& options, const AgentConfig& config) {
  log::set_level(options.log_level.empty() ? config.log_level : to_level(options.log_level));
  log::set_format(config.log_format);
}

// The configuration that counts from now on.
void record_configuration(const AuditTrail& trail, const Path& file, const char* when) {
  AuditEntry entry;
  entry.operation = AuditedOperation::kConfiguration;
  entry.details = {{"file", file.native()}, {"when", when}};
  const auto text = read_text_file(file);
  if (text) entry.details["sha256"] = to_hex(sha256(as_bytes(*text)));
  trail.record(std::move(entry));
}

void reload(const Options& options, const Path& file, RepositoryAccess& access,
            const AuditTrail& trail, Agent& agent) {
  const auto config = load_config(file);
  if (!config) {
    return log::error("{} is not taken over, all stays as it was: {}", file.native(),
                      config.error().message());
  }
  set_log(options, config->agent);
  agent.reload(*config);
  const auto keys = access.reload_keys(*config);
  if (!keys) {
    log::error("the keys are not read again, those that are known go on to count: {}{}{}",
               keys.error().message(), keys.error().hint().empty() ? "" : "; ",
               keys.error().hint());
  }
  record_configuration(trail, file, "reload");
}

Result<void> run(const Options& options) {
  ConfigSearch search;
  if (!options.config_file.empty()) search.from_option = options.config_file;
  const auto file = TRY(find_config_file(search));
  auto config = TRY(load_config(file));
  set_log(options, config.agent);

  ReloadSignal reload_signal;
  StopSignals signals;
  ServiceNotify service;
  SystemClock clock;
  auto access = TRY(RepositoryAccess::open(config, clock));
  describe(config, file, *access);
  const AuditTrail trail(access->repository(), clock);
  const auto socket = config.agent.socket;
  const auto listen = config.agent.http.listen;
  auto agent = TRY(Agent::start(std::move(config), access->repository(), clock,
                                {.storage_meter = &access->meter(), .metrics = {}}));
  log::info("answering on {}", socket.native());
  if (listen) log::info("metrics on http://{}/metrics", to_string(*listen));
  reload_signal.start([&] {
    service.tell("RELOADING=1");
    reload(options, file, *access, trail, *agent);
    service.tell("READY=1");
  });
  service.tell("READY=1");
  record_configuration(trail, file, "start");
  service.feed_watchdog([&] { return agent->is_alive(); });
  signals.wait();
  service.tell("STOPPING=1");
  log::info("stopping");
  reload_signal.stop();
  service.stop_feeding();
  agent->stop();
  log::info("stopped");
  return {};
}

// Buffers as large as a WAL segment come and go on many threads. With an arena for each thread
// glibc keeps freed ones in every one of them (300 MiB and more); giving them back every time costs
// more in page faults than reading the segment. One arena keeps what was needed at once, and no
// more.
void share_freed_memory() {
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 96 << 20);
}

int main_with(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Streams WAL into the repository, and takes base backups, expires and checks them by\n"
      "schedule, for as long as it runs.",
      "pitr-agent");
  app.add_option("--config", options.config_file,
                 "Configuration file; default: $PITR_CONFIG, /etc/pitr/pitr.yaml, "
                 "~/.config/pitr/pitr.yaml")
      ->type_name("FILE");
  app.add_option("--log-level", options.log_level, "Instead of the configuration's log_level")
      ->type_name("LEVEL")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
  app.footer(
      "It runs in the foreground, logs to standard error, ends on SIGTERM and SIGINT, and\n"
      "reads its configuration and its key again on SIGHUP.");
  try {
    parse_arguments(app, argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitSuccess : kExitUsage;
  }
  const auto result = run(options);
  if (result) return kExitSuccess;
  log::error("{}{}{}", result.error().message(), result.error().hint().empty() ? "" : "; ",
             result.error().hint());
  return exit_code(result.error().kind());
}

}  // namespace
}  // namespace pitr

int main(int argc, char** argv) {
  pitr::share_freed_memory();
  return pitr::guarded_main("pitr-agent", [&] { return pitr::main_with(argc, argv); });
}
