#include "config/units.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <span>

namespace pitr {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array<Unit, 5> kDurations{
    {{"d", 86'400'000}, {"h", 3'600'000}, {"min", 60'000}, {"s", 1'000}, {"ms", 1}}};
constexpr std::array<Unit, 5> kSizes{
    {{"TiB", 1ull << 40}, {"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}, {"B", 1}}};

// Every product stays far from the ends of the 64-bit types that hold it.
constexpr std::uint64_t kLargest = 1ull << 62;

// What people write for a unit that is meant to be another one.
std::string_view likely_unit(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 20> kOthers{
      {{"kB", "KiB"}, {"KB", "KiB"},   {"k", "KiB"},     {"K", "KiB"},      {"MB", "MiB"},
       {"M", "MiB"},  {"GB", "GiB"},   {"G", "GiB"},     {"TB", "TiB"},     {"T", "TiB"},
       {"sec", "s"},  {"second", "s"}, {"seconds", "s"}, {"minute", "min"}, {"minutes", "min"},
       {"m", "min"},  {"hour", "h"},   {"hours", "h"},   {"day", "d"},      {"days", "d"}}};
  for (const auto& [written, meant] : kOthers) {
    if (written == text) return meant;
  }
  return "";
}

Error unit_error(std::string_view text, std::string_view digits, std::string_view unit,
                 std::string_view what, std::string_view example, std::span<const Unit> units) {
  if (digits.empty()) {
    return Error::invalid(
        fmt::format("\"{}\" is not a {}; write for example {}", text, what, example));
  }
  if (unit.starts_with('.') || unit.starts_with(',')) {
    return Error::invalid(fmt::format(
        "\"{}\" is not a whole number; use a smaller unit, for example {}", text, example));
  }
  const auto meant = likely_unit(unit);
  for (const auto& known : units) {
    if (known.name == meant) {
      return Error::invalid(fmt::format(
          "\"{}\" has the unit \"{}\", which is not known; write {}{}", text, unit, digits, meant));
    }
  }
  std::string names;
  for (const auto& known : units) names = fmt::format(" {}{}", known.name, names);
  return Error::invalid(
      unit.empty() ? fmt::format("\"{}\" lacks its unit; write for example {}", text, example)
                   : fmt::format("\"{}\" has the unit \"{}\", which is not known; use one of:{}",
                                 text, unit, names));
}

Result<std::uint64_t> parse(std::string_view text, std::string_view what, std::string_view example,
                            std::span<const Unit> units) {
  const std::size_t length = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto digits = text.substr(0, length);
  auto unit = text.substr(length);
  if (unit.starts_with(' ')) unit.remove_prefix(1);
  for (const auto& known : units) {
    if (digits.empty() || known.name != unit) continue;
    std::uint64_t number = 0;
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + length, number);
    if (failure != std::errc() || number > kLargest / known.factor) {
      return Error::invalid(fmt::format("\"{}\" is too large a {}", text, what));
    }
    return number * known.factor;
  }
  return unit_error(text, digits, unit, what, example, units);
}

std::string print(std::uint64_t value, std::span<const Unit> units) {
  for (const auto& unit : units) {
    if (value >= unit.factor && value % unit.factor == 0) {
      return fmt::format("{}{}", value / unit.factor, unit.name);
    }
  }
  return fmt::format("0{}", units.back().name);
}

}  // namespace

Result<Milliseconds> parse_duration(std::string_view text) {
  const auto value = TRY(parse(text, "duration", "10s", kDurations));
  return Milliseconds(value);
}

Result<std::uint64_t> parse_size(std::string_view text) {
  return parse(text, "size", "512MiB", kSizes);
}

Result<std::uint64_t> parse_rate(std::string_view text) {
  if (!text.ends_with("/s")) {
    return Error::invalid(fmt::format("\"{}\" is not a rate; write for example 100MiB/s", text));
  }
  text.remove_suffix(2);
  return parse(text, "rate", "100MiB/s", kSizes);
}

std::string duration_to_string(Milliseconds duration) {
  return print(static_cast<std::uint64_t>(duration.count()), kDurations);
}

std::string size_to_string(std::uint64_t size_bytes) {
  return print(size_bytes, kSizes);
}

}  // namespace pitr
