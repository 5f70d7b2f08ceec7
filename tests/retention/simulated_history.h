// Years of a cluster's life, from a seed: backups that succeed or fail, promotions, restores to the
// past and tests of restores (all start timelines), pg_upgrade, clocks that are stepped, pins and
// verifications. Knows the truth that retention has to do without: which position the database had
// at which moment. WAL comes in chunks of kChunk positions. Not thread-safe.
#pragma once

#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "retention/retention.h"

namespace pitr::test {

inline constexpr std::uint64_t kChunk = 1000;
inline constexpr Microseconds kLargestClockStep = std::chrono::hours(3);

struct Moment {
  std::uint32_t incarnation = 0;
  std::uint32_t timeline = 0;
  std::uint64_t lsn = 0;
  Timestamp time;  // by the server's clock
};

struct WalChunk {
  std::uint32_t incarnation = 0;
  std::uint32_t timeline = 0;
  std::uint64_t number = 0;
  friend auto operator<=>(const WalChunk&, const WalChunk&) = default;
};

class SimulatedHistory {
 public:
  explicit SimulatedHistory(std::uint64_t seed);

  // Some hours pass.
  void step();
  Timestamp now() const { return now_; }
  bool clock_is_steady() const { return !steps_clock_; }

  // As it would be if nothing was ever deleted.
  const std::vector<RetentionBackup>& all_backups() const { return all_; }
  const std::vector<Moment>& moments() const { return moments_; }
  // What is there.
  RetentionInput input() const;
  const std::set<WalChunk>& wal() const { return wal_; }
  const std::vector<RetentionTimeline>& timelines() const { return timelines_; }
  // Deletes as the plan says.
  void apply(const RetentionPlan& plan, const RetentionInput& input);

  bool happens(double probability) { return std::bernoulli_distribution(probability)(random_); }
  std::uint64_t pick(std::uint64_t from, std::uint64_t to) {
    return std::uniform_int_distribution<std::uint64_t>(from, to)(random_);
  }

 private:
  RetentionTimeline& current() { return timelines_[current_]; }
  Timestamp server_time() const { return now_ + clock_offset_; }
  void write_wal();
  void take_backup();
  void branch(std::uint64_t at_lsn, bool only_a_test);
  void upgrade();
  void look_after_backups();

  std::mt19937_64 random_;
  bool steps_clock_;
  Microseconds backup_interval_;
  double failure_rate_;
  Timestamp now_;
  Microseconds clock_offset_{0};
  Timestamp next_backup_;
  std::uint32_t incarnation_ = 0;
  std::vector<RetentionTimeline> timelines_;
  std::size_t current_ = 0;
  std::uint64_t lsn_ = 0;
  std::vector<RetentionBackup> all_;
  std::set<std::string> dropped_;
  std::set<WalChunk> wal_;
  std::vector<Moment> moments_;
};

}  // namespace pitr::test
