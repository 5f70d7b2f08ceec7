#include "programs/pitr/text_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace pitr {

void TextTable::add_column(std::string title, Align align) {
  columns_.push_back({std::move(title), align});
}

void TextTable::add_row(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::string TextTable::to_text() const {
  std::vector<std::vector<std::string>> lines;
  std::vector<std::size_t> widths;
  lines.emplace_back();
  for (const auto& column : columns_) lines.front().push_back(column.title);
  lines.insert(lines.end(), rows_.begin(), rows_.end());
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = 0;
    for (const auto& line : lines) width = std::max(width, line[i].size());
    widths.push_back(width);
  }
  std::string text;
  for (const auto& line : lines) {
    std::string shown;
    for (std::size_t i = 0; i < line.size(); ++i) {
      const bool right = columns_[i].align == Align::kRight;
      if (i > 0) shown += "  ";
      shown += right ? fmt::format("{:>{}}", line[i], widths[i])
                     : fmt::format("{:<{}}", line[i], widths[i]);
    }
    shown.erase(shown.find_last_not_of(' ') + 1);
    text += shown + "\n";
  }
  return text;
}

}  // namespace pitr
