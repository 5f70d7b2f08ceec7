#include "schedule/due.h"

#include <algorithm>

namespace pitr {

static constexpr Milliseconds kFirstRetry = std::chrono::minutes(1);
static constexpr Milliseconds kLongestRetry = std::chrono::minutes(30);
static constexpr unsigned kMostDoublings = 10;

Milliseconds jitter_offset(Milliseconds most, std::string_view cluster, std::string_view job) {
  if (most.count() <= 0) return Milliseconds(0);
  // FNV-1a, and a multiplication, so that names that differ in the last letter lie far apart.
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    hash = (hash ^ 0xff) * 0x100000001b3;
  };
  add(cluster);
  add(job);
  hash = (hash ^ (hash >> 32)) * 0x9e3779b97f4a7c15;
  return Milliseconds((hash >> 16) % static_cast<std::uint64_t>(most.count()));
}

Milliseconds retry_delay(unsigned failures) {
  if (failures == 0) return Milliseconds(0);
  return std::min(kFirstRetry * (1u << std::min(failures - 1, kMostDoublings)), kLongestRetry);
}

static Timestamp due_by_schedule(const JobRules& rules, const JobMemory& memory, Timestamp now) {
  const auto last = std::max(memory.done, memory.concluded);  // none is less than any
  if (!last) return now;
  if (rules.schedule.interval()) return *rules.schedule.next_after(*last, rules.zone);
  return *rules.schedule.next_after(*last - rules.offset, rules.zone) + rules.offset;
}

std::optional<Timestamp> due_at(const JobRules& rules, const JobMemory& memory, Timestamp now) {
  if (rules.schedule.is_never()) return std::nullopt;
  Timestamp due = due_by_schedule(rules, memory, now);
  if (memory.failures > 0) due = std::max(due, memory.last_failure + retry_delay(memory.failures));
  if (rules.window) due = rules.window->next_open(std::max(due, now), rules.zone);
  return due;
}

void forget_future(JobMemory& memory, Timestamp now) {
  if (memory.done) memory.done = std::min(*memory.done, now);
  if (memory.concluded) memory.concluded = std::min(*memory.concluded, now);
  memory.last_failure = std::min(memory.last_failure, now);
}

}  // namespace pitr
