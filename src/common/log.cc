#include "common/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>

#include "common/log_format.h"

namespace pitr::log {

static spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

static spdlog::logger& logger() {
  static const auto instance = [] {
    auto created = spdlog::stderr_logger_mt("pitr");
    created->set_pattern("%Y-%m-%d %H:%M:%S.%e%z %^%l%$ %v");
    created->flush_on(spdlog::level::debug);
    return created;
  }();
  return *instance;
}

static std::atomic<bool> g_is_json = false;

void set_format(Format format) {
  g_is_json = format == Format::kJson;
  logger().set_pattern(format == Format::kJson
                           ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v})"
                           : "%Y-%m-%d %H:%M:%S.%e%z %^%l%$ %v");
}

// What comes after the level, without the closing brace.
static std::string json_members(std::string_view message) {
  static constexpr std::string_view kPrefix = "cluster ";
  std::string members;
  const auto colon = message.find(": ");
  if (message.starts_with(kPrefix) && colon != std::string_view::npos) {
    const auto name = message.substr(kPrefix.size(), colon - kPrefix.size());
    if (name.find(' ') == std::string_view::npos) {
      members = fmt::format("\"cluster\":{},", json_string(name));
      message.remove_prefix(colon + 2);
    }
  }
  return members + "\"message\":" + json_string(message);
}

void set_level(Level level) {
  logger().set_level(to_spdlog(level));
}

void write(Level level, std::string_view message) {
  if (!g_is_json) return logger().log(to_spdlog(level), message);
  if (logger().should_log(to_spdlog(level))) {
    logger().log(to_spdlog(level), json_members(message));
  }
}

}  // namespace pitr::log
