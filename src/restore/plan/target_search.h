// Finds where a target lies in the WAL behind one backup. Each search gives a position, or the
// reason why this backup cannot reach the target (an older one may), or an error where no backup
// can. Not thread-safe: it reads through the CoveredWal it is given.
#pragma once

#include <string>
#include <variant>

#include "repository/wal/facts_store.h"
#include "restore/plan/covered_wal.h"
#include "restore/plan/plan.h"
#include "restore/plan/plan_words.h"

namespace pitr {

struct FoundTarget {
  Lsn record;  // recovery_target_lsn: the start of a record
  bool inclusive = true;
  std::optional<wal::XactEnd> first_dropped;  // where the search knows it
  std::vector<std::string> notes;
  std::vector<std::string> warnings;
};

struct NotFromHere {
  std::string reason;
};

using SearchResult = std::variant<FoundTarget, NotFromHere>;

class TargetSearch {
 public:
  // watermark: of the history's own timeline.
  // An error in its place counts where the watermark is needed.
  TargetSearch(const BackupManifest& backup, CoveredWal& wal,
               Result<std::optional<Watermark>> watermark, PlanWords words, Timestamp now)
      : backup_(backup),
        wal_(wal),
        watermark_(std::move(watermark)),
        words_(std::move(words)),
        now_(now) {}

  Result<SearchResult> operator()(const TargetTime& target);
  Result<SearchResult> operator()(const TargetLsn& target);
  Result<SearchResult> operator()(const TargetXid& target);
  Result<SearchResult> operator()(const TargetName& target);
  Result<SearchResult> operator()(const TargetImmediate& target);
  Result<SearchResult> operator()(const TargetLatest& target);

  // For a target that is not found, what can be had of its kind from this backup on; empty: nothing
  // to say.
  Result<std::string> in_reach(const RestoreTarget& target);

 private:
  Result<Timestamp> earliest_time();
  Result<std::string> newest_names();
  Result<SearchResult> behind_all_commits(const TargetTime& target);
  Error why_not_complete(const TargetTime& target, const std::optional<Watermark>& watermark,
                         bool is_reached, std::optional<Timestamp> newest) const;
  Error not_known_yet(const TargetTime& target, const std::optional<Watermark>& watermark,
                      std::optional<Timestamp> newest) const;
  // What can be had instead: newest is the last transaction's time.
  std::string what_is_possible(const std::optional<Watermark>& watermark,
                               std::optional<Timestamp> newest) const;
  bool may_come_soon(Timestamp target, const std::optional<Watermark>& watermark) const;
  std::string describe(const wal::XactEnd& xact) const;
  Result<std::optional<std::string>> why_too_early(const TargetTime& target);
  Result<SearchResult> last_verified_record(std::string note);
  Result<std::optional<Timestamp>> newest_xact_time();
  std::string where_wal_ends() const;
  void warn_of_torn_end(FoundTarget& found) const;

  const BackupManifest& backup_;
  CoveredWal& wal_;
  Result<std::optional<Watermark>> watermark_;
  PlanWords words_;
  Timestamp now_;
};

}  // namespace pitr
