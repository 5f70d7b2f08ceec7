// One mapping of the configuration file while it is read: each read_…() takes a key that is known
// here, checks its type and range and reports what is wrong; finish() reports the keys that nobody
// asked for. Lives while one file is parsed; not thread-safe.
//
// A read_…() leaves `into` alone where the key is absent, empty or wrong, and returns the value's
// node only where it was taken, so that further checks can name its position.
#pragma once

#include <initializer_list>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/file.h"
#include "config/problems.h"
#include "config/yaml_tree.h"

namespace pitr {

class Section {
 public:
  // `name` is for messages: "wal", or "" at the top. A node that is null counts as an empty
  // section.
  Section(const YamlNode& node, std::string name, Problems& problems);
  ~Section() { finish(); }
  Section(const Section&) = delete;
  Section& operator=(const Section&) = delete;

  // The value of `key`, of any type; nullptr where it is absent or empty.
  const YamlNode* take(std::string_view key);
  // The same; never null: a section that isn't there is an empty one.
  const YamlNode& take_section(std::string_view key);

  const YamlNode* read_text(std::string_view key, std::string& into);
  // A list of texts, or one alone; their nodes, in order. An empty list is a problem.
  std::vector<const YamlNode*> read_texts(std::string_view key, std::vector<std::string>& into);
  const YamlNode* read_path(std::string_view key, Path& into);  // absolute, made normal
  // A name of the system's time zone database.
  const YamlNode* read_time_zone(std::string_view key, std::string& into);
  const YamlNode* read_bool(std::string_view key, bool& into);
  const YamlNode* read_number(std::string_view key, std::int64_t& into, std::int64_t least,
                              std::int64_t most);
  const YamlNode* read_duration(std::string_view key, Milliseconds& into, Milliseconds least,
                                Milliseconds most);
  const YamlNode* read_size(std::string_view key, std::uint64_t& into, std::uint64_t least_bytes);
  const YamlNode* read_rate(std::string_view key, std::uint64_t& into, std::uint64_t least_bytes);

  template <typename Value>
  const YamlNode* read_choice(std::string_view key, Value& into,
                              std::initializer_list<std::pair<std::string_view, Value>> choices) {
    std::vector<std::string_view> names;
    for (const auto& [name, value] : choices) names.push_back(name);
    const auto [node, index] = choose(key, names);
    if (node) into = (choices.begin() + index)->second;
    return node;
  }

  const std::vector<YamlEntry>& entries() const { return node_.entries; }
  void problem(const YamlNode& at, std::string message) {
    problems_.add(at.position, std::move(message));
  }

 private:
  const YamlNode* take_scalar(std::string_view key, std::string_view wanted);
  std::pair<const YamlNode*, std::size_t> choose(std::string_view key,
                                                 const std::vector<std::string_view>& names);
  void finish();

  const YamlNode& node_;
  const std::string name_;
  Problems& problems_;
  std::set<std::string, std::less<>> known_;
};

// The candidate that `text` was probably meant to be, or "".
std::string_view nearest(std::string_view text, const std::vector<std::string_view>& candidates);

}  // namespace pitr
