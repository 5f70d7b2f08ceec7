#include "programs/pitr/status_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "programs/pitr/text_table.h"
#include "programs/terminal_progress.h"

namespace pitr {

using Json = nlohmann::json;

namespace {

std::string text(const Json& object, const char* member) {
  if (!object.is_object()) return "";
  const auto found = object.find(member);
  if (found == object.end() || found->is_null()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::uint64_t number(const Json& object, const char* member) {
  const auto found = object.find(member);
  return found != object.end() && found->is_number() ? found->get<std::uint64_t>() : 0;
}

const Json& part(const Json& object, const char* member) {
  static const Json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(member);
  return found == object.end() ? kNull : *found;
}

class Lines {
 public:
  void add(std::string_view name, std::string_view value) {
    text_ += fmt::format("  {:<9} {}\n", name, value);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string streaming(const Json& receiver) {
  const auto lag_bytes = number(receiver, "lag_bytes");
  return fmt::format("streaming timeline {}; durable up to {}, {}", text(receiver, "timeline"),
                     text(receiver, "durable_lsn"),
                     lag_bytes == 0 ? "nothing behind the server"
                                    : format_bytes(lag_bytes) + " behind the server");
}

void add_agent(Lines& lines, const Json& agent, const std::string& agent_trouble) {
  if (agent.is_null()) return lines.add("agent", "DOWN: " + agent_trouble);
  const Json& receiver = part(agent, "receiver");
  const auto state = text(receiver, "state");
  if (state == "streaming") {
    lines.add("agent", streaming(receiver));
  } else if (receiver.is_null()) {
    lines.add("agent", "up, but not streaming yet");
  } else {
    lines.add("agent", fmt::format("up, not streaming ({}); durable up to {}", state,
                                   text(receiver, "durable_lsn")));
  }
  if (const auto trouble = text(agent, "trouble"); !trouble.empty()) lines.add("", trouble);
  if (const auto error = text(receiver, "last_error"); !error.empty()) lines.add("", error);
  if (const auto gap = text(receiver, "last_gap"); !gap.empty()) {
    lines.add("", "WAL IS MISSING, " + gap + "; take a new backup");
  }
  if (const Json& running = part(agent, "running_backup"); running.is_object()) {
    const auto total = number(running, "total_bytes");
    const auto done = number(running, "done_bytes");
    const auto percent = total == 0 ? "" : fmt::format(", {} %", done * 100 / total);
    lines.add("running",
              fmt::format("a backup since {}: {}{}", without_fraction(text(running, "started")),
                          text(running, "phase"), percent));
  }
  const Json& ended = part(agent, "last_backup_run");
  if (const auto error = text(ended, "error"); !error.empty()) {
    lines.add("", fmt::format("the last backup FAILED at {}: {}",
                              without_fraction(text(ended, "time")), error));
  }
}

// "backup 2026-11-25 01:12:00+00, expire ..."; and what went wrong with any of them.
void add_jobs(Lines& lines, const Json& agent) {
  const Json& jobs = part(agent, "jobs");
  if (!jobs.is_array() || jobs.empty()) return;
  std::string coming;
  for (const auto& job : jobs) {
    const auto next = text(job, "next");
    if (next.empty() || text(job, "job") == "check") continue;
    const auto when = text(job, "running_since").empty() ? without_fraction(next) : "now";
    coming += fmt::format("{}{} {}", coming.empty() ? "" : ", ", text(job, "job"), when);
  }
  lines.add("next", coming.empty() ? "nothing: the schedule says never" : coming);
  for (const auto& job : jobs) {
    if (number(job, "failures") == 0) continue;
    const Json& last = part(job, "last");
    lines.add("",
              fmt::format(
                  "{} FAILED {}, last at {}: {}", text(job, "job"),
                  number(job, "failures") == 1 ? "once" : text(job, "failures") + " times in a row",
                  without_fraction(text(last, "ended")), text(last, "error")));
  }
}

void add_check(Lines& lines, const Json& agent) {
  const Json& check = part(agent, "check");
  const Json& findings = part(check, "findings");
  if (!findings.is_array()) return;
  for (const auto& finding : findings) {
    if (text(finding, "severity") != "problem") continue;
    lines.add("problem", fmt::format("{}: {}", text(finding, "subject"), text(finding, "message")));
    if (const auto fix = text(finding, "fix"); !fix.empty()) lines.add("", "-> " + fix);
  }
}

void add_slot(Lines& lines, const Json& status) {
  const Json& slot = part(status, "slot");
  if (slot.is_null())
    return lines.add("server", "cannot be asked: " + text(status, "slot_trouble"));
  if (!slot.value("exists", false)) {
    const bool has_agent = part(status, "agent").is_object();
    return lines.add("slot", has_agent ? "MISSING; the agent makes it when it can"
                                       : "MISSING; the agent makes it, or \"pitr init\"");
  }
  const auto safe = part(slot, "safe_wal_size_bytes");
  std::string value = fmt::format("{}, WAL {}", slot.value("active", false) ? "active" : "inactive",
                                  text(slot, "wal_status"));
  if (safe.is_number_integer()) {
    const auto left = std::max<std::int64_t>(safe.get<std::int64_t>(), 0);
    value += fmt::format(", lost after {} more", format_bytes(static_cast<std::uint64_t>(left)));
  }
  lines.add("slot", value);
}

void add_backups(Lines& lines, const Json& repository) {
  const auto count = number(repository, "backup_count");
  if (count == 0) return lines.add("backups", "none yet; \"pitr backup\" takes one");
  const Json& last = part(repository, "last_backup");
  lines.add("backups",
            fmt::format("{}, {} stored; last {} ({}), ended {}", count,
                        format_bytes(number(repository, "stored_backup_bytes")), text(last, "id"),
                        text(last, "type"), without_fraction(text(last, "stop_time"))));
  if (number(last, "checksum_failure_count") > 0) {
    lines.add("", "the last backup saw wrong page checksums: \"pitr show latest\"");
  }
}

void add_windows(Lines& lines, const Json& repository) {
  const Json& windows = part(repository, "recovery_windows");
  if (!windows.is_array() || windows.empty()) {
    return lines.add("restore", "nothing can be restored yet");
  }
  bool is_first = true;
  for (const auto& window : windows) {
    lines.add(is_first ? "restore" : "",
              fmt::format("from {} to {}, timeline {}", without_fraction(text(window, "from")),
                          without_fraction(text(window, "to")), text(window, "timeline")));
    is_first = false;
  }
  if (const auto why = text(repository, "window_ended_by"); !why.empty()) {
    lines.add("", "NOT FURTHER: " + why + "; take a new backup");
  }
}

bool has_problems(const Json& agent) {
  const Json& jobs = part(agent, "jobs");
  const auto has_failed = [](const Json& job) { return number(job, "failures") > 0; };
  if (jobs.is_array() && std::ranges::any_of(jobs, has_failed)) return true;
  return number(part(agent, "check"), "problems") > 0;
}

}  // namespace

bool is_well(const Json& status) {
  const Json& agent = part(status, "agent");
  if (text(part(agent, "receiver"), "state") != "streaming" || has_problems(agent)) return false;
  const Json& repository = part(status, "repository");
  const Json& windows = part(repository, "recovery_windows");
  const bool can_restore = windows.is_array() && !windows.empty();
  return can_restore && text(repository, "window_ended_by").empty();
}

std::string describe_status(const Json& status, const std::string& agent_trouble) {
  Lines lines;
  add_agent(lines, part(status, "agent"), agent_trouble);
  add_slot(lines, status);
  const Json& repository = part(status, "repository");
  if (repository.is_null()) {
    lines.add("backups", "cannot be read: " + text(status, "repository_trouble"));
  } else {
    add_backups(lines, repository);
    add_windows(lines, repository);
    if (part(repository, "free_bytes").is_number()) {
      lines.add("free", format_bytes(number(repository, "free_bytes")) + " in the repository");
    }
  }
  add_jobs(lines, part(status, "agent"));
  add_check(lines, part(status, "agent"));
  return fmt::format("{}: {}\n", text(status, "cluster"), text(status, "server")) + lines.take();
}

}  // namespace pitr
