// Whole texts as decimal numbers. Private to postgres/.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace pitr {

// nullopt unless the text is a number of that type and nothing else: no blanks, no plus sign.
template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value{};
  const auto* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stopped != end) return std::nullopt;
  return value;
}

}  // namespace pitr
