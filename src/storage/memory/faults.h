// Faults that a test plans for a MemoryStorage: which calls they hit, and what happens to these.
// Thread-safe.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/result.h"

namespace pitr {

enum class StorageCall : std::uint8_t {
  kPut,
  kPutIfAbsent,
  kStartUpload,
  kUploadWrite,
  kUploadCommit,
  kStartAppend,
  kAppend,
  kEnsureDurable,
  kGet,
  kGetRange,
  kStat,
  kList,
  kRemove,
};

// Where calls wait until a test lets them go: a store that hangs. Power loss lets them go as well.
class Gate {
 public:
  // Blocks the test until so many calls (in all) have come to the gate.
  void wait_until_reached(std::uint64_t calls = 1);
  // Lets everything through, now and later.
  void open();

  // For the storage: waits until the gate is open or power isn't at this count any more.
  void pass(const std::atomic<std::uint64_t>& power_count, std::uint64_t count_at_start);
  void wake();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t arrived_ = 0;
  bool open_ = false;
};

struct Fault {
  static constexpr std::uint64_t kEveryTime = std::numeric_limits<std::uint64_t>::max();

  enum class Moment : std::uint8_t {
    kBefore,    // nothing has happened yet
    kInFlight,  // visible, not durable; of an append a random part is visible
    kAfter,     // durable: only the answer is lost
  };

  // Which calls.
  std::set<StorageCall> calls = {};  // empty: all of them
  std::string key_contains = {};     // for kList: the prefix
  std::uint64_t skip = 0;            // lets so many matching calls pass first
  std::uint64_t times = 1;           // then hits so many
  double probability = 1.0;

  // What happens, in this order: latency, the gate, the error.
  Moment moment = Moment::kBefore;
  Milliseconds latency{0};
  std::shared_ptr<Gate> gate = {};
  std::optional<Error> error = {};
};

class FaultPlan {
 public:
  explicit FaultPlan(std::uint64_t seed) : random_(seed) {}

  void add(Fault fault);
  void clear();
  // How many calls were hit so far.
  std::uint64_t hits() const;
  // The fault that hits this call, if any; counts the call.
  std::optional<Fault> next(StorageCall call, std::string_view key);
  // Makes calls that wait at gates look at the power again.
  void wake_gates();

 private:
  mutable std::mutex mutex_;
  struct PlannedFault {
    Fault fault;
    std::uint64_t calls = 0;
    std::uint64_t hits = 0;
  };
  std::vector<PlannedFault> faults_;
  std::vector<std::shared_ptr<Gate>> gates_;
  std::mt19937_64 random_;
  std::uint64_t hits_ = 0;
};

}  // namespace pitr
