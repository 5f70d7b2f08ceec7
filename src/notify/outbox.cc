#include "notify/outbox.h"

#include <fmt/format.h>

#include <random>

namespace pitr {

static std::string subject_of(const Event& event) {
  const auto found = event.details.find("subject");
  return found == event.details.end() ? std::string() : found->second;
}

Delivery new_delivery(Event event) {
  std::random_device random;
  return {std::move(event),
          fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random()), 1};
}

// The trouble that is over with `type`.
static std::vector<EventType> ended_by(EventType type) {
  switch (type) {
    case EventType::kBackupCreated:
      return {EventType::kBackupFailure};
    case EventType::kRestoreCompleted:
      return {EventType::kRestoreFailure};
    case EventType::kVerificationCompleted:
      return {EventType::kVerificationFailed};
    case EventType::kExpireCompleted:
      return {EventType::kExpireFailure};
    case EventType::kWalResumed:
      return {EventType::kWalStalled};
    case EventType::kCheckResolved:
      return {EventType::kCheckProblem, EventType::kStorageLow};
    default:
      return {};
  }
}

Outbox::Outbox(const Destination& destination, std::size_t capacity, RetryPolicy retry)
    : filter_(destination.filter),
      collapse_(destination.collapse),
      give_up_(destination.give_up),
      capacity_(capacity),
      backoff_(retry) {}

// ---- Collapsing
// ----------------------------------------------------------------------------------

bool Outbox::push_summary(Repeated& repeated, SteadyTime now) {
  const auto count = std::exchange(repeated.count, 0);
  if (count == 0) return true;
  auto event = repeated.last;
  event.message += fmt::format(" ({} more time{} since {})", count, count == 1 ? "" : "s",
                               to_string(repeated.first));
  event.details["repeated"] = std::to_string(count);
  event.details["since"] = to_string(repeated.first);
  return push(std::move(event), now);
}

void Outbox::end_troubles(const Event& event, SteadyTime now) {
  for (const auto type : ended_by(event.type)) {
    const auto subject =
        event.type == EventType::kCheckResolved ? subject_of(event) : std::string();
    const auto found = repeated_.find({type, event.cluster, subject});
    if (found == repeated_.end()) continue;
    push_summary(found->second, now);
    repeated_.erase(found);
  }
}

// A trouble that was repeated goes on: the next time begins. One that wasn't is forgotten.
void Outbox::end_times(SteadyTime now) {
  for (auto i = repeated_.begin(); i != repeated_.end();) {
    if (i->second.until > now) {
      ++i;
    } else if (i->second.count > 0) {
      push_summary(i->second, now);
      i->second.until = now + collapse_;
      i->second.first = i->second.last.time;
      ++i;
    } else {
      i = repeated_.erase(i);
    }
  }
}

bool Outbox::add(const Event& event, SteadyTime now) {
  end_times(now);
  end_troubles(event, now);
  if (!filter_.passes(event)) return true;
  if (severity_of(event.type) == EventSeverity::kInfo || collapse_.count() == 0) {
    return push(event, now);
  }
  const auto [found, is_new] =
      repeated_.try_emplace({event.type, event.cluster, subject_of(event)});
  auto& repeated = found->second;
  repeated.last = event;
  if (is_new) {
    repeated.until = now + collapse_;
    repeated.first = event.time;
    return push(event, now);
  }
  ++repeated.count;
  ++counts_.collapsed;
  return true;
}

// ---- The queue
// -----------------------------------------------------------------------------------

bool Outbox::push(Event event, SteadyTime now) {
  bool fits = true;
  if (messages_.size() >= capacity_) {
    // The one that is being tried is on its way; the one behind it is the oldest that can go.
    const std::size_t oldest = is_trying_ && messages_.size() > 1 ? 1 : 0;
    messages_.erase(messages_.begin() + static_cast<std::ptrdiff_t>(oldest));
    ++counts_.dropped;
    fits = false;
  }
  messages_.push_back({new_delivery(std::move(event)), now});
  return fits;
}

std::optional<Delivery> Outbox::take(SteadyTime now) {
  end_times(now);
  if (messages_.empty() || now < not_before_) return std::nullopt;
  is_trying_ = true;
  return messages_.front().delivery;
}

std::optional<SteadyTime> Outbox::next_time() const {
  std::optional<SteadyTime> next;
  if (!messages_.empty()) next = not_before_;
  for (const auto& [key, repeated] : repeated_) {
    if (!next || repeated.until < *next) next = repeated.until;
  }
  return next;
}

void Outbox::sent() {
  is_trying_ = false;
  messages_.pop_front();
  ++counts_.sent;
  backoff_.reset();
  not_before_ = SteadyTime();
}

bool Outbox::failed(const Error& error, SteadyTime now) {
  is_trying_ = false;
  auto& message = messages_.front();
  not_before_ = now + backoff_.next_delay();
  const bool is_refused = error.kind() == ErrorKind::kInvalid;
  // Refused is this message, not the next one.
  if (is_refused) not_before_ = SteadyTime();
  if (!is_refused && not_before_ - message.added < give_up_) {
    ++message.delivery.attempt;
    return true;
  }
  messages_.pop_front();
  ++counts_.failed;
  return false;
}

void Outbox::take_over(Outbox& other) {
  for (auto& message : other.messages_) messages_.push_back(std::move(message));
  other.messages_.clear();
  repeated_ = std::move(other.repeated_);
  counts_ = other.counts_;
}

std::size_t Outbox::drop_all() {
  const auto count = messages_.size();
  messages_.clear();
  counts_.dropped += count;
  return count;
}

NotificationCounts Outbox::counts() const {
  auto counts = counts_;
  counts.pending = messages_.size();
  return counts;
}

}  // namespace pitr
