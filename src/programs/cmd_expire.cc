#include "programs/cmd_expire.h"

#include <fmt/format.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "agent/repository_access.h"
#include "config/units.h"
#include "programs/exit_codes.h"
#include "programs/expire_view.h"
#include "programs/find_backup.h"
#include "repository/expire/pins.h"
#include "restore/timestamp_text.h"

namespace pitr {
namespace {

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? std::optional<std::string>(value) : std::nullopt;
}

}  // namespace

Result<int> run_expire(const CommandContext& context, const ExpireArguments& arguments) {
  const auto clusters = TRY(context.clusters());
  SystemClock clock;
  auto access = TRY(RepositoryAccess::open(context.config(), clock));
  auto json = nlohmann::json::array();
  for (const auto* cluster : clusters) {
    auto options = expire_options(cluster->retention);
    options.dry_run = arguments.dry_run;
    const auto report = TRY(expire_cluster(access->repository(), cluster->name, options, clock));
    if (context.json()) {
      json.push_back(to_json(report, cluster->name, arguments.dry_run));
      continue;
    }
    const auto zone = TRY(TimeZone::find(cluster->retention.time_zone));
    print(expire_text(report, cluster->name, arguments.dry_run, zone));
  }
  if (context.json()) print(nlohmann::json{{"clusters", std::move(json)}}.dump(2));
  return kExitSuccess;
}

Result<int> run_pin(const CommandContext& context, const PinArguments& arguments) {
  const auto* cluster = TRY(context.cluster());
  SystemClock clock;
  std::optional<Timestamp> expires;
  if (!arguments.until.empty()) {
    const auto zone = TRY(local_zone_name(environment));
    expires = TRY(parse_timestamp(arguments.until, zone)).time;
    if (*expires <= clock.now()) return Error::invalid("--until lies in the past");
  }
  auto access = TRY(RepositoryAccess::open(context.config(), clock));
  const auto backup = TRY(find_backup(access->repository(), cluster->name, arguments.backup));
  TRY(pin_backup(backup.store, backup.id, arguments.label, expires));
  print(fmt::format("{} is pinned as {}{}", backup.id.text(), arguments.label,
                    expires ? " until " + to_string(*expires) : std::string()));
  return kExitSuccess;
}

Result<int> run_unpin(const CommandContext& context, const PinArguments& arguments) {
  const auto* cluster = TRY(context.cluster());
  SystemClock clock;
  auto access = TRY(RepositoryAccess::open(context.config(), clock));
  const auto backup = TRY(find_backup(access->repository(), cluster->name, arguments.backup));
  const auto removed = TRY(unpin_backup(backup.store, backup.id, arguments.label));
  if (removed == 0) {
    return Error::not_found(
               arguments.label.empty()
                   ? fmt::format("{} isn't pinned", backup.id.text())
                   : fmt::format("{} has no pin {}", backup.id.text(), arguments.label))
        .with_hint("\"pitr expire --dry-run\" shows the pins");
  }
  print(fmt::format("{}: {} pin{} taken away; the policy decides now", backup.id.text(), removed,
                    removed == 1 ? "" : "s"));
  return kExitSuccess;
}

Result<int> run_retention_simulate(const CommandContext& context,
                                   const SimulateArguments& arguments) {
  const auto* cluster = TRY(context.cluster());
  const auto every = TRY(with_context(parse_duration(arguments.every), "--every"));
  if (every < std::chrono::minutes(10)) {
    return Error::invalid("--every must be at least 10min");
  }
  const auto policy = retention_policy(cluster->retention);
  const auto zone = TRY(TimeZone::find(policy.time_zone));
  const auto simulated =
      TRY(simulate_retention(policy, SystemClock().now(), arguments.days, every));
  print(context.json() ? to_json(simulated).dump(2) : simulation_text(simulated, zone));
  return kExitSuccess;
}

}  // namespace pitr
