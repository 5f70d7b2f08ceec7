#include "config/section.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "common/time_zone.h"
#include "config/units.h"

namespace pitr {
namespace {

std::string_view describe(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kScalar:
      return "a single value";
    case YamlNode::Kind::kList:
      return "a list";
    case YamlNode::Kind::kMapping:
      return "a section";
  }
  return "";
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, row[j] + 1, diagonal + 1});
    }
  }
  return row[b.size()];
}

// A value of up to 80 characters as it stands in messages.
std::string quote(std::string_view text) {
  return fmt::format("\"{}\"", text.size() > 80 ? std::string(text.substr(0, 77)) + "..." : text);
}

}  // namespace

std::string_view nearest(std::string_view text, const std::vector<std::string_view>& candidates) {
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(2, text.size() / 3) + 1;
  if (text.size() > 80) return best;
  for (const auto candidate : candidates) {
    const std::size_t distance = edit_distance(text, candidate);
    if (distance < best_distance && distance < candidate.size()) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

Section::Section(const YamlNode& node, std::string name, Problems& problems)
    : node_(node), name_(std::move(name)), problems_(problems) {
  if (node.kind == YamlNode::Kind::kMapping || node.kind == YamlNode::Kind::kNull) return;
  problems_.add(node.position,
                fmt::format("{} must be a section of \"key: value\" lines, not {}",
                            name_.empty() ? "the configuration" : fmt::format("\"{}\"", name_),
                            describe(node)));
}

void Section::finish() {
  const std::vector<std::string_view> known(known_.begin(), known_.end());
  for (const auto& [key, value] : node_.entries) {
    if (known_.contains(key.text)) continue;
    const auto meant = nearest(key.text, known);
    const std::string fix = meant.empty() ? fmt::format("known here: {}", fmt::join(known, ", "))
                                          : fmt::format("did you mean \"{}\"?", meant);
    problems_.add(key.position, fmt::format("unknown key {}; {}", quote(key.text), fix));
  }
}

const YamlNode* Section::take(std::string_view key) {
  known_.emplace(key);
  for (const auto& entry : node_.entries) {
    if (entry.key.text == key) {
      return entry.value.kind == YamlNode::Kind::kNull ? nullptr : &entry.value;
    }
  }
  return nullptr;
}

const YamlNode& Section::take_section(std::string_view key) {
  static const YamlNode kEmpty;
  const auto* node = take(key);
  return node ? *node : kEmpty;
}

const YamlNode* Section::take_scalar(std::string_view key, std::string_view wanted) {
  const auto* node = take(key);
  if (!node || node->kind == YamlNode::Kind::kScalar) return node;
  problem(*node, fmt::format("\"{}\" must be {}, not {}", key, wanted, describe(*node)));
  return nullptr;
}

const YamlNode* Section::read_text(std::string_view key, std::string& into) {
  const auto* node = take_scalar(key, "text");
  if (!node) return nullptr;
  if (node->text.find('\0') != std::string::npos) {
    problem(*node, fmt::format("\"{}\" contains a zero byte; remove it", key));
    return nullptr;
  }
  into = node->text;
  return node;
}

std::vector<const YamlNode*> Section::read_texts(std::string_view key,
                                                 std::vector<std::string>& into) {
  std::vector<const YamlNode*> nodes;
  const auto* node = take(key);
  if (!node) return nodes;
  if (node->kind == YamlNode::Kind::kScalar) {
    nodes.push_back(node);
  } else if (node->kind == YamlNode::Kind::kList && !node->items.empty()) {
    for (const auto& item : node->items) nodes.push_back(&item);
  }
  const bool are_texts = !nodes.empty() && std::ranges::all_of(nodes, [](const YamlNode* one) {
    return one->kind == YamlNode::Kind::kScalar && one->text.find('\0') == std::string::npos;
  });
  if (!are_texts) {
    problem(*node, fmt::format("\"{}\" must be a text, or a list of at least one", key));
    return {};
  }
  into.clear();
  for (const auto* one : nodes) into.push_back(one->text);
  return nodes;
}

const YamlNode* Section::read_path(std::string_view key, Path& into) {
  std::string text;
  const auto* node = read_text(key, text);
  if (!node) return nullptr;
  if (!text.starts_with('/')) {
    problem(*node, fmt::format("\"{}\" must be an absolute path, not {}; write it from \"/\" on",
                               key, quote(text)));
    return nullptr;
  }
  Path path = Path(text).lexically_normal();
  if (!path.has_filename() && path.has_relative_path()) path = path.parent_path();  // "/a/"
  into = std::move(path);
  return node;
}

const YamlNode* Section::read_bool(std::string_view key, bool& into) {
  const auto* node = take_scalar(key, "true or false");
  if (!node) return nullptr;
  if (node->quoted || (node->text != "true" && node->text != "false")) {
    problem(*node, fmt::format("\"{}\" must be true or false, not {}{}", key,
                               node->quoted ? "the text " : "", quote(node->text)));
    return nullptr;
  }
  into = node->text == "true";
  return node;
}

const YamlNode* Section::read_number(std::string_view key, std::int64_t& into, std::int64_t least,
                                     std::int64_t most) {
  const auto wanted = fmt::format("a whole number from {} to {}", least, most);
  const auto* node = take_scalar(key, wanted);
  if (!node) return nullptr;
  std::int64_t value = 0;
  const char* const last = node->text.data() + node->text.size();
  const auto [end, failure] = std::from_chars(node->text.data(), last, value);
  if (node->quoted || end != last || failure != std::errc() || value < least || value > most) {
    problem(*node, fmt::format("\"{}\" must be {}, not {}{}", key, wanted,
                               node->quoted ? "the text " : "", quote(node->text)));
    return nullptr;
  }
  into = value;
  return node;
}

const YamlNode* Section::read_duration(std::string_view key, Milliseconds& into, Milliseconds least,
                                       Milliseconds most) {
  const auto* node = take_scalar(key, "a duration such as 10s");
  if (!node) return nullptr;
  const auto value = parse_duration(node->text);
  if (!value) {
    problem(*node, fmt::format("\"{}\": {}", key, value.error().message()));
    return nullptr;
  }
  if (*value < least || *value > most) {
    problem(*node, fmt::format("\"{}\" must be from {} to {}, not {}", key,
                               duration_to_string(least), duration_to_string(most), node->text));
    return nullptr;
  }
  into = *value;
  return node;
}

const YamlNode* Section::read_time_zone(std::string_view key, std::string& into) {
  std::string name;
  const auto* node = read_text(key, name);
  if (!node) return nullptr;
  const auto found = TimeZone::find(name);
  if (!found) {
    problem(*node,
            fmt::format("\"{}\": {}; {}", key, found.error().message(), found.error().hint()));
    return nullptr;
  }
  into = name;
  return node;
}

const YamlNode* Section::read_size(std::string_view key, std::uint64_t& into,
                                   std::uint64_t least_bytes) {
  const auto* node = take_scalar(key, "a size such as 512MiB");
  if (!node) return nullptr;
  const auto value = parse_size(node->text);
  if (!value) {
    problem(*node, fmt::format("\"{}\": {}", key, value.error().message()));
    return nullptr;
  }
  if (*value < least_bytes) {
    problem(*node, fmt::format("\"{}\" must be at least {}, not {}", key,
                               size_to_string(least_bytes), node->text));
    return nullptr;
  }
  into = *value;
  return node;
}

const YamlNode* Section::read_rate(std::string_view key, std::uint64_t& into,
                                   std::uint64_t least_bytes) {
  const auto* node = take_scalar(key, "a rate such as 100MiB/s");
  if (!node) return nullptr;
  const auto value = parse_rate(node->text);
  if (!value) {
    problem(*node, fmt::format("\"{}\": {}", key, value.error().message()));
    return nullptr;
  }
  if (*value < least_bytes) {
    problem(*node, fmt::format("\"{}\" must be at least {}/s, not {}", key,
                               size_to_string(least_bytes), node->text));
    return nullptr;
  }
  into = *value;
  return node;
}

std::pair<const YamlNode*, std::size_t> Section::choose(
    std::string_view key, const std::vector<std::string_view>& names) {
  const auto* node = take_scalar(key, fmt::format("one of {}", fmt::join(names, ", ")));
  if (!node) return {nullptr, 0};
  const auto found = std::find(names.begin(), names.end(), node->text);
  if (found == names.end()) {
    problem(*node, fmt::format("\"{}\" must be one of {}, not {}", key, fmt::join(names, ", "),
                               quote(node->text)));
    return {nullptr, 0};
  }
  return {node, static_cast<std::size_t>(found - names.begin())};
}

}  // namespace pitr
