#include "programs/pitr/cmd_audit.h"

#include <fmt/format.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "agent/repository_access.h"
#include "common/time_zone.h"
#include "programs/exit_codes.h"
#include "programs/pitr/text_table.h"
#include "repository/audit/audit_log.h"
#include "repository/audit/audit_summary.h"
#include "restore/plan/timestamp_text.h"

namespace pitr {
namespace {

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? std::optional<std::string>(value) : std::nullopt;
}

Result<AuditFilter> filter_of(const CommandContext& context, const AuditArguments& arguments,
                              const std::string& zone) {
  AuditFilter filter;
  if (!context.cluster_name().empty()) filter.cluster = TRY(context.cluster())->name;
  filter.user = arguments.user;
  filter.failures_only = arguments.failures_only;
  if (!arguments.from.empty()) {
    filter.from = TRY(with_context(parse_timestamp(arguments.from, zone), "--from")).time;
  }
  if (!arguments.until.empty()) {
    filter.until = TRY(with_context(parse_timestamp(arguments.until, zone), "--until")).time;
  }
  if (!arguments.operation.empty()) {
    filter.operation = TRY(parse_audited_operation(arguments.operation));
  }
  return filter;
}

// What a person wants to know of it, in one cell.
std::string about(const AuditEntry& entry) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : "; ") + part; };
  if (!entry.error.empty()) add("FAILED: " + entry.error);
  if (!entry.reason.empty()) add(fmt::format("\"{}\"", entry.reason));
  for (const auto& [name, value] : entry.details) add(name + " " + value);
  return text;
}

void print_entries(const std::vector<AuditEntry>& entries, const TimeZone& zone) {
  TextTable table;
  for (const char* title : {"TIME", "CLUSTER", "OPERATION", "USER", "HOST", "ABOUT"}) {
    table.add_column(title);
  }
  for (const auto& entry : entries) {
    table.add_row({zone.to_local_text(entry.time), entry.cluster.empty() ? "-" : entry.cluster,
                   std::string(to_string(entry.operation)), entry.actor.user, entry.actor.host,
                   about(entry)});
  }
  print(entries.empty() ? "The audit trail has nothing of that." : table.to_text());
}

void print_summary(const AuditSummary& summary) {
  TextTable table;
  for (const char* title : {"QUARTER", "OPERATION"}) table.add_column(title);
  for (const char* title : {"DONE", "FAILED"}) table.add_column(title, Align::kRight);
  std::string notes;
  for (const auto& [name, quarter] : summary.quarters()) {
    for (const auto& [operation, count] : quarter.operations) {
      table.add_row({name, std::string(to_string(operation)), std::to_string(count.succeeded),
                     std::to_string(count.failed)});
    }
    std::string users;
    for (const auto& [user, entries] : quarter.users) {
      users += fmt::format("{}{} ({})", users.empty() ? "" : ", ", user, entries);
    }
    notes += fmt::format("{}: by {}", name, users);
    if (quarter.without_reason > 0) {
      notes += fmt::format("; {} without a reason where one is wanted", quarter.without_reason);
    }
    notes += "\n";
  }
  print(summary.quarters().empty() ? "The audit trail has nothing of that."
                                   : table.to_text() + "\n" + notes);
}

nlohmann::json to_json(const AuditSummary& summary) {
  auto quarters = nlohmann::json::array();
  for (const auto& [name, quarter] : summary.quarters()) {
    nlohmann::json operations;
    for (const auto& [operation, count] : quarter.operations) {
      operations[std::string(to_string(operation))] = {{"succeeded", count.succeeded},
                                                       {"failed", count.failed}};
    }
    quarters.push_back({{"quarter", name},
                        {"operations", std::move(operations)},
                        {"users", quarter.users},
                        {"without_reason", quarter.without_reason}});
  }
  return {{"quarters", std::move(quarters)}};
}

}  // namespace

Result<int> run_audit(const CommandContext& context, const AuditArguments& arguments) {
  const auto zone_name = TRY(local_zone_name(environment));
  const auto filter = TRY(filter_of(context, arguments, zone_name));
  SystemClock clock;
  auto access = TRY(RepositoryAccess::open(context.config(), clock));
  const AuditLog log(access->repository());
  if (arguments.summary) {
    AuditSummary summary;
    TRY(log.read(filter, [&](const AuditEntry& entry) { summary.add(entry); }));
    if (context.json()) {
      print(to_json(summary).dump(2));
    } else {
      print_summary(summary);
    }
    return kExitSuccess;
  }
  if (context.json()) {
    TRY(log.read(filter, [](const AuditEntry& entry) { print(to_json_line(entry)); }));
    return kExitSuccess;
  }
  std::vector<AuditEntry> entries;
  TRY(log.read(filter, [&](const AuditEntry& entry) { entries.push_back(entry); }));
  const auto zone = TRY(TimeZone::find(zone_name));
  print_entries(entries, zone);
  return kExitSuccess;
}

}  // namespace pitr
