// Which backups a cluster's policy keeps and which it lets go, each with the reasons, and from
// where WAL has to stay. A pure function of its input: it deletes nothing and reads no clock.
//
// Time is that of the backups' ends by the server's clock, which may have been stepped; positions
// in the WAL count where WAL is concerned. What isn't certain is kept: a backup whose end lies in
// the future is kept and takes nobody's place. Backups that failed were never published and aren't
// given here. Errors: kInvalid, for a policy that can't be followed. Thread-safe.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/result.h"

namespace pitr {

struct RetentionPolicy {
  unsigned keep_last = 3;  // at least 1
  // The last backup of each of the newest so many days (weeks from Monday, months, years) that
  // have one. Periods without a backup don't count: backups that stop don't make older ones go.
  unsigned keep_daily = 7;
  unsigned keep_weekly = 4;
  unsigned keep_monthly = 12;
  unsigned keep_yearly = 5;
  // Every moment of so long can be restored.
  Microseconds keep_within = std::chrono::hours(14 * 24);
  // So many backups that were verified stay, whatever else says that they go.
  unsigned keep_verified = 1;
  // More than that is a warning, and never a reason to delete.
  std::optional<std::uint64_t> max_size_bytes;
  std::string time_zone = "UTC";  // what a day is
};

struct RetentionPin {
  std::string label;
  std::optional<Timestamp> expires;
};

// A published backup.
struct RetentionBackup {
  std::string id;
  std::uint32_t incarnation = 0;  // the cluster's, counted from the oldest
  std::uint32_t timeline = 0;
  std::uint64_t start_lsn = 0;  // WAL is needed from here
  std::uint64_t stop_lsn = 0;   // to here
  Timestamp stop_time;          // the first moment to which it restores
  bool is_verified = false;
  std::vector<RetentionPin> pins;
};

// A timeline of which WAL or backups are stored.
struct RetentionTimeline {
  struct Ancestor {
    std::uint32_t timeline = 0;
    std::uint64_t end_lsn = 0;  // where the way to this timeline leaves it
  };
  std::uint32_t incarnation = 0;
  std::uint32_t timeline = 0;
  std::vector<Ancestor> ancestors;  // oldest first
  Timestamp last_written;           // when its newest WAL came in
};

struct RetentionInput {
  std::vector<RetentionBackup> backups;      // in any order
  std::vector<RetentionTimeline> timelines;  // all that backups are on
  std::uint64_t stored_bytes = 0;            // of the cluster
  Timestamp now;
};

enum class RetentionTier : std::uint8_t {
  kLast,
  kDaily,
  kWeekly,
  kMonthly,
  kYearly,
  kWithin,  // inside the recovery window
  kBase,    // the recovery window begins with it
  kPin,
  kVerified,
  kFuture,  // it ended after now: some clock is wrong
};
std::string_view to_string(RetentionTier tier);  // "last", "daily", …, "window", "window start"

struct KeepReason {
  RetentionTier tier;
  std::string detail;  // "2026-W09", "pin pre-deploy"
  // Not before that, however many backups come; none: until a newer one takes its place, or (pins)
  // for good.
  std::optional<Timestamp> until;
};

struct RetentionDecision {
  std::size_t backup = 0;                // index into the input
  std::vector<KeepReason> kept_by;       // none: it goes
  std::vector<std::string> not_kept_by;  // of a backup that goes: why each tier lets it
  bool keep() const { return !kept_by.empty(); }
  // The latest date among the reasons; none where a pin keeps it for good or no reason has a date.
  std::optional<Timestamp> until() const;
  bool is_kept_for_good() const;  // by a pin that doesn't expire
};

// WAL of one timeline that stays: whole segments that have a byte of [from_lsn, to_lsn] in them.
struct KeptWal {
  static constexpr std::uint64_t kOpenEnd = std::numeric_limits<std::uint64_t>::max();
  std::uint32_t incarnation = 0;
  std::uint32_t timeline = 0;
  std::uint64_t from_lsn = 0;
  std::uint64_t to_lsn = kOpenEnd;
};

// A timeline that was in use within the recovery window.
struct KeptWindow {
  std::uint32_t incarnation = 0;
  std::uint32_t timeline = 0;
  // The newest backup on the timeline's way that ended when the window begins, or before. None:
  // the window begins with the oldest backup, and isn't full yet.
  std::optional<std::size_t> base;
  // No backup at all leads to this timeline; its WAL is kept for the first one.
  bool has_no_backup = false;
};

struct RetentionPlan {
  Timestamp window_start;
  std::vector<RetentionDecision> decisions;  // oldest backup first
  std::vector<KeptWindow> windows;
  std::vector<KeptWal> wal;           // ascending, without overlaps
  std::vector<std::string> warnings;  // for people
  std::string size_warning;           // the one of them that max_size is exceeded; empty: it isn't

  // first_lsn and end_lsn: of a segment, the end not included.
  bool keeps_wal(std::uint32_t incarnation, std::uint32_t timeline, std::uint64_t first_lsn,
                 std::uint64_t end_lsn) const;
};

Result<RetentionPlan> plan_retention(const RetentionInput& input, const RetentionPolicy& policy);

}  // namespace pitr
