// A bounded queue between threads, which ends in one of two ways: closed (what is in it is still
// delivered, then the reader sees the end) or aborted with an error (nothing more is delivered and
// both sides see the error). Thread-safe. Blocked calls also return when the stop token asks.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>

#include "common/result.h"

namespace pitr {

template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t capacity) : capacity_(capacity) {}

  // Blocks while full. Fails with the abort's error, or cancelled after close() or a stop.
  Result<void> push(T item, std::stop_token stop = {}) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [&] { return items_.size() < capacity_ || closed_ || aborted_; });
    if (aborted_) return *aborted_;
    if (closed_ || stop.stop_requested()) return Error::cancelled("the queue was closed");
    items_.push_back(std::move(item));
    changed_.notify_all();
    return {};
  }

  // As push(), without waiting: false where it's full or has ended; `item` is left alone then.
  bool try_push(T& item) {
    std::unique_lock lock(mutex_);
    if (aborted_ || closed_ || items_.size() >= capacity_) return false;
    items_.push_back(std::move(item));
    changed_.notify_all();
    return true;
  }

  // Blocks while empty. nullopt is the end of a closed queue.
  Result<std::optional<T>> pop(std::stop_token stop = {}) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [&] { return !items_.empty() || closed_ || aborted_; });
    if (aborted_) return *aborted_;
    if (items_.empty()) {
      if (closed_) return std::optional<T>();
      return Error::cancelled("stopped");
    }
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    changed_.notify_all();
    return item;
  }

  // As pop(), without waiting: nullopt where nothing is there now.
  std::optional<T> try_pop() {
    std::unique_lock lock(mutex_);
    if (items_.empty() || aborted_) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    changed_.notify_all();
    return item;
  }

  void close() {
    std::unique_lock lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

  void abort(Error error) {
    std::unique_lock lock(mutex_);
    if (!aborted_) aborted_ = std::move(error);
    items_.clear();
    changed_.notify_all();
  }

 private:
  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<T> items_;
  bool closed_ = false;
  std::optional<Error> aborted_;
};

}  // namespace pitr
