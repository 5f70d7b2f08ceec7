// What one destination is still to be told, in order: filtered, bounded, with repeated troubles
// collapsed into one message, tried again until it is given up. No thread and no clock of its own:
// the caller says what time it is. Not thread-safe.
//
// Collapse: of warnings and critical events with the same type, cluster and subject, the first is
// told at once, and those that follow within the time are counted; when it ends, one message tells
// the last of them and how many they were. What ends the trouble (wal_resumed, backup_created, …)
// comes at once, after that message, and ends the time, so that the next failure is told at once.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <tuple>

#include "common/retry.h"
#include "notify/destination.h"

namespace pitr {

struct Delivery {
  Event event;
  std::string id;  // the same in every attempt
  unsigned attempt = 1;
};

// The first attempt, with a new id.
Delivery new_delivery(Event event);

struct NotificationCounts {
  std::uint64_t sent = 0;
  std::uint64_t failed = 0;     // given up
  std::uint64_t dropped = 0;    // the queue was full, or the program ended
  std::uint64_t collapsed = 0;  // told in a message with others
  std::uint64_t pending = 0;
};

class Outbox {
 public:
  static constexpr std::size_t kCapacity = 200;
  static constexpr RetryPolicy kRetry{Milliseconds(1'000), Milliseconds(300'000), 0};

  explicit Outbox(const Destination& destination, std::size_t capacity = kCapacity,
                  RetryPolicy retry = kRetry);

  // False: the oldest message had to go for it.
  bool add(const Event& event, SteadyTime now);
  // The message to try now; it stays until sent() or failed() tells what became of it.
  std::optional<Delivery> take(SteadyTime now);
  // When take() may have one; none: when something is added.
  std::optional<SteadyTime> next_time() const;
  void sent();
  // False: the message is given up.
  bool failed(const Error& error, SteadyTime now);

  // Goes on with what another one has not told.
  void take_over(Outbox& other);
  // Nothing is told any more; returns how many messages that concerns.
  std::size_t drop_all();
  bool empty() const { return messages_.empty(); }
  NotificationCounts counts() const;

 private:
  using Key = std::tuple<EventType, std::string, std::string>;  // cluster, subject
  struct Repeated {
    SteadyTime until;
    Timestamp first;
    std::uint64_t count = 0;
    Event last;
  };
  struct Message {
    Delivery delivery;
    SteadyTime added;
  };
  bool push(Event event, SteadyTime now);
  bool push_summary(Repeated& repeated, SteadyTime now);
  void end_troubles(const Event& event, SteadyTime now);
  void end_times(SteadyTime now);

  const EventFilter filter_;
  const Milliseconds collapse_;
  const Milliseconds give_up_;
  const std::size_t capacity_;
  std::deque<Message> messages_;
  bool is_trying_ = false;  // the first one
  Backoff backoff_;
  SteadyTime not_before_{};
  std::map<Key, Repeated> repeated_;
  NotificationCounts counts_;
};

}  // namespace pitr
