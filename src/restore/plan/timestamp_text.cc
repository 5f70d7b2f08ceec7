#include "restore/plan/timestamp_text.h"

#include <date/tz.h>
#include <fmt/format.h>

#include <cctype>
#include <filesystem>
#include <system_error>

namespace pitr {

namespace {

using LocalTime = date::local_time<Microseconds>;
using SystemTime = date::sys_time<Microseconds>;

// Reads the fixed forms from left to right; every function leaves the rest in text_.
class TimestampParser {
 public:
  TimestampParser(std::string_view text, const std::string& local_zone)
      : whole_(text), local_zone_(local_zone) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    text_ = text;
  }

  Result<ZonedTimestamp> parse();

 private:
  static bool is_blank(char c) { return c == ' ' || c == '\t'; }
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }

  Error bad(std::string_view what) const;
  std::optional<int> digits(std::size_t least, std::size_t most);
  bool take(char c);
  Result<date::local_days> parse_date();
  Result<Microseconds> parse_time_of_day();
  Result<Microseconds> parse_fraction();
  Result<ZonedTimestamp> in_offset(LocalTime local, int sign);
  Result<ZonedTimestamp> in_named_zone(LocalTime local, const std::string& zone);

  std::string_view whole_;
  const std::string& local_zone_;
  std::string_view text_;
};

Error TimestampParser::bad(std::string_view what) const {
  return Error::invalid(fmt::format("\"{}\" is not a point in time: {}", whole_, what))
      .with_hint(
          "write it as 2026-03-01 09:15:00, with a zone if need be: 2026-03-01 09:15:00+01, "
          "2026-03-01T08:15:00Z, 2026-03-01 09:15:00 Europe/Berlin");
}

std::optional<int> TimestampParser::digits(std::size_t least, std::size_t most) {
  std::size_t count = 0;
  int value = 0;
  while (count < most && count < text_.size() && is_digit(text_[count])) {
    value = value * 10 + (text_[count++] - '0');
  }
  if (count < least) return std::nullopt;
  text_.remove_prefix(count);
  return value;
}

bool TimestampParser::take(char c) {
  if (text_.empty() || text_.front() != c) return false;
  text_.remove_prefix(1);
  return true;
}

Result<date::local_days> TimestampParser::parse_date() {
  const auto year = digits(4, 4);
  if (!year || !take('-')) return bad("it has to begin with YYYY-MM-DD");
  const auto month = digits(1, 2);
  if (!month || !take('-')) return bad("it has to begin with YYYY-MM-DD");
  const auto day = digits(1, 2);
  if (!day) return bad("it has to begin with YYYY-MM-DD");
  const auto date = date::year(*year) / *month / *day;
  if (!date.ok()) return bad("there is no such day");
  return date::local_days(date);
}

Result<Microseconds> TimestampParser::parse_fraction() {
  std::int64_t us = 0;
  int count = 0;
  while (!text_.empty() && is_digit(text_.front())) {
    if (count >= 6 && text_.front() != '0') return bad("microseconds are the finest unit");
    if (count < 6) us = us * 10 + (text_.front() - '0');
    ++count;
    text_.remove_prefix(1);
  }
  if (count == 0) return bad("digits have to follow the point");
  for (; count < 6; ++count) us *= 10;
  return Microseconds(us);
}

Result<Microseconds> TimestampParser::parse_time_of_day() {
  const auto hour = digits(1, 2);
  if (!hour || !take(':')) return bad("the time of day has to be HH:MM or HH:MM:SS");
  const auto minute = digits(2, 2);
  if (!minute) return bad("the time of day has to be HH:MM or HH:MM:SS");
  int second = 0;
  Microseconds fraction{0};
  if (take(':')) {
    const auto seconds = digits(2, 2);
    if (!seconds) return bad("the time of day has to be HH:MM or HH:MM:SS");
    second = *seconds;
    if (take('.') || take(',')) fraction = TRY(parse_fraction());
  }
  if (*hour > 23 || *minute > 59 || second > 59) return bad("there is no such time of day");
  return std::chrono::hours(*hour) + std::chrono::minutes(*minute) + Seconds(second) + fraction;
}

Result<ZonedTimestamp> TimestampParser::in_offset(LocalTime local, int sign) {
  const auto hours = digits(1, 2);
  if (!hours) return bad("an offset is written as +01, +01:00 or +0100");
  int minutes = 0;
  int seconds = 0;
  if (take(':') || (!text_.empty() && is_digit(text_.front()))) {
    const auto read = digits(2, 2);
    if (!read) return bad("an offset is written as +01, +01:00 or +0100");
    minutes = *read;
  }
  if (take(':')) {
    const auto read = digits(2, 2);
    if (!read) return bad("an offset is written as +01, +01:00 or +0100");
    seconds = *read;
  }
  if (!text_.empty()) return bad(fmt::format("\"{}\" follows the offset", text_));
  if (*hours > 15 || minutes > 59 || seconds > 59) return bad("there is no such offset");
  const Microseconds offset =
      std::chrono::hours(*hours) + std::chrono::minutes(minutes) + Seconds(seconds);
  const auto utc = local.time_since_epoch() - sign * offset;
  auto zone = fmt::format("{}{:02}:{:02}", sign < 0 ? '-' : '+', *hours, minutes);
  if (seconds != 0) zone += fmt::format(":{:02}", seconds);
  return ZonedTimestamp{Timestamp::from_unix_us(utc.count()), std::move(zone)};
}

std::string offset_text(Seconds offset) {
  const auto total = offset.count();
  const auto size = total < 0 ? -total : total;
  auto text = fmt::format("{}{:02}:{:02}", total < 0 ? '-' : '+', size / 3600, size / 60 % 60);
  if (size % 60 != 0) text += fmt::format(":{:02}", size % 60);
  return text;
}

Result<const date::time_zone*> find_zone(const std::string& name) {
  try {
    return date::locate_zone(name);
  } catch (const std::exception&) {
    return Error::invalid(fmt::format("the time zone \"{}\" is not known", name))
        .with_hint("use a name like Europe/Berlin, or an offset like +01:00");
  }
}

Result<ZonedTimestamp> TimestampParser::in_named_zone(LocalTime local, const std::string& zone) {
  const auto* found = TRY(find_zone(zone));
  date::local_info info;
  try {
    info = found->get_info(local);
  } catch (const std::exception& error) {
    return Error::internal(fmt::format("time zone {}: {}", zone, error.what()));
  }
  const auto shown = date::format("%F %T", local);
  if (info.result == date::local_info::ambiguous) {
    return Error::invalid(fmt::format("{} happened twice in {}", shown, zone))
        .with_hint(fmt::format("say which: {0}{1} or {0}{2}", shown, offset_text(info.first.offset),
                               offset_text(info.second.offset)));
  }
  if (info.result == date::local_info::nonexistent) {
    const auto change = date::sys_time<Seconds>(info.first.end);
    return Error::invalid(fmt::format("{} never was in {}: clocks went from {} to {}", shown, zone,
                                      date::format("%T", change + info.first.offset),
                                      date::format("%T", change + info.second.offset)))
        .with_hint(fmt::format("say which: {0}{1} or {0}{2}", shown, offset_text(info.first.offset),
                               offset_text(info.second.offset)));
  }
  const auto utc = local.time_since_epoch() - info.first.offset;
  return ZonedTimestamp{Timestamp::from_unix_us(utc.count()), zone};
}

Result<ZonedTimestamp> TimestampParser::parse() {
  const auto day = TRY(parse_date());
  LocalTime local = day;
  if (!text_.empty() && (text_.front() == 'T' || text_.front() == 't' || is_blank(text_.front()))) {
    const auto before = text_;
    const bool is_blank_before = is_blank(text_.front());
    text_.remove_prefix(1);
    while (!text_.empty() && is_blank(text_.front())) text_.remove_prefix(1);
    if (is_blank_before && !text_.empty() && !is_digit(text_.front())) {
      text_ = before;  // a date and a zone
    } else {
      const auto time_of_day = TRY(parse_time_of_day());
      local += time_of_day;
    }
  }
  while (!text_.empty() && is_blank(text_.front())) text_.remove_prefix(1);

  if (text_.empty()) return in_named_zone(local, local_zone_);
  if (text_ == "Z" || text_ == "z" || text_ == "UTC") return in_named_zone(local, "UTC");
  if (take('+')) return in_offset(local, 1);
  if (take('-')) return in_offset(local, -1);
  if (!std::isalpha(static_cast<unsigned char>(text_.front()))) {
    return bad(fmt::format("\"{}\" is not understood", text_));
  }
  return in_named_zone(local, std::string(text_));
}

}  // namespace

Result<ZonedTimestamp> parse_timestamp(std::string_view text, const std::string& local_zone) {
  return TimestampParser(text, local_zone).parse();
}

Result<std::string> to_string_in_zone(Timestamp time, const std::string& zone) {
  const SystemTime utc{Microseconds(time.unix_us())};
  if (!zone.empty() && (zone.front() == '+' || zone.front() == '-')) {
    int hours = 0;
    int minutes = 0;
    int seconds = 0;
    if (std::sscanf(zone.c_str() + 1, "%d:%d:%d", &hours, &minutes, &seconds) < 1) {
      return Error::invalid(fmt::format("\"{}\" is not an offset", zone));
    }
    const Seconds size(hours * 3600 + minutes * 60 + seconds);
    const Seconds offset = zone.front() == '-' ? -size : size;
    return date::format("%F %T", utc + offset) + offset_text(offset);
  }
  const auto* found = TRY(find_zone(zone));
  try {
    const auto info = found->get_info(utc);
    return fmt::format("{}{} ({})", date::format("%F %T", utc + info.offset),
                       offset_text(info.offset), zone);
  } catch (const std::exception& error) {
    return Error::internal(fmt::format("time zone {}: {}", zone, error.what()));
  }
}

Result<std::string> local_zone_name(const Environment& environment) {
  if (const auto variable = environment("TZ"); variable && !variable->empty()) {
    std::string name = *variable;
    if (name.front() == ':') name.erase(0, 1);
    if (const auto at = name.rfind("/zoneinfo/"); at != std::string::npos) {
      name.erase(0, at + std::string_view("/zoneinfo/").size());
    }
    const auto zone = find_zone(name);
    if (!zone.has_value()) {
      return Error::invalid(fmt::format("the time zone \"{}\" in TZ is not known", *variable))
          .with_hint("set TZ to a name like Europe/Berlin, or give the time with its zone");
    }
    return name;
  }
  std::error_code failure;
  const auto link = std::filesystem::read_symlink("/etc/localtime", failure);
  if (failure) return std::string("UTC");
  const auto text = link.string();
  const auto at = text.rfind("zoneinfo/");
  if (at == std::string::npos) return std::string("UTC");
  auto name = text.substr(at + std::string_view("zoneinfo/").size());
  if (!find_zone(name).has_value()) {
    return Error::invalid(fmt::format("/etc/localtime points to the unknown time zone {}", name))
        .with_hint("give the time with its zone");
  }
  return name;
}

}  // namespace pitr
