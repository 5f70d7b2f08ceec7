#include "programs/text_table.h"

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

std::string format_duration(double seconds) {
  if (seconds < 59.95) return fmt::format("{:.1f}s", std::max(seconds, 0.0));
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{}min {:02}s", whole / 60, whole % 60);
  if (whole < 86'400) return fmt::format("{}h {:02}min", whole / 3600, whole % 3600 / 60);
  return fmt::format("{}d {:02}h", whole / 86'400, whole % 86'400 / 3600);
}

std::string without_fraction(std::string_view time) {
  const auto dot = time.find('.');
  if (dot == std::string_view::npos) return std::string(time);
  auto end = dot + 1;
  while (end < time.size() && time[end] >= '0' && time[end] <= '9') ++end;
  return std::string(time.substr(0, dot)).append(time.substr(end));
}

}  // namespace pitr
