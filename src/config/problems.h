// What is wrong with a configuration, gathered so that all of it is reported at once. Not
// thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "common/error.h"

namespace pitr {

struct Position {  // counted from 1
  std::size_t line = 1;
  std::size_t column = 1;
};

class Problems {
 public:
  // `message` says what is wrong and how to put it right.
  void add(Position position, std::string message) {
    problems_.push_back({position, std::move(message)});
  }
  bool empty() const { return problems_.empty(); }

  // kInvalid with one line "file:line:column: message" for each, in file order.
  Error to_error(std::string_view file_name) const {
    auto sorted = problems_;
    std::stable_sort(sorted.begin(), sorted.end(), [](const Problem& a, const Problem& b) {
      return std::pair(a.position.line, a.position.column) <
             std::pair(b.position.line, b.position.column);
    });
    std::string text;
    for (const auto& [position, message] : sorted) {
      if (!text.empty()) text += '\n';
      text.append(file_name).append(":" + std::to_string(position.line));
      text.append(":" + std::to_string(position.column) + ": " + message);
    }
    return Error::invalid(std::move(text));
  }

 private:
  struct Problem {
    Position position;
    std::string message;
  };
  std::vector<Problem> problems_;
};

}  // namespace pitr
