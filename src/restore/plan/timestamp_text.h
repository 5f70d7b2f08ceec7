// Points in time as people write them, and back:
//   2026-03-01 09:15:00.123+01    2026-03-01T09:15Z    2026-03-01 09:15:00 Europe/Berlin
//   2026-03-01                    (midnight)
// Without a zone the local one counts. A local time that a clock change skipped or repeated is
// refused (kInvalid) with the choices. Zones come from the system's tz database.
//
// Pure apart from reading that database; thread-safe.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "common/result.h"

namespace pitr {

struct ZonedTimestamp {
  Timestamp time;
  std::string zone;  // "Europe/Berlin", "+01:00", "UTC"
};

// local_zone: what local_zone_name() says.
Result<ZonedTimestamp> parse_timestamp(std::string_view text, const std::string& local_zone);

// "2026-03-01 09:15:00.123456+01:00 (Europe/Berlin)"; numeric zones aren't repeated in brackets.
Result<std::string> to_string_in_zone(Timestamp time, const std::string& zone);

// TZ, else what /etc/localtime points to, else "UTC".
using Environment = std::function<std::optional<std::string>(const char* name)>;
Result<std::string> local_zone_name(const Environment& environment);

}  // namespace pitr
