// A repository with two backups, the second one built on the first, their WAL, and an object of
// nearly every kind: for tests that damage it.
#pragma once

#include <atomic>
#include <set>
#include <string>
#include <vector>

#include "postgres/wal/wal_builder.h"
#include "repository/backup/backup_fixture.h"
#include "repository/verify/verify.h"
#include "repository/wal/facts_store.h"
#include "repository/wal/wal_archive.h"

namespace pitr::test {

// The machine's, and further by what it was advanced.
class MovedClock final : public Clock {
 public:
  Timestamp now() const override { return system_.now() + Microseconds(by_us_.load()); }
  SteadyTime steady_now() const override { return system_.steady_now(); }
  void advance(Microseconds by) { by_us_ += by.count(); }

 private:
  SystemClock system_;
  std::atomic<std::int64_t> by_us_ = 0;
};

class VerifiedRepository {
 public:
  // between: segments between the backups, that neither of them needs.
  explicit VerifiedRepository(bool encrypted = true, std::uint64_t between = 0);

  MovedClock& clock() { return clock_; }  // the store's, too
  MemoryStorage& memory() { return memory_; }
  Repository& repository() { return *repository_; }
  const IncarnationStore& store() const { return *store_; }
  // 0 to 3 are complete, and as many more as lie between the backups; the next one is a tail.
  SegmentId segment(std::uint64_t index) const;
  const WalBuilder& wal() const { return wal_; }
  const BackupManifest& first() const { return *backups_.at(0); }
  const BackupManifest& second() const { return *backups_.at(1); }

  VerifyReport verify(VerifyDepth depth, VerifyOptions options = {}, std::stop_token stop = {});
  // All that the cluster has, but for its identity.
  std::vector<ObjectKey> objects();
  void put_back(const ObjectKey& key, const Bytes& bytes);

  // Files of both backups, by path.
  static backup_test::FileContents files(int backup);

 private:
  void put_wal();
  void put_backup(int number);
  void put_small_objects();

  const std::uint64_t between_;
  MovedClock clock_;
  WalBuilder wal_;
  MemoryStorage memory_{clock_};
  std::unique_ptr<Repository> repository_;
  std::optional<IncarnationStore> store_;
  std::vector<std::optional<BackupManifest>> backups_;
};

// "damaged wal/…": kind and name of each, without the incarnation's prefix.
std::set<std::string> findings_of(const VerifyReport& report);

}  // namespace pitr::test
