// Fetches the next segments ahead of restore_command into a bounded spool directory, and moves them
// into place by rename (by copy to another file system). What recovery has passed is deleted.
//
// deliver() is thread-safe. Failures of fetching ahead are not kept: the segment is fetched again
// when it's asked for, and then its error counts. The spool holds no truth: leftovers of a killed
// prefetcher are removed at the start.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/clock.h"
#include "restore/recovery/wal_supply.h"

namespace pitr {

struct PrefetcherOptions {
  Path spool_directory;  // best on the file system of pg_wal
  std::uint64_t spool_limit_bytes = 256ull << 20;
  unsigned threads = 2;
  std::optional<FileOwner> owner;  // of the files delivered
};

enum class Delivery { kDelivered, kAbsent };

class Prefetcher {
 public:
  static Result<std::unique_ptr<Prefetcher>> start(const WalSupply& supply,
                                                   PrefetcherOptions options);
  ~Prefetcher();

  // Puts the file into place before it returns kDelivered.
  Result<Delivery> deliver(const std::string& file_name, const Path& to);

  SteadyTime last_request() const;

 private:
  enum class SlotState { kFetching, kReady };

  Prefetcher(const WalSupply& supply, PrefetcherOptions options);
  void run(std::stop_token stop);
  void fetch(SegmentId segment);
  std::optional<SegmentId> next_to_fetch();
  void move_window(std::uint64_t number);
  bool claim(SegmentId segment);
  Result<bool> take_from_spool(SegmentId segment, const Path& to);
  Result<void> move_from_spool(SegmentId segment, const Path& to) const;
  Path spool_path(SegmentId segment) const;

  const WalSupply& supply_;
  const PrefetcherOptions options_;
  const SegmentSize segment_size_;
  std::uint64_t window_ = 1;  // segments fetched ahead

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<SegmentId, SlotState> slots_;           // guarded
  std::optional<std::uint64_t> current_;           // guarded; the segment number asked for last
  std::map<SegmentId, std::uint64_t> failed_for_;  // guarded; not tried again for that current_
  SteadyTime last_request_;                        // guarded
  std::vector<std::jthread> threads_;
};

}  // namespace pitr
