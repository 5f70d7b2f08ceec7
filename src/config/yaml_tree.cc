#include "config/yaml_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <sstream>

namespace pitr {
namespace {

Position position_of(const YAML::Mark& mark) {
  return {static_cast<std::size_t>(mark.line + 1), static_cast<std::size_t>(mark.column + 1)};
}

// Builds the tree from yaml-cpp's events. Open containers are on a stack; a mapping's nodes arrive
// as key, value, key, value.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(Problems& problems) : problems_(problems) {}

  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    add(node(YamlNode::Kind::kNull, mark));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    problems_.add(position_of(mark), "aliases (*name) are not supported; write the value out");
    add(node(YamlNode::Kind::kNull, mark));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    auto scalar = node(YamlNode::Kind::kScalar, mark);
    scalar.text = value;
    scalar.quoted = tag == "!";
    check_tag(mark, tag);
    add(std::move(scalar));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    check_tag(mark, tag);
    open_.push_back({node(YamlNode::Kind::kList, mark), std::nullopt});
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    check_tag(mark, tag);
    open_.push_back({node(YamlNode::Kind::kMapping, mark), std::nullopt});
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    YamlNode container;
    std::optional<YamlNode> key;  // a key that waits for its value
  };

  static YamlNode node(YamlNode::Kind kind, const YAML::Mark& mark) {
    YamlNode result;
    result.kind = kind;
    result.position = position_of(mark);
    return result;
  }

  void check_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    problems_.add(position_of(mark), fmt::format("tags ({}) are not supported; remove it", tag));
  }

  void close() {
    YamlNode container = std::move(open_.back().container);
    open_.pop_back();
    add(std::move(container));
  }

  void add(YamlNode value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return;
    }
    auto& [container, key] = open_.back();
    if (container.kind == YamlNode::Kind::kList) {
      container.items.push_back(std::move(value));
    } else if (!key) {
      key = std::move(value);
    } else {
      add_entry(container, std::move(*key), std::move(value));
      key.reset();
    }
  }

  void add_entry(YamlNode& mapping, YamlNode key, YamlNode value) {
    if (key.kind != YamlNode::Kind::kScalar) {
      problems_.add(key.position, "a key must be a plain word");
      return;
    }
    // yaml-cpp places a value that isn't there at the next token, which may be anywhere.
    if (value.kind == YamlNode::Kind::kNull) value.position = key.position;
    for (const auto& [other, unused] : mapping.entries) {
      if (other.text != key.text) continue;
      problems_.add(key.position, fmt::format("\"{}\" is given a second time (first in line {}); "
                                              "remove one of them",
                                              key.text, other.position.line));
      return;
    }
    mapping.entries.push_back({std::move(key), std::move(value)});
  }

  Problems& problems_;
  YamlNode root_;
  std::vector<Open> open_;
};

}  // namespace

std::optional<YamlNode> parse_yaml(std::string_view text, Problems& problems) {
  std::istringstream input{std::string(text)};
  TreeBuilder builder(problems);
  try {
    YAML::Parser parser(input);
    parser.HandleNextDocument(builder);
    YamlNode root = builder.take();
    TreeBuilder next(problems);
    if (parser.HandleNextDocument(next)) {
      problems.add(next.take().position, "a second document (---) starts here; remove it");
    }
    return root;
  } catch (const YAML::Exception& e) {
    problems.add(position_of(e.mark), fmt::format("this is not valid YAML: {}", e.msg));
  }
  return std::nullopt;
}

}  // namespace pitr
