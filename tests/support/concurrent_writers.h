// Several sessions that commit numbered rows at once, and remember which transaction changed what:
// with aborts, savepoints, prepared transactions and restore points between. In what order it all
// came true they don't know: that is the WAL's to say (wal_model.h).
//
// The table is rows(id bigint primary key, filler text). Every writer has a thread and a connection
// of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "postgres/connection.h"
#include "support/test_cluster.h"

namespace pitr::test {

struct RowChange {
  std::int64_t id = 0;
  bool inserted = true;  // else deleted
};
using ChangesByXid = std::map<std::uint32_t, std::vector<RowChange>>;

class ConcurrentWriters {
 public:
  ConcurrentWriters(TestCluster& cluster, unsigned writers, std::uint64_t seed);
  ~ConcurrentWriters() { stop(); }

  // Until so many more transactions have ended; fails the test where a writer failed.
  void run_for(std::uint64_t transactions);
  void stop();

  // After stop().
  const ChangesByXid& changes() const { return changes_; }

 private:
  class Writer;
  void write(unsigned number, std::uint64_t seed, std::stop_token stop);

  const std::string conninfo_;
  std::atomic<std::uint64_t> ended_ = 0;
  std::mutex mutex_;
  ChangesByXid changes_;  // guarded
  std::string failure_;   // guarded
  std::vector<std::jthread> threads_;
};

// The rows that are there after these transactions, in this order.
inline std::set<std::int64_t> rows_after(const ChangesByXid& changes,
                                         const std::vector<std::uint32_t>& committed) {
  std::set<std::int64_t> rows;
  for (const auto xid : committed) {
    const auto found = changes.find(xid);
    if (found == changes.end()) continue;
    for (const auto& change : found->second) {
      if (change.inserted) {
        rows.insert(change.id);
      } else {
        rows.erase(change.id);
      }
    }
  }
  return rows;
}

}  // namespace pitr::test
