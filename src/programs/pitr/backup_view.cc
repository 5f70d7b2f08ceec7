#include "programs/pitr/backup_view.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "programs/pitr/text_table.h"
#include "programs/terminal_progress.h"

namespace pitr {

using Json = nlohmann::json;

static std::string text(const Json& backup, const char* member) {
  const auto found = backup.find(member);
  if (found == backup.end() || found->is_null()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

static std::uint64_t number(const Json& backup, const char* member) {
  return backup.value(member, std::uint64_t{0});
}

static double duration_s(const Json& backup) {
  return backup.value("duration_s", 0.0);
}

static std::uint64_t unexplained(const Json& backup) {
  const auto found = backup.find("promise");
  return found == backup.end() ? 0 : number(*found, "unexplained_count");
}

static bool is_damaged(const Json& backup) {
  const auto found = backup.find("damaged");
  return found != backup.end() && !found->empty();
}

static std::string state(const Json& backup) {
  if (is_damaged(backup)) return "DAMAGED";
  const auto failures = number(backup, "checksum_failure_count");
  if (const auto blocks = unexplained(backup); blocks > 0) {
    return fmt::format("{} unexplained block{}", blocks, blocks == 1 ? "" : "s");
  }
  if (failures == 0) return "ok";
  return fmt::format("{} bad page{}", failures, failures == 1 ? "" : "s");
}

static std::string type(const Json& backup) {
  return text(backup, "type") + "/" + text(backup, "method");
}

// The beginning of its id, which says when it began.
static std::string parent(const Json& backup) {
  const auto id = text(backup, "parent");
  return id.empty() ? "-" : id.substr(0, id.find('-'));
}

// When it was last verified in full and all was right.
static std::string verified(const Json& backup) {
  const auto time = text(backup, "verified");
  return time.empty() ? "-" : without_fraction(time);
}

std::string list_backups(const Json& backups) {
  TextTable table;
  for (const char* title : {"CLUSTER", "BACKUP", "TYPE", "PARENT", "LABEL", "STARTED (UTC)"}) {
    table.add_column(title);
  }
  for (const char* title : {"TOOK", "SIZE", "STORED", "TL"}) table.add_column(title, Align::kRight);
  for (const char* title : {"WAL FROM", "TO", "STATE", "VERIFIED"}) table.add_column(title);
  for (const auto& backup : backups) {
    table.add_row({text(backup, "cluster"), text(backup, "id"), type(backup), parent(backup),
                   text(backup, "label"), text(backup, "start_time").substr(0, 19),
                   format_duration(duration_s(backup)), format_bytes(number(backup, "total_bytes")),
                   format_bytes(number(backup, "stored_bytes")), text(backup, "timeline"),
                   text(backup, "start_lsn"), text(backup, "stop_lsn"), state(backup),
                   verified(backup).substr(0, 10)});
  }
  return table.to_text();
}

static std::string checksum_lines(const Json& backup) {
  const auto count = number(backup, "checksum_failure_count");
  if (count == 0) {
    return backup.value("data_checksums", false) ? "every page's checksum was right"
                                                 : "the cluster has no data checksums";
  }
  std::string lines =
      fmt::format("{} page{} had a wrong checksum; the backup holds them as they were", count,
                  count == 1 ? "" : "s");
  std::size_t shown = 0;
  for (const auto& failure : backup.at("checksum_failures")) {
    if (++shown > 10) break;
    lines += fmt::format("\n               {} block {}", text(failure, "path"),
                         number(failure, "block"));
  }
  if (count > 10) lines += "\n               and more; --json lists them";
  return lines;
}

static std::string promise_lines(const Json& backup) {
  const auto& promise = backup.value("promise", Json::object());
  const auto against = text(promise, "checked_against");
  if (against.empty()) return "";
  const auto count = number(promise, "unexplained_count");
  if (count == 0) {
    return fmt::format("{} blocks are as in {}, as the WAL says", number(promise, "checked_blocks"),
                       against);
  }
  std::string lines = fmt::format("{} block{} differ from {} without WAL that changed them", count,
                                  count == 1 ? "" : "s", against);
  std::size_t shown = 0;
  for (const auto& block : promise.at("unexplained")) {
    if (++shown > 10) break;
    lines +=
        fmt::format("\n               {} block {}", text(block, "path"), number(block, "block"));
  }
  if (count > 10) lines += "\n               and more; --json lists them";
  return lines;
}

std::string describe_backup(const Json& backup) {
  const auto version = number(backup, "server_version_num");
  std::string lines;
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) lines += fmt::format("{:<13}  {}\n", name, value);
  };
  add("backup", text(backup, "id"));
  add("cluster", fmt::format("{}, system identifier {}", text(backup, "cluster"),
                             text(backup, "system_identifier")));
  add("label", text(backup, "label"));
  add("type", type(backup) + (backup.value("from_standby", false) ? ", from a standby" : ""));
  add("parent", text(backup, "parent"));
  add("because", text(backup, "reason"));
  add("taken on", text(backup, "host"));
  add("server", fmt::format("PostgreSQL {}.{}", version / 10000, version % 10000));
  add("started", text(backup, "start_time"));
  add("ended",
      fmt::format("{}, after {}", text(backup, "stop_time"), format_duration(duration_s(backup))));
  add("timeline", text(backup, "timeline"));
  add("WAL", fmt::format("{} to {}", text(backup, "start_lsn"), text(backup, "stop_lsn")));
  add("files", fmt::format("{}, {}", number(backup, "file_count"),
                           format_bytes(number(backup, "total_bytes"))));
  add("read", format_bytes(number(backup, "read_bytes")));
  add("stored", fmt::format("{}; {} packs in all", format_bytes(number(backup, "stored_bytes")),
                            number(backup, "pack_count")));
  for (const auto& tablespace : backup.at("tablespaces")) {
    add("tablespace",
        fmt::format("{} at {}", number(tablespace, "oid"), text(tablespace, "location")));
  }
  add("verified", verified(backup) == "-" ? "never in full" : verified(backup));
  if (is_damaged(backup)) {
    for (const auto& pack : backup.at("damaged")) {
      add("damaged", pack.get<std::string>() + "; pitr verify says what of it");
    }
  }
  add("checksums", checksum_lines(backup));
  add("changes", promise_lines(backup));
  return lines;
}

std::string describe_new_backup(const Json& backup) {
  const auto took = duration_s(backup);
  const auto read_by = text(backup, "read_by");
  const auto how = read_by == "changed blocks" ? "Only what changed was read: "
                   : read_by == "compared"     ? "All was read and what differs was stored: "
                                               : "All was read and stored: ";
  std::string lines = fmt::format(
      "Backup {} of cluster {} is complete and can be restored.\n"
      "{} read in {}, stored as {}; consistent from {} on.\n",
      text(backup, "id"), text(backup, "cluster"), format_bytes(number(backup, "read_bytes")),
      format_duration(took), format_bytes(number(backup, "stored_bytes")),
      without_fraction(text(backup, "stop_time")));
  lines += how + text(backup, "reason") + ".\n";
  if (unexplained(backup) > 0) lines += "ALARM: " + promise_lines(backup) + "\n";
  if (number(backup, "checksum_failure_count") > 0) {
    lines += "WARNING: " + checksum_lines(backup) + "\n";
  }
  return lines;
}

}  // namespace pitr
