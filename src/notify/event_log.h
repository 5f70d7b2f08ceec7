// The agent's latest events, numbered, and the way to those who are told of each. Bounded: the
// oldest go first. Thread-safe; publishing never waits for anybody outside this process.
#pragma once

#include <cstddef>
#include <deque>
#include <mutex>
#include <vector>

#include "notify/event.h"

namespace pitr {

// Told of events, in their order. Called with the log locked: it must return at once, and not ask
// the log.
class EventListener {
 public:
  virtual ~EventListener() = default;
  virtual void on_event(const Event& event) = 0;
};

// What publishes events needs no more than this.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void publish(Event event) = 0;
};

class EventLog final : public EventSink {
 public:
  static constexpr std::size_t kCapacity = 1000;
  explicit EventLog(std::size_t capacity = kCapacity) : capacity_(capacity) {}

  // From now on; `listener` stays until it is removed.
  void add_listener(EventListener& listener);
  void remove_listener(EventListener& listener);

  void publish(Event event) override;
  // At most `limit` of those with a number above `after`, the oldest first.
  std::vector<Event> since(std::uint64_t after, std::size_t limit) const;
  std::uint64_t last_number() const;

 private:
  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::deque<Event> events_;
  std::uint64_t last_number_ = 0;
  std::vector<EventListener*> listeners_;
};

}  // namespace pitr
