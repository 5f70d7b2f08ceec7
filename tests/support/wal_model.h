// What a server's WAL says, as pg_waldump reads it: the model that restores are measured against,
// made without any of this project's own WAL code. Plain values.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/clock.h"
#include "postgres/lsn.h"
#include "support/test_cluster.h"

namespace pitr::test {

struct ModelRecord {
  enum class Kind { kOther, kCommit, kAbort, kPrepare, kRestorePoint };
  Lsn start;
  Kind kind = Kind::kOther;
  std::uint32_t xid = 0;  // the top-level transaction's, also of a prepared one
  Timestamp time = {};
  std::string name = {};  // of a restore point
  bool ends_xact() const { return kind == Kind::kCommit || kind == Kind::kAbort; }
};

// All records from `from` on, in LSN order.
class WalModel {
 public:
  static WalModel read(const TestCluster& cluster, TimelineId timeline, Lsn from);

  const std::vector<ModelRecord>& records() const { return records_; }

  // How many records are kept by the definition of each kind of target. Everything before
  // `consistent` (the backup's stop) is kept anyhow.
  std::size_t kept_by_time(Timestamp time, bool inclusive, Lsn consistent) const {
    return first([&](const ModelRecord& record) {
      const bool is_later = inclusive ? record.time > time : record.time >= time;
      return record.start >= consistent && record.ends_xact() && is_later;
    });
  }
  std::size_t kept_by_lsn(Lsn lsn, bool inclusive) const {
    return with_target(first([&](const ModelRecord& record) { return record.start >= lsn; }),
                       inclusive);
  }
  std::size_t kept_by_xid(std::uint32_t xid, bool inclusive) const {
    return with_target(
        first([&](const ModelRecord& record) { return record.ends_xact() && record.xid == xid; }),
        inclusive);
  }
  std::size_t kept_by_name(const std::string& name) const {
    return with_target(first([&](const ModelRecord& record) {
                         return record.kind == ModelRecord::Kind::kRestorePoint &&
                                record.name == name;
                       }),
                       true);
  }
  std::size_t kept_before(Lsn lsn) const {
    return first([&](const ModelRecord& record) { return record.start >= lsn; });
  }

  // Commits in order, of the first `kept` records.
  std::vector<std::uint32_t> committed(std::size_t kept) const {
    std::vector<std::uint32_t> xids;
    for (std::size_t i = 0; i < kept; ++i) {
      if (records_[i].kind == ModelRecord::Kind::kCommit) xids.push_back(records_[i].xid);
    }
    return xids;
  }
  // Prepared and not yet ended in the first `kept` records.
  std::set<std::uint32_t> prepared(std::size_t kept) const {
    std::set<std::uint32_t> xids;
    for (std::size_t i = 0; i < kept; ++i) {
      if (records_[i].kind == ModelRecord::Kind::kPrepare) xids.insert(records_[i].xid);
      if (records_[i].ends_xact()) xids.erase(records_[i].xid);
    }
    return xids;
  }
  // Ends of transactions that are earlier in time than one before them.
  std::size_t inversions() const {
    std::size_t count = 0;
    Timestamp latest;
    for (const auto& record : records_) {
      if (!record.ends_xact()) continue;
      if (record.time < latest) ++count;
      latest = std::max(latest, record.time);
    }
    return count;
  }

 private:
  template <typename Condition>
  std::size_t first(Condition&& is_it) const {
    return static_cast<std::size_t>(std::ranges::find_if(records_, is_it) - records_.begin());
  }
  std::size_t with_target(std::size_t index, bool inclusive) const {
    return std::min(index + (inclusive ? 1 : 0), records_.size());
  }

  std::vector<ModelRecord> records_;
};

}  // namespace pitr::test
