#include "repository/verify/findings.h"

namespace pitr {

static constexpr int kMostFailuresInARow = 20;
// Of objects that could not be read; all of them are counted.
static constexpr std::uint64_t kMostUncheckedFindings = 100;

static Error with_advice(const Error& problem, const std::string& name) {
  auto error = problem;
  if (!error.hint().empty() || !name.contains("/facts/")) return error;
  return std::move(error).with_hint("\"pitr facts rebuild\" makes facts again from the WAL");
}

void Findings::add(const ObjectKey& key, FindingKind kind, const Error& problem) {
  const std::lock_guard lock(mutex_);
  if (kind == FindingKind::kUnchecked) {
    unchecked_.insert(key.text());
    if (++unchecked_findings_ > kMostUncheckedFindings) return;
  }
  findings_.try_emplace(
      key.text(),
      VerifyFinding{incarnation_, kind, key.text(), with_advice(problem, key.text()), {}, {}});
}

void Findings::add(const ObjectKey& key, const Error& problem) {
  if (problem.kind() == ErrorKind::kCorrupt || problem.kind() == ErrorKind::kConflict) {
    checked();
    return add(key, FindingKind::kDamaged, problem);
  }
  if (problem.kind() == ErrorKind::kNotFound) {
    const std::lock_guard lock(mutex_);
    vanished_.insert(key.text());
    return;
  }
  if (problem.kind() == ErrorKind::kCancelled) return skipped(key);
  {
    const std::lock_guard lock(mutex_);
    ++failures_in_a_row_;
  }
  add(key, FindingKind::kUnchecked, problem);
}

void Findings::add_missing(const ObjectKey& key, const Error& problem) {
  add(key, FindingKind::kMissing, problem);
}

void Findings::checked() {
  const std::lock_guard lock(mutex_);
  ++checked_;
  failures_in_a_row_ = 0;
}

void Findings::skipped(const ObjectKey& key) {
  const std::lock_guard lock(mutex_);
  unchecked_.insert(key.text());
}

bool Findings::storage_is_away() const {
  const std::lock_guard lock(mutex_);
  return failures_in_a_row_ >= kMostFailuresInARow;
}

bool Findings::has(const ObjectKey& key) const {
  const std::lock_guard lock(mutex_);
  return findings_.contains(key.text()) || unchecked_.contains(key.text());
}

bool Findings::is_damaged(const ObjectKey& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = findings_.find(key.text());
  return found != findings_.end() && found->second.kind != FindingKind::kUnchecked;
}

bool Findings::has_vanished(const ObjectKey& key) const {
  const std::lock_guard lock(mutex_);
  return vanished_.contains(key.text());
}

}  // namespace pitr
