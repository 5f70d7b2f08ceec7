#include "restore/recovery/prefetcher.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "common/log.h"

namespace pitr {

namespace {
constexpr std::uint64_t kLongestWindow = 256;
constexpr unsigned kMostThreads = 8;

// A prefetcher keeps its files in a folder named by its process, and removes only that: the one of
// an earlier restore into the same directory may still be ending. What a killed one left is removed
// by the next.
void remove_abandoned(const Path& spool_directory) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(spool_directory, ignored)) {
    const auto name = entry.path().filename().string();
    const auto pid = static_cast<pid_t>(std::strtol(name.c_str(), nullptr, 10));
    const bool is_alive = pid > 0 && pid != ::getpid() && (::kill(pid, 0) == 0 || errno == EPERM);
    if (!is_alive) std::filesystem::remove_all(entry.path(), ignored);
  }
}
}  // namespace

Result<std::unique_ptr<Prefetcher>> Prefetcher::start(const WalSupply& supply,
                                                      PrefetcherOptions options) {
  TRY(create_directories_durably(options.spool_directory));
  TRY(give_to(options.spool_directory, options.owner));
  remove_abandoned(options.spool_directory);
  options.spool_directory /= std::to_string(::getpid());
  TRY(create_directories_durably(options.spool_directory));
  TRY(give_to(options.spool_directory, options.owner));
  const auto threads = std::clamp(options.threads, 1u, kMostThreads);
  std::unique_ptr<Prefetcher> prefetcher(new Prefetcher(supply, std::move(options)));
  for (unsigned i = 0; i < threads; ++i) {
    prefetcher->threads_.emplace_back(
        [p = prefetcher.get()](std::stop_token stop) { p->run(stop); });
  }
  return prefetcher;
}

Prefetcher::Prefetcher(const WalSupply& supply, PrefetcherOptions options)
    : supply_(supply),
      options_(std::move(options)),
      segment_size_(
          SegmentSize::from_bytes(supply.plan().segment_size_bytes).value_or(SegmentSize())),
      window_(std::clamp<std::uint64_t>(options_.spool_limit_bytes / segment_size_.bytes(), 1,
                                        kLongestWindow)),
      last_request_(std::chrono::steady_clock::now()) {
  // Recovery begins with the first segment: it may be fetched before anybody asks.
  const auto first = supply.plan().segments.front().first;
  if (first > 0) current_ = first - 1;
}

Prefetcher::~Prefetcher() {
  for (auto& thread : threads_) thread.request_stop();
  threads_.clear();
  std::error_code ignored;
  std::filesystem::remove_all(options_.spool_directory, ignored);
  std::filesystem::remove(options_.spool_directory.parent_path(), ignored);  // if it is empty
}

Path Prefetcher::spool_path(SegmentId segment) const {
  return options_.spool_directory / segment_file_name(segment, segment_size_);
}

SteadyTime Prefetcher::last_request() const {
  std::lock_guard lock(mutex_);
  return last_request_;
}

// With mutex_ held.
std::optional<SegmentId> Prefetcher::next_to_fetch() {
  if (!current_) return std::nullopt;
  for (std::uint64_t number = *current_ + 1; number <= *current_ + window_; ++number) {
    const auto segment = supply_.planned(number);
    if (!segment.has_value() || !*segment) return std::nullopt;
    const auto failed = failed_for_.find(**segment);
    if (failed != failed_for_.end() && failed->second == *current_) continue;
    if (!slots_.contains(**segment)) return *segment;
  }
  return std::nullopt;
}

void Prefetcher::run(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    std::optional<SegmentId> segment;
    changed_.wait(lock, stop, [&] { return (segment = next_to_fetch()).has_value(); });
    if (stop.stop_requested()) return;
    slots_[*segment] = SlotState::kFetching;
    lock.unlock();
    fetch(*segment);
    lock.lock();
    changed_.notify_all();
  }
}

void Prefetcher::fetch(SegmentId segment) {
  const auto name = segment_file_name(segment, segment_size_);
  auto bytes = supply_.get(name);
  Result<void> placed;
  if (bytes.has_value() && *bytes) {
    placed = place_file(spool_path(segment), **bytes, options_.owner);
  }
  std::lock_guard lock(mutex_);
  if (bytes.has_value() && *bytes && placed.has_value()) {
    slots_[segment] = SlotState::kReady;
    return;
  }
  slots_.erase(segment);
  if (current_) failed_for_[segment] = *current_;
  const auto* error = !bytes.has_value()    ? &bytes.error()
                      : !placed.has_value() ? &placed.error()
                                            : nullptr;
  if (error) log::warning("fetching {} ahead: {}", name, error->message());
}

// With mutex_ held: forgets what recovery has passed. The threads are to be told.
void Prefetcher::move_window(std::uint64_t number) {
  last_request_ = std::chrono::steady_clock::now();
  current_ = number;
  for (auto slot = slots_.begin(); slot != slots_.end();) {
    const auto at = slot->first.number;
    const bool is_passed = at < number || at > number + window_;
    if (is_passed && slot->second == SlotState::kReady) {
      std::error_code ignored;
      std::filesystem::remove(spool_path(slot->first), ignored);
      slot = slots_.erase(slot);
    } else {
      ++slot;
    }
  }
  std::erase_if(failed_for_, [&](const auto& failed) { return failed.second != number; });
}

// Waits for a segment that is being fetched. False: it isn't in the spool. From here on the file is
// the caller's.
bool Prefetcher::claim(SegmentId segment) {
  std::unique_lock lock(mutex_);
  move_window(segment.number);
  const auto slot = slots_.find(segment);
  if (slot == slots_.end() || slot->second != SlotState::kReady) changed_.notify_all();
  changed_.wait(lock, [&] {
    const auto now = slots_.find(segment);
    return now == slots_.end() || now->second == SlotState::kReady;
  });
  return slots_.erase(segment) > 0;
}

Result<bool> Prefetcher::take_from_spool(SegmentId segment, const Path& to) {
  if (!claim(segment)) return false;
  const auto moved = move_from_spool(segment, to);
  // Not before: recovery waits for this one, and has yet to replay it when it asks for the next.
  changed_.notify_all();
  TRY(moved);
  return true;
}

Result<void> Prefetcher::move_from_spool(SegmentId segment, const Path& to) const {
  const auto from = spool_path(segment);
  if (::rename(from.c_str(), to.c_str()) == 0) return {};
  const int failure = errno;
  if (failure != EXDEV) return Error::from_errno(failure, "renaming to " + to.string());
  const auto bytes = TRY(read_file(from));
  TRY(place_file(to, bytes, options_.owner));
  std::error_code ignored;
  std::filesystem::remove(from, ignored);
  return {};
}

Result<Delivery> Prefetcher::deliver(const std::string& file_name, const Path& to) {
  const auto kind = TRY(classify_wal_file(file_name));
  if (kind == WalFileKind::kSegment) {
    const auto segment = TRY(parse_segment_file_name(file_name, segment_size_));
    const auto planned = TRY(supply_.planned(segment.number));
    if (planned == segment) {
      const bool taken = TRY(take_from_spool(segment, to));
      if (taken) return Delivery::kDelivered;
    }
  } else {
    std::lock_guard lock(mutex_);
    last_request_ = std::chrono::steady_clock::now();
  }
  const auto bytes = TRY(supply_.get(file_name));
  if (!bytes) return Delivery::kAbsent;
  TRY(place_file(to, *bytes, options_.owner));
  return Delivery::kDelivered;
}

}  // namespace pitr
