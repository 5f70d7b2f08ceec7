// Collects what workers find, one finding an object. Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "repository/verify/verify.h"

namespace pitr {

class Findings {
 public:
  explicit Findings(IncarnationId incarnation) : incarnation_(std::move(incarnation)) {}

  // By the error's kind: damage, or something that says nothing about the object. What is gone is
  // no finding by itself, but vanished() then: whoever needs it has to look.
  void add(const ObjectKey& key, const Error& problem);
  void add_missing(const ObjectKey& key, const Error& problem);
  void checked();
  // What wasn't even tried, since the storage is away or the run was stopped.
  void skipped(const ObjectKey& key);

  // So many objects in a row could not be read that others aren't tried.
  bool storage_is_away() const;
  // Whether there is something that keeps the object from being called good.
  bool has(const ObjectKey& key) const;
  bool is_damaged(const ObjectKey& key) const;
  // It wasn't there any more when it was to be read.
  bool has_vanished(const ObjectKey& key) const;

  // Only once no worker adds any more.
  std::map<std::string, VerifyFinding>& all() { return findings_; }
  std::uint64_t checked_count() const { return checked_; }
  std::uint64_t unchecked_count() const { return unchecked_.size(); }

 private:
  void add(const ObjectKey& key, FindingKind kind, const Error& problem);
  const IncarnationId incarnation_;
  mutable std::mutex mutex_;
  std::map<std::string, VerifyFinding> findings_;  // guarded, as all below
  std::set<std::string> unchecked_;
  std::set<std::string> vanished_;
  std::uint64_t unchecked_findings_ = 0;
  std::uint64_t checked_ = 0;
  int failures_in_a_row_ = 0;
};

}  // namespace pitr
