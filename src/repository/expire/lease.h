// Says to expire what somebody is reading: the backups and WAL of a restore. An object in the
// repository that counts for a while and is renewed as long as its holder runs; of one that was
// killed nothing stays for longer than that. docs/repository-format.md, "Leases".
//
// A lease that was granted holds: nothing that it names is deleted while it is renewed in time. A
// holder whose store was away for too long learns it from renew(). Lease belongs to one thread at a
// time; LeaseKeeper has a thread of its own.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/clock.h"
#include "repository/expire/trash.h"
#include "repository/repository.h"

namespace pitr {

// Segments [first, last] of a timeline, and their facts.
struct LeasedWal {
  TimelineId timeline;
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

struct LeaseNeeds {
  std::vector<BackupId> backups;
  std::vector<LeasedWal> wal;
  std::string holder;  // for people: "pitr-restore on db1"
};

struct StoredLease {
  ObjectKey key;
  Timestamp until;  // by the store's clock
  LeaseNeeds needs;
};

inline constexpr Microseconds kLeaseLasts = std::chrono::hours(1);

class Lease {
 public:
  // kConflict where what it needs is being deleted already.
  static Result<std::unique_ptr<Lease>> take(const IncarnationStore& store, LeaseNeeds needs,
                                             Microseconds lasts = kLeaseLasts);
  // From now on for another while. kConflict where it ran out before, and what it needs may be
  // gone.
  Result<void> renew();
  // The same for so long once more, for somebody who comes later and takes a lease of his own.
  Result<void> leave_for(Microseconds lasts);
  Result<void> release();

  Microseconds lasts() const { return lasts_; }

 private:
  Lease(const IncarnationStore& store, LeaseNeeds needs, Microseconds lasts);
  Result<void> put_next(Microseconds lasts);
  Result<void> check_needs(Timestamp now) const;

  const IncarnationStore store_;
  const LeaseNeeds needs_;
  const Microseconds lasts_;
  const std::uint64_t holder_;
  std::uint32_t number_ = 0;       // of the next object
  std::vector<ObjectKey> stored_;  // the one that counts is the last; others may be there
  Timestamp until_;
};

// All that are stored, those that ran out too.
Result<std::vector<StoredLease>> read_leases(const IncarnationStore& store);

// Renews a lease in the background, and gives it back in the end. A renewal that fails is logged
// and tried again.
class LeaseKeeper {
 public:
  explicit LeaseKeeper(std::unique_ptr<Lease> lease);
  ~LeaseKeeper();
  LeaseKeeper(const LeaseKeeper&) = delete;
  LeaseKeeper& operator=(const LeaseKeeper&) = delete;
  // Instead of giving it back.
  void leave_for(Microseconds lasts);

 private:
  void run(std::stop_token stop);
  std::unique_ptr<Lease> lease_;
  std::optional<Microseconds> left_for_;
  std::jthread thread_;
};

}  // namespace pitr
