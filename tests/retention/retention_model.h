// What a policy keeps, written down a second time: naively, by names of days and by looking at
// every chunk of WAL, with the C library's calendar. Not thread-safe.
#pragma once

#include <set>
#include <string>

#include "retention/local_calendar.h"
#include "retention/simulated_history.h"

namespace pitr::test {

class RetentionModel {
 public:
  RetentionModel(const RetentionInput& input, const RetentionPolicy& policy,
                 const LocalCalendar& calendar)
      : input_(input), policy_(policy), calendar_(calendar) {}

  // Ids of the backups that stay.
  std::set<std::string> kept() const;
  // Those that last, daily, … or yearly keep.
  std::set<std::string> kept_by_count() const;
  bool keeps(const WalChunk& chunk, const std::set<std::string>& kept) const;

 private:
  std::vector<RetentionBackup> by_time() const;
  // Whether the backup was taken on the timeline, or on an ancestor before it was left.
  bool leads_to(const RetentionBackup& backup, const RetentionTimeline& timeline) const;
  std::vector<RetentionTimeline> in_use() const;
  // The backups that the timeline's window needs.
  std::vector<RetentionBackup> needed_on(const RetentionTimeline& timeline) const;

  const RetentionInput& input_;
  const RetentionPolicy& policy_;
  const LocalCalendar& calendar_;
};

// Whether a restore to the moment is possible with these backups and this WAL.
bool can_reach(const Moment& moment, const std::vector<RetentionBackup>& backups,
               const std::vector<RetentionTimeline>& timelines, const std::set<WalChunk>* wal);

}  // namespace pitr::test
