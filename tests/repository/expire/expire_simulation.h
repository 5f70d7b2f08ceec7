// Backups, restores, pins, WAL and expire at one repository, their storage calls interleaved as a
// seed says, some killed, some slow for days. After every call that could break something:
// whatever is published is whole, and what a granted lease or a pin names is there. A broken rule
// is a failure of the running test. Not thread-safe.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "repository/backup/backup_fixture.h"
#include "repository/expire/expire.h"
#include "repository/expire/lease.h"
#include "repository/expire/stepped_storage.h"

namespace pitr::test {

class ExpireSimulation {
 public:
  explicit ExpireSimulation(std::uint64_t seed);

  void run(int steps);
  // Nobody is there any more and all is over: what is left is needed, or is deleted.
  void expect_clean_in_the_end();

  struct Counts {
    std::uint64_t published = 0;
    std::uint64_t refused = 0;   // that came too late, or at the same moment as expire
    std::uint64_t restored = 0;  // objects read
    std::uint64_t expired = 0;   // backups
    std::uint64_t killed = 0;
    std::uint64_t deleted = 0;  // objects
  };
  const Counts& counts() const { return counts_; }

 private:
  std::uint64_t pick(std::uint64_t from, std::uint64_t to) {
    return std::uniform_int_distribution<std::uint64_t>(from, to)(random_);
  }
  bool happens(double probability) { return std::bernoulli_distribution(probability)(random_); }

  IncarnationStore store();
  void start_somebody();
  void take_backup(Storage& storage, std::uint64_t number);
  void restore(Storage& storage, std::uint64_t number);
  void pin(Storage& storage, std::uint64_t number);
  void write_wal(Storage& storage, std::uint64_t segment);
  void expire(Storage& storage);
  void pass_time();
  void kill_somebody();
  void check();
  void expect_nothing_needed_in_trash();
  void expect_no_wal_is_missed();
  bool exists(const ObjectKey& key) { return memory_.stat(key).has_value(); }

  struct Running {
    std::unique_ptr<Actor> actor;
    bool is_restore = false;
    bool was_stepped = true;  // since time last jumped
  };
  struct Grant {
    LeaseNeeds needs;
    Timestamp until;
  };

  std::mt19937_64 random_;
  SimulatedClock clock_;
  MemoryStorage memory_;
  SegmentSize segment_size_;
  std::unique_ptr<Repository> repository_;
  RetentionPolicy policy_;
  std::vector<Running> running_;
  std::vector<std::function<void()>> late_;  // writes of killed actors that are under way
  std::uint64_t started_ = 0;
  std::uint64_t segment_ = 10;
  std::map<std::uint64_t, Grant> granted_;              // by restore
  std::vector<std::pair<BackupId, Timestamp>> pinned_;  // until when
  std::map<BackupId, std::set<std::string>> contents_;
  std::map<BackupId, std::pair<std::uint64_t, std::uint64_t>> wal_of_;
  std::set<SegmentId> seen_wal_;
  double switch_rate_ = 0;  // how often another actor gets the turn
  Counts counts_;
};

}  // namespace pitr::test
