#include "programs/pitr_restore/restore_request.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <system_error>

#include "agent/reports/stored_backups.h"
#include "config/load.h"
#include "restore/plan/timestamp_text.h"

namespace pitr {

template <typename Number>
static Result<Number> parse_number(const std::string& text, std::string_view what) {
  Number value{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) {
    return Error::invalid(fmt::format("\"{}\" is not {}", text, what));
  }
  return value;
}

Result<AskedTarget> parse_target(const RestoreArguments& arguments) {
  const bool inclusive = !arguments.exclusive;
  const auto local = TRY(local_zone_name(ConfigSearch::process_environment));
  AskedTarget asked{TargetLatest(), local, std::nullopt};
  const int count = int{arguments.timestamp.has_value()} + int{arguments.lsn.has_value()} +
                    int{arguments.xid.has_value()} + int{arguments.name.has_value()} +
                    int{arguments.immediate} + int{arguments.latest};
  if (count != 1) {
    return Error::invalid(count == 0 ? "no target is given" : "more than one target is given")
        .with_hint("one of --timestamp, --lsn, --xid, --name, --immediate, --latest");
  }
  const bool is_positional = arguments.timestamp || arguments.lsn || arguments.xid;
  if (arguments.exclusive && !is_positional) {
    return Error::invalid("--exclusive fits --timestamp, --lsn and --xid only");
  }
  if (arguments.timestamp) {
    const auto parsed = TRY(parse_timestamp(*arguments.timestamp, local));
    asked.target = TargetTime{parsed.time, inclusive};
    asked.zone = parsed.zone;
    asked.given_time = TRY(to_string_in_zone(parsed.time, parsed.zone));
    if (!inclusive) *asked.given_time += " (exclusive)";
  } else if (arguments.lsn) {
    const auto lsn = TRY(Lsn::parse(*arguments.lsn));
    asked.target = TargetLsn{lsn, inclusive};
  } else if (arguments.xid) {
    // With its epoch, as pg_current_xact_id() gives it; WAL has the lower 32 bits.
    const auto xid = TRY(parse_number<std::uint64_t>(*arguments.xid, "a transaction id"));
    asked.target = TargetXid{static_cast<std::uint32_t>(xid), inclusive};
  } else if (arguments.name) {
    asked.target = TargetName{*arguments.name};
  } else if (arguments.immediate) {
    asked.target = TargetImmediate();
  }
  return asked;
}

Result<const ClusterConfig*> find_cluster(const Config& config, const std::string& name) {
  if (const auto* found = config.find_cluster(name)) return found;
  std::vector<std::string> names;
  for (const auto& cluster : config.clusters) names.push_back(cluster.name);
  return Error::invalid(name.empty() ? std::string("several clusters are configured")
                                     : fmt::format("no cluster {} is configured", name))
      .with_hint(fmt::format("--cluster says which: {}", fmt::join(names, ", ")));
}

Result<PlanRequest> parse_request(const RestoreArguments& arguments, const AskedTarget& asked,
                                  const std::vector<BackupManifest>& backups,
                                  const std::string& cluster) {
  PlanRequest request{asked.target, std::nullopt, std::nullopt, asked.zone};
  if (arguments.timeline) {
    const auto id = TRY(parse_number<std::uint32_t>(*arguments.timeline, "a timeline"));
    request.timeline = TimelineId(id);
  }
  if (arguments.backup) {
    const auto* backup = TRY(choose_backup(backups, *arguments.backup, cluster));
    request.backup = backup->id;
  }
  return request;
}

Result<std::vector<TablespaceMapping>> parse_mappings(const std::vector<std::string>& texts) {
  std::vector<TablespaceMapping> mappings;
  for (const auto& text : texts) {
    const auto at = text.find('=');
    if (at == std::string::npos || at == 0 || at + 1 == text.size()) {
      return Error::invalid(fmt::format("\"{}\" is not a tablespace mapping", text))
          .with_hint("--tablespace-map /old/directory=/new/directory, or OID=/new/directory");
    }
    mappings.push_back({text.substr(0, at), text.substr(at + 1)});
  }
  return mappings;
}

Result<IncarnationStore> open_incarnation(Repository& repository, const RestoreArguments& arguments,
                                          const std::string& cluster) {
  if (!arguments.system_identifier) return newest_incarnation(repository, cluster);
  const auto wanted =
      TRY(parse_number<std::uint64_t>(*arguments.system_identifier, "a system identifier"));
  const auto all = TRY(registered_incarnations(repository, cluster));
  for (const auto& registered : all) {
    if (registered.id.system_identifier == wanted) {
      return IncarnationStore(repository, registered.id, registered.segment_size);
    }
  }
  return Error::not_found(
      fmt::format("cluster {} has no incarnation with system identifier {}", cluster, wanted));
}

}  // namespace pitr
