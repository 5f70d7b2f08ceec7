#include "storage/memory/faults.h"

namespace pitr {

void Gate::wait_until_reached(std::uint64_t calls) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return arrived_ >= calls; });
}

void Gate::open() {
  const std::lock_guard lock(mutex_);
  open_ = true;
  changed_.notify_all();
}

void Gate::pass(const std::atomic<std::uint64_t>& power_count, std::uint64_t count_at_start) {
  std::unique_lock lock(mutex_);
  ++arrived_;
  changed_.notify_all();
  changed_.wait(lock, [&] { return open_ || power_count != count_at_start; });
}

void Gate::wake() {
  const std::lock_guard lock(mutex_);
  changed_.notify_all();
}

void FaultPlan::add(Fault fault) {
  const std::lock_guard lock(mutex_);
  if (fault.gate) gates_.push_back(fault.gate);
  faults_.push_back({.fault = std::move(fault)});
}

void FaultPlan::clear() {
  const std::lock_guard lock(mutex_);
  faults_.clear();
}

std::uint64_t FaultPlan::hits() const {
  const std::lock_guard lock(mutex_);
  return hits_;
}

std::optional<Fault> FaultPlan::next(StorageCall call, std::string_view key) {
  const std::lock_guard lock(mutex_);
  for (auto& planned : faults_) {
    const Fault& fault = planned.fault;
    if (!fault.calls.empty() && !fault.calls.contains(call)) continue;
    if (key.find(fault.key_contains) == std::string_view::npos) continue;
    if (++planned.calls <= fault.skip || planned.hits >= fault.times) continue;
    if (fault.probability < 1 && !std::bernoulli_distribution(fault.probability)(random_)) continue;
    ++planned.hits;
    ++hits_;
    return fault;
  }
  return std::nullopt;
}

void FaultPlan::wake_gates() {
  std::vector<std::shared_ptr<Gate>> gates;
  {
    const std::lock_guard lock(mutex_);
    gates = gates_;
  }
  for (const auto& gate : gates) gate->wake();
}

}  // namespace pitr
