#include "config/read_schedule.h"

#include <fmt/format.h>

#include "config/section.h"
#include "config/units.h"

namespace pitr {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr Milliseconds kLongestInterval = hours(24) * 366;
constexpr Milliseconds kLongestJitter = hours(12);

void read_interval(const YamlNode& node, Problems& problems, std::string_view key,
                   Milliseconds shortest, Schedule& into) {
  Section section(node, std::string(key), problems);
  Milliseconds interval(0);
  if (section.read_duration("every", interval, shortest, kLongestInterval)) {
    into = Schedule::every(interval);
  } else if (!section.take("every")) {
    section.problem(node, fmt::format("\"{}\" lacks \"every\", such as \"every: 6h\"", key));
  }
}

// "0 1 * * *", "never", or a section with "every".
void read_job(Section& section, Problems& problems, std::string_view key, Milliseconds shortest,
              Schedule& into) {
  const auto* node = section.take(key);
  if (!node) return;
  if (node->kind == YamlNode::Kind::kMapping) {
    return read_interval(*node, problems, key, shortest, into);
  }
  if (node->kind != YamlNode::Kind::kScalar) {
    return section.problem(*node, fmt::format("\"{}\" must be a cron expression such as "
                                              "\"0 1 * * *\", a section with \"every\", or never",
                                              key));
  }
  if (node->text == "never") {
    into = Schedule::never();
    return;
  }
  if (node->text.starts_with("every")) {
    return section.problem(
        *node, fmt::format("\"{}\": write {{every: 6h}} for an interval, with the braces", key));
  }
  auto schedule = Schedule::cron(node->text);
  if (!schedule) {
    return section.problem(*node, fmt::format("\"{}\": {}", key, schedule.error().message()));
  }
  into = std::move(*schedule);
}

void read_window(Section& section, ScheduleConfig& into) {
  std::string text;
  const auto* node = section.read_text("window", text);
  if (!node) return;
  if (text == "always") {
    into.window.reset();
  } else if (const auto window = DayWindow::parse(text)) {
    into.window = *window;
  } else {
    section.problem(*node, fmt::format("\"window\": {}; or always", window.error().message()));
  }
}

}  // namespace

void read_schedule(const YamlNode& node, Problems& problems, ScheduleConfig& into) {
  if (node.kind == YamlNode::Kind::kScalar && node.text == "never") {
    for (auto* job : {&into.backup, &into.independent, &into.expire, &into.verify, &into.check}) {
      *job = Schedule::never();
    }
    return;
  }
  Section section(node, "schedule", problems);
  read_job(section, problems, "backup", minutes(10), into.backup);
  read_job(section, problems, "independent", hours(1), into.independent);
  read_job(section, problems, "expire", minutes(10), into.expire);
  read_job(section, problems, "verify", minutes(10), into.verify);
  section.read_duration("verify_period", into.verify_period, hours(1), hours(24 * 3650));
  read_job(section, problems, "check", Seconds(10), into.check);
  section.read_duration("jitter", into.jitter, Milliseconds(0), kLongestJitter);
  read_window(section, into);
  section.read_time_zone("time_zone", into.time_zone);
}

std::string schedule_text(const Schedule& schedule) {
  if (schedule.is_never()) return "never";
  if (const auto interval = schedule.interval()) return "every " + duration_to_string(*interval);
  return schedule.cron_text();
}

}  // namespace pitr
