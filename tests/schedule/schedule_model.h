// Schedules written down a second time: every minute of the years is looked at, with the C
// library's calendar, and a schedule is the sets of values that it was printed from. Sets TZ for
// the process while it lives; one at a time, not thread-safe.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <stdlib.h>
#include <time.h>

#include <random>
#include <set>
#include <string>
#include <vector>

#include "common/clock.h"

namespace pitr::test {

inline constexpr std::int64_t kMinuteUs = 60'000'000;

// Minutes since the epoch, as they pass or as clocks show them.
using Minute = std::int64_t;

struct ModelField {
  std::set<int> values;
  bool begins_with_star = false;
  std::string text;
};

struct ModelSchedule {
  ModelField minute, hour, day, month, weekday;

  std::string text() const {
    return fmt::format("{} {} {} {} {}", minute.text, hour.text, day.text, month.text,
                       weekday.text);
  }
  bool is_every_hour() const { return hour.values.size() == 24; }
  bool fits(const struct tm& t) const {
    if (!minute.values.contains(t.tm_min) || !hour.values.contains(t.tm_hour)) return false;
    if (!month.values.contains(t.tm_mon + 1)) return false;
    const bool by_day = day.values.contains(t.tm_mday);
    const bool by_weekday = weekday.values.contains(t.tm_wday);
    if (day.begins_with_star || weekday.begins_with_star) return by_day && by_weekday;
    return by_day || by_weekday;
  }
};

class ModelClock {
 public:
  explicit ModelClock(const std::string& zone) {
    ::setenv("TZ", (":" + zone).c_str(), 1);
    ::tzset();
  }
  ~ModelClock() {
    ::unsetenv("TZ");
    ::tzset();
  }
  ModelClock(const ModelClock&) = delete;
  ModelClock& operator=(const ModelClock&) = delete;

  static struct tm shown_at(Minute minute) {
    const time_t seconds = minute * 60;
    struct tm shown{};
    ::localtime_r(&seconds, &shown);
    return shown;
  }
  // As a number: what clocks show, taken for UTC.
  static Minute label(struct tm shown) { return ::timegm(&shown) / 60; }
  static struct tm of_label(Minute label) {
    const time_t seconds = label * 60;
    struct tm shown{};
    ::gmtime_r(&seconds, &shown);
    return shown;
  }
};

// The minutes in (begin, end] at which the schedule comes up.
inline std::vector<Minute> times_of(const ModelSchedule& schedule, Minute begin, Minute end) {
  std::vector<Minute> times;
  Minute latest = ModelClock::label(ModelClock::shown_at(begin));
  for (Minute minute = begin + 1; minute <= end; ++minute) {
    const auto shown = ModelClock::shown_at(minute);
    const Minute label = ModelClock::label(shown);
    bool comes_up = false;
    if (schedule.is_every_hour()) {
      comes_up = schedule.fits(shown);
    } else {
      for (Minute passed = latest + 1; passed <= label; ++passed) {
        comes_up |= schedule.fits(ModelClock::of_label(passed));
      }
    }
    latest = std::max(latest, label);
    if (comes_up) times.push_back(minute);
  }
  return times;
}

class ScheduleMaker {
 public:
  explicit ScheduleMaker(std::uint64_t seed) : random_(seed) {}

  int pick(int from, int to) { return std::uniform_int_distribution(from, to)(random_); }

  ModelField field(int least, int most, const std::vector<std::string>& words = {}) {
    ModelField result;
    if (pick(0, 2) == 0) return stepped_star(least, most, pick(0, 1) == 0 ? 1 : pick(2, 15));
    std::vector<std::string> parts;
    for (int i = pick(1, 3); i > 0; --i) {
      int from = pick(least, most);
      const int to = pick(0, 1) == 0 ? from : pick(from, most);
      const int step = to > from && pick(0, 1) == 0 ? pick(1, 7) : 1;
      for (int value = from; value <= to; value += step) result.values.insert(value);
      std::string part = name(from, least, words);
      if (to > from) part += "-" + name(to, least, words);
      if (step > 1) part += fmt::format("/{}", step);
      parts.push_back(part);
    }
    result.text = fmt::format("{}", fmt::join(parts, ","));
    return result;
  }

  ModelSchedule schedule() {
    static const std::vector<std::string> kMonths{"jan", "FEB", "mar", "apr", "May", "jun",
                                                  "jul", "aug", "sep", "oct", "nov", "dec"};
    static const std::vector<std::string> kDays{"sun", "Mon", "tue", "wed", "thu", "fri", "SAT"};
    ModelSchedule result;
    result.minute = field(0, 59);
    // Most often in the hours in which clocks are changed.
    result.hour = pick(0, 1) == 0 ? field(0, 3) : field(0, 23);
    if (result.hour.begins_with_star) result.hour = stepped_star(0, 23, pick(1, 5));
    result.day = field(1, 31);
    result.month = pick(0, 1) == 0 ? stepped_star(1, 12, 1) : field(1, 12, kMonths);
    result.weekday = field(0, 6, kDays);
    return result;
  }

 private:
  static std::string name(int value, int least, const std::vector<std::string>& words) {
    return words.empty() ? std::to_string(value) : words[static_cast<std::size_t>(value - least)];
  }
  static ModelField stepped_star(int least, int most, int step) {
    ModelField result;
    result.begins_with_star = true;
    result.text = step == 1 ? "*" : fmt::format("*/{}", step);
    step = std::min(step, most);
    if (result.text != "*") result.text = fmt::format("*/{}", step);
    for (int value = least; value <= most; value += step) result.values.insert(value);
    return result;
  }

  std::mt19937_64 random_;
};

}  // namespace pitr::test
