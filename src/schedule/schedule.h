// When something is to be done again and again: at the times of a cron expression, every so long,
// or never. And the hours of the day within which it may begin.
//
// Where clocks are put forward, times of the day that are skipped count once, right after the gap;
// where they are put back, times that come twice count the first time only. An expression for every
// hour of the day ("*/5 * * * *") names minutes that pass instead: it goes on through both hours,
// and has nothing to make up for. Values. Pure; thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "common/time_zone.h"
#include "schedule/cron_expression.h"

namespace pitr {

class Schedule {
 public:
  static Schedule never() { return Schedule(Never()); }
  static Schedule every(Milliseconds interval) { return Schedule(interval); }
  // kInvalid as of CronExpression::parse().
  static Result<Schedule> cron(std::string_view text);

  bool is_never() const { return std::holds_alternative<Never>(rule_); }
  // Where it is so: the interval is counted from the last time that it was done.
  std::optional<Milliseconds> interval() const;

  // The first time later than `time`; for an interval: so long after it. None: never.
  std::optional<Timestamp> next_after(Timestamp time, const TimeZone& zone) const;
  // As it was written; empty where it is no cron expression.
  std::string cron_text() const;

  friend bool operator==(const Schedule&, const Schedule&) = default;

 private:
  struct Never {
    friend bool operator==(const Never&, const Never&) = default;
  };
  using Rule = std::variant<Never, Milliseconds, CronExpression>;
  explicit Schedule(Rule rule) : rule_(std::move(rule)) {}
  Rule rule_;
};

// "22:00-06:00": from the first minute on, up to the second, which may lie on the next day.
class DayWindow {
 public:
  // kInvalid: no two times of the day, or an empty window.
  static Result<DayWindow> parse(std::string_view text);

  bool contains(Timestamp time, const TimeZone& zone) const;
  // The first moment from this one on that lies in the window.
  Timestamp next_open(Timestamp from, const TimeZone& zone) const;
  std::string text() const;

  friend bool operator==(const DayWindow&, const DayWindow&) = default;

 private:
  DayWindow(unsigned from, unsigned to) : from_(from), to_(to) {}
  unsigned from_;  // minutes of the day
  unsigned to_;
};

}  // namespace pitr
