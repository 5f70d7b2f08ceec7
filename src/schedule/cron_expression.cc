#include "schedule/cron_expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <vector>

namespace pitr {
namespace {

using std::chrono::days;
using std::chrono::sys_days;

constexpr std::array<std::string_view, 12> kMonths{"jan", "feb", "mar", "apr", "may", "jun",
                                                   "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> kWeekdays{"sun", "mon", "tue", "wed",
                                                    "thu", "fri", "sat"};

struct Field {
  std::string_view name;
  unsigned least;
  unsigned most;
  std::span<const std::string_view> words;  // for the values from `least` on
};

constexpr std::array<Field, 5> kFields{{{"minute", 0, 59, {}},
                                        {"hour", 0, 23, {}},
                                        {"day of month", 1, 31, {}},
                                        {"month", 1, 12, kMonths},
                                        {"day of week", 0, 7, kWeekdays}}};

constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kWords{
    {{"@hourly", "0 * * * *"},
     {"@daily", "0 0 * * *"},
     {"@midnight", "0 0 * * *"},
     {"@weekly", "0 0 * * 0"},
     {"@monthly", "0 0 1 * *"},
     {"@yearly", "0 0 1 1 *"},
     {"@annually", "0 0 1 1 *"}}};

// The calendar repeats after 400 years.
constexpr days kCalendarCycle{146'097};

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  while (true) {
    const auto end = text.find_first_of(separators);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::vector<std::string_view> words_of(std::string_view text) {
  auto words = split(text, " \t");
  std::erase(words, "");
  return words;
}

Error field_error(const Field& field, std::string_view part, std::string_view why) {
  return Error::invalid(
      fmt::format("\"{}\" cannot be the {} of a schedule: {}", part, field.name, why));
}

std::string range_text(const Field& field) {
  return field.words.empty() ? fmt::format("{} to {}", field.least, field.most)
                             : fmt::format("{} to {}, or {} to {}", field.least, field.most,
                                           field.words.front(), field.words.back());
}

Result<unsigned> parse_value(const Field& field, std::string_view text) {
  const auto word = std::ranges::find(field.words, text);
  if (word != field.words.end()) {
    return field.least + static_cast<unsigned>(word - field.words.begin());
  }
  unsigned value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size() || value < field.least ||
      value > field.most) {
    return field_error(field, text, "it must be " + range_text(field));
  }
  return value;
}

Result<unsigned> parse_step(const Field& field, std::string_view part, std::string_view text) {
  unsigned step = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), step);
  if (failure != std::errc() || end != text.data() + text.size() || step == 0 ||
      step > field.most) {
    return field_error(field, part, fmt::format("the step must be 1 to {}", field.most));
  }
  return step;
}

// "*", "5", "1-5", "*/10", "1-30/2".
Result<std::vector<unsigned>> parse_part(const Field& field, std::string_view part) {
  const auto slash = part.find('/');
  const auto range = part.substr(0, slash);
  const auto dash = range.find('-');
  unsigned first = field.least;
  // Sunday once: 7 is only another name of it.
  unsigned last = field.most == 7 ? 6 : field.most;
  if (range != "*") {
    first = TRY(parse_value(field, range.substr(0, dash)));
    last = first;
    if (dash != std::string_view::npos) last = TRY(parse_value(field, range.substr(dash + 1)));
    if (last < first) {
      return field_error(field, part, "the range is empty; write two ranges with a comma");
    }
    if (slash != std::string_view::npos && dash == std::string_view::npos) {
      return field_error(field, part,
                         fmt::format("a step needs a range; write {}-{}/...", range, field.most));
    }
  }
  unsigned step = 1;
  if (slash != std::string_view::npos) step = TRY(parse_step(field, part, part.substr(slash + 1)));
  std::vector<unsigned> values;
  for (unsigned value = first; value <= last; value += step) values.push_back(value);
  return values;
}

template <std::size_t N>
Result<void> parse_field(const Field& field, std::string_view text, std::bitset<N>& into) {
  for (const auto part : split(text, ",")) {
    const auto values = TRY(parse_part(field, part));
    for (const unsigned value : values) into.set(field.most == 7 ? value % 7 : value);
  }
  return {};
}

}  // namespace

Result<CronExpression> CronExpression::parse(std::string_view text) {
  std::string expression = lower(text);
  auto fields = words_of(expression);
  if (fields.size() == 1 && fields.front().starts_with('@')) {
    const auto word = std::ranges::find(kWords, fields.front(),
                                        &std::pair<std::string_view, std::string_view>::first);
    if (word == kWords.end()) {
      return Error::invalid(fmt::format(
          "\"{}\" is not known; write @hourly, @daily, @weekly, @monthly or @yearly", text));
    }
    fields = words_of(word->second);
  }
  if (fields.size() != kFields.size()) {
    return Error::invalid(fmt::format(
        "\"{}\" is no schedule: it needs 5 fields (minute, hour, day of month, month, day of "
        "week), for example \"0 1 * * *\" for every day at 01:00",
        text));
  }
  CronExpression result;
  result.text_ = fmt::format("{}", text);
  TRY(parse_field(kFields[0], fields[0], result.minutes_));
  TRY(parse_field(kFields[1], fields[1], result.hours_));
  TRY(parse_field(kFields[2], fields[2], result.days_));
  TRY(parse_field(kFields[3], fields[3], result.months_));
  TRY(parse_field(kFields[4], fields[4], result.weekdays_));
  result.needs_both_days_ = fields[2].starts_with('*') || fields[4].starts_with('*');
  if (!result.has_a_date()) {
    return Error::invalid(fmt::format("no date fits \"{}\"; correct its day or month", text));
  }
  return result;
}

bool CronExpression::has_a_date() const {
  const sys_days begin(days(0));
  for (auto date = begin; date < begin + kCalendarCycle; date += days(1)) {
    if (fits_date(date)) return true;
  }
  return false;
}

bool CronExpression::fits_date(sys_days date) const {
  const std::chrono::year_month_day calendar(date);
  if (!months_[static_cast<unsigned>(calendar.month())]) return false;
  const bool day_fits = days_[static_cast<unsigned>(calendar.day())];
  const bool weekday_fits = weekdays_[std::chrono::weekday(date).c_encoding()];
  return needs_both_days_ ? day_fits && weekday_fits : day_fits || weekday_fits;
}

sys_days CronExpression::next_date(sys_days from) const {
  while (!fits_date(from)) from += days(1);
  return from;
}

std::optional<unsigned> CronExpression::next_minute_of_day(unsigned from) const {
  for (unsigned minute = from; minute < 24 * 60; ++minute) {
    if (fits_time(minute / 60, minute % 60)) return minute;
  }
  return std::nullopt;
}

}  // namespace pitr
