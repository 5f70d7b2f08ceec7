#include "notify/event_log.h"

namespace pitr {

void EventLog::add_listener(EventListener& listener) {
  std::lock_guard lock(mutex_);
  listeners_.push_back(&listener);
}

void EventLog::remove_listener(EventListener& listener) {
  std::lock_guard lock(mutex_);
  std::erase(listeners_, &listener);
}

void EventLog::publish(Event event) {
  std::lock_guard lock(mutex_);
  event.number = ++last_number_;
  for (auto* listener : listeners_) listener->on_event(event);
  events_.push_back(std::move(event));
  if (events_.size() > capacity_) events_.pop_front();
}

std::vector<Event> EventLog::since(std::uint64_t after, std::size_t limit) const {
  std::lock_guard lock(mutex_);
  std::vector<Event> found;
  for (const auto& event : events_) {
    if (event.number <= after) continue;
    if (found.size() == limit) break;
    found.push_back(event);
  }
  return found;
}

std::uint64_t EventLog::last_number() const {
  std::lock_guard lock(mutex_);
  return last_number_;
}

}  // namespace pitr
