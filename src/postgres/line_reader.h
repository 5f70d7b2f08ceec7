// Takes lines off a text, for the small text files of PostgreSQL. Private to postgres/.
#pragma once

#include <optional>
#include <string_view>

namespace pitr {

class LineReader {
 public:
  explicit LineReader(std::string_view text) : rest_(text) {}

  // The next line without its newline; nullopt at the end. A last line without newline counts.
  std::optional<std::string_view> next() {
    if (rest_.empty()) return std::nullopt;
    const auto newline = rest_.find('\n');
    ended_with_newline_ = newline != std::string_view::npos;
    const auto line = rest_.substr(0, newline);
    rest_.remove_prefix(ended_with_newline_ ? newline + 1 : rest_.size());
    return line;
  }
  bool at_end() const { return rest_.empty(); }
  // Whether the line that next() gave was whole.
  bool ended_with_newline() const { return ended_with_newline_; }

 private:
  std::string_view rest_;
  bool ended_with_newline_ = false;
};

}  // namespace pitr
