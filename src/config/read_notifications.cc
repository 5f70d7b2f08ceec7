#include "config/read_notifications.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "config/read_destination.h"
#include "config/section.h"

namespace pitr {
namespace {

constexpr std::size_t kLongestName = 63;
constexpr Milliseconds kLongestTime = std::chrono::hours(24 * 7);

bool is_name(std::string_view name) {
  constexpr std::string_view kFirst = "abcdefghijklmnopqrstuvwxyz0123456789";
  return !name.empty() && name.size() <= kLongestName &&
         kFirst.find(name.front()) != std::string_view::npos &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == std::string_view::npos;
}

std::string meant(std::string_view text, const std::vector<std::string_view>& candidates) {
  const auto best = nearest(text, candidates);
  return best.empty() ? fmt::format("known: {}", fmt::join(candidates, ", "))
                      : fmt::format("did you mean \"{}\"?", best);
}

void read_events(Section& section, EventFilter& into) {
  std::vector<std::string> names;
  std::vector<std::string_view> known;
  for (const auto type : kEventTypes) known.push_back(to_string(type));
  for (const auto* node : section.read_texts("events", names)) {
    if (const auto type = parse_event_type(node->text)) {
      into.types.insert(*type);
    } else {
      section.problem(*node, fmt::format("\"{}\" is no event; {}", node->text.substr(0, 40),
                                         meant(node->text, known)));
    }
  }
}

void read_filter(Section& section, const Config& config, EventFilter& into) {
  read_events(section, into);
  const auto* severity =
      section.read_choice<EventSeverity>("severity", into.least,
                                         {{"info", EventSeverity::kInfo},
                                          {"warning", EventSeverity::kWarning},
                                          {"critical", EventSeverity::kCritical}});
  if (severity && section.take("events")) {
    section.problem(*severity, "\"severity\" and \"events\" don't go together; remove one");
  }
  std::vector<std::string> names;
  std::vector<std::string_view> known;
  for (const auto& cluster : config.clusters) known.push_back(cluster.name);
  for (const auto* node : section.read_texts("clusters", names)) {
    if (!config.find_cluster(node->text) || node->text.empty()) {
      section.problem(*node, fmt::format("\"{}\" is no configured cluster; {}",
                                         node->text.substr(0, 40), meant(node->text, known)));
    }
  }
  into.clusters = {names.begin(), names.end()};
}

Destination read_one(const YamlEntry& entry, const Config& config, Problems& problems) {
  Destination destination;
  destination.name = entry.key.text;
  if (!is_name(destination.name)) {
    problems.add(entry.key.position,
                 fmt::format("a destination's name must be 1 to {} of a-z, 0-9, _ and -, and begin "
                             "with a letter or digit",
                             kLongestName));
  }
  Section section(entry.value, destination.name, problems);
  int given = 0;
  if (const auto* node = section.take("webhook")) {
    destination.webhook = read_webhook(*node, problems);
    ++given;
  }
  if (const auto* node = section.take("email")) {
    destination.email = read_email(*node, problems);
    ++given;
  }
  if (const auto* node = section.take("command")) {
    destination.command = read_command(*node, problems);
    ++given;
  }
  if (given != 1) {
    section.problem(entry.key, fmt::format("destination \"{}\" needs exactly one of webhook, email "
                                           "and command",
                                           destination.name));
  }
  read_filter(section, config, destination.filter);
  section.read_duration("collapse", destination.collapse, Milliseconds(0), kLongestTime);
  section.read_duration("retry_for", destination.give_up, Seconds(1), kLongestTime);
  return destination;
}

}  // namespace

std::vector<Destination> read_notifications(const YamlNode& node, const Config& config,
                                            Problems& problems) {
  std::vector<Destination> destinations;
  if (node.kind == YamlNode::Kind::kMapping) {
    for (const auto& entry : node.entries) {
      destinations.push_back(read_one(entry, config, problems));
    }
  } else if (node.kind != YamlNode::Kind::kNull) {
    problems.add(node.position,
                 "\"notifications\" must have a section for each destination under "
                 "a name of yours, for example \"team:\"");
  }
  return destinations;
}

}  // namespace pitr
