#include "config/read_retention.h"

#include "config/section.h"

namespace pitr {

static constexpr std::int64_t kMostBackups = 100'000;

static void read_count(Section& section, std::string_view key, std::int64_t least, unsigned& into) {
  std::int64_t count = into;
  section.read_number(key, count, least, kMostBackups);
  into = static_cast<unsigned>(count);
}

void read_retention(const YamlNode& node, Problems& problems, RetentionConfig& into) {
  using std::chrono::hours;
  constexpr auto kDay = hours(24);
  Section section(node, "retention", problems);
  // Never nothing: a wrong number must not cost the only backup.
  read_count(section, "keep_last", 1, into.keep_last);
  read_count(section, "keep_daily", 0, into.keep_daily);
  read_count(section, "keep_weekly", 0, into.keep_weekly);
  read_count(section, "keep_monthly", 0, into.keep_monthly);
  read_count(section, "keep_yearly", 0, into.keep_yearly);
  read_count(section, "keep_verified", 0, into.keep_verified);
  section.read_duration("keep_within", into.keep_within, Milliseconds(0), kDay * 36'500);
  std::uint64_t max_size = 0;
  if (section.read_size("max_size", max_size, 1 << 20)) into.max_size_bytes = max_size;
  section.read_duration("grace", into.grace, hours(1), kDay * 365);
  section.read_time_zone("time_zone", into.time_zone);
}

}  // namespace pitr
