#include "restore/recovery/recovery_settings.h"

#include <fmt/format.h>

namespace pitr {

namespace {

constexpr std::string_view kBegin = "# ---- written by pitr-restore: begin";
constexpr std::string_view kEnd = "# ---- written by pitr-restore: end";

std::string conf_quote(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += c;  // the file's reader takes backslash escapes
    quoted += c;
  }
  return quoted + "'";
}

std::string shell_quote(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string percent_doubled(std::string_view text) {
  std::string doubled;
  for (const char c : text) {
    if (c == '%') doubled += c;
    doubled += c;
  }
  return doubled;
}

std::string without_section(std::string_view text) {
  std::string kept(text);
  for (;;) {
    const auto begin = kept.find(kBegin);
    if (begin == std::string::npos) return kept;
    auto end = kept.find(kEnd, begin);
    end = end == std::string::npos ? kept.size() : kept.find('\n', end);
    kept.erase(begin, end == std::string::npos ? std::string::npos : end + 1 - begin);
  }
}

}  // namespace

std::string_view to_string(RecoveryAction action) {
  switch (action) {
    case RecoveryAction::kPromote:
      return "promote";
    case RecoveryAction::kPause:
      return "pause";
    case RecoveryAction::kShutdown:
      return "shutdown";
  }
  return "promote";
}

Result<RecoveryAction> parse_recovery_action(std::string_view text) {
  for (const auto action :
       {RecoveryAction::kPromote, RecoveryAction::kPause, RecoveryAction::kShutdown}) {
    if (text == to_string(action)) return action;
  }
  return Error::invalid(fmt::format("\"{}\" is not an action", text))
      .with_hint("promote, pause or shutdown");
}

std::string with_recovery_settings(std::string_view auto_conf, const RecoverySettings& settings) {
  auto text = without_section(auto_conf);
  if (!text.empty() && text.back() != '\n') text += '\n';
  text += fmt::format("{}\n", kBegin);
  for (const auto* name :
       {"recovery_target", "recovery_target_lsn", "recovery_target_name", "recovery_target_time",
        "recovery_target_xid", "archive_cleanup_command", "recovery_end_command"}) {
    text += fmt::format("{} = ''\n", name);
  }
  text += fmt::format("restore_command = {}\n", conf_quote(settings.restore_command));
  text += fmt::format("recovery_target_timeline = '{}'\n", to_string(settings.timeline));
  text += fmt::format("recovery_target_inclusive = {}\n", settings.inclusive ? "on" : "off");
  text += fmt::format("recovery_target_action = '{}'\n", to_string(settings.action));
  text += fmt::format("recovery_target_lsn = '{}'\n", to_string(settings.target_lsn));
  if (!settings.keep_archive_mode) {
    text += "# So that a restored copy does not archive beside the original; remove it once this\n";
    text += "# server takes the original's place.\n";
    text += "archive_mode = off\n";
  }
  return text + fmt::format("{}\n", kEnd);
}

std::string restore_command(const Path& wal_get_program, const Path& wal_get_plan) {
  return percent_doubled(fmt::format("{} --plan {}", shell_quote(wal_get_program.string()),
                                     shell_quote(wal_get_plan.string()))) +
         " \"%f\" \"%p\"";
}

}  // namespace pitr
