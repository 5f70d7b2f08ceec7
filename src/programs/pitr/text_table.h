// Tables for people: columns as wide as their widest cell, two spaces between them. Numbers and
// sizes stand at the right of their column. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/readable.h"

namespace pitr {

enum class Align : std::uint8_t { kLeft, kRight };

class TextTable {
 public:
  void add_column(std::string title, Align align = Align::kLeft);
  // As many cells as columns.
  void add_row(std::vector<std::string> cells);
  // With a newline at the end of each line, and no spaces before it.
  std::string to_text() const;

 private:
  struct Column {
    std::string title;
    Align align;
  };
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace pitr
