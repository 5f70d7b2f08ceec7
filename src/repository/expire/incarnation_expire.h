// The steps of expire in one incarnation; expire.cc puts them in order. Not thread-safe.
#pragma once

#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "repository/expire/expire.h"
#include "repository/expire/needs.h"
#include "repository/expire/stored_state.h"

namespace pitr {

class IncarnationExpire {
 public:
  IncarnationExpire(IncarnationStore store, const ExpireOptions& options, const Clock& clock,
                    std::stop_token stop = {})
      : store_(std::move(store)), options_(options), clock_(clock), stop_(std::move(stop)) {}

  const IncarnationStore& store() const { return store_; }
  const StoredState& state() const { return state_; }

  // Step 1. Learns the store's time by a record of its own, unless it is a dry run.
  Result<void> read();
  // What retention has to know, as incarnation number `index` of its cluster.
  Result<void> describe(std::uint32_t index, RetentionInput& input,
                        std::vector<ExpireBackup>& backups) const;
  // Step 3. Some are held; what for is noted in `held`.
  Result<void> drop(std::set<BackupId> unwanted, std::map<BackupId, std::string>& held);
  // Steps 4 and 5, once backups are dropped.
  Result<void> collect(const RetentionPlan& plan, std::uint32_t index, ExpireReport& report);
  // Its own traces.
  Result<void> finish();

  // Bytes that no other backup refers to.
  std::map<BackupId, std::uint64_t> own_bytes() const;

 private:
  Result<void> check_stop() const;
  Result<void> check_clock(Timestamp before, Timestamp stored) const;
  Result<std::vector<RetentionTimeline>> timelines(std::uint32_t index) const;
  Result<void> remove_backup(const BackupId& backup);
  Result<void> put_unneeded_into_trash(const Needs& needs, ExpireReport& report);
  Result<void> empty_trash(const Needs& needs, ExpireReport& report);
  Result<void> keep_waiting(const TrashRecord& record, const Needs& needs, ExpireReport& report);
  bool is_of_dropped_backup(const ObjectInfo& object) const;
  ObjectInfo describe_object(const std::string& name) const;

  const IncarnationStore store_;
  const ExpireOptions& options_;
  const Clock& clock_;
  const std::stop_token stop_;
  std::vector<ObjectKey> own_records_;
  StoredState state_;
  std::set<BackupId> gone_;
  // Names that the backups which went referred to.
  std::set<std::string> dropped_contents_;
};

}  // namespace pitr
