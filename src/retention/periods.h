// Days, weeks, months and years of a time zone as consecutive numbers. Pure; thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "common/time_zone.h"

namespace pitr {

enum class PeriodUnit : std::uint8_t { kDay, kWeek, kMonth, kYear };

// Weeks begin on Monday (ISO 8601).
std::int64_t period_of(const TimeZone& zone, PeriodUnit unit, Timestamp time);
Timestamp start_of_period(const TimeZone& zone, PeriodUnit unit, std::int64_t period);
// "2026-03-01", "2026-W09", "2026-03", "2026".
std::string period_name(PeriodUnit unit, std::int64_t period);

}  // namespace pitr
