#include "agent/events/stream_watch.h"

#include <fmt/format.h>

#include "common/readable.h"

namespace pitr {

static std::string text_of(SteadyTime::duration duration) {
  return format_duration(std::chrono::duration<double>(duration).count());
}

static std::string reason_of(const WalReceiverStatus& status) {
  if (status.state == WalReceiverState::kStreaming) {
    return fmt::format("nothing becomes durable behind {}, and the server is at {}",
                       to_string(status.durable_lsn), to_string(status.server_lsn));
  }
  if (!status.last_error.empty()) return status.last_error;
  return fmt::format("the receiver is {}", to_string(status.state));
}

static Event gap_event(const WalReceiverStatus& status) {
  Event event;
  event.type = EventType::kGapDetected;
  event.message = "WAL is missing for ever, " + status.last_gap;
  event.details = {{"gap", status.last_gap},
                   {"subject", status.last_gap},
                   {"fix", "take a base backup now: no restore can cross the gap"}};
  return event;
}

void StreamWatch::begin_receiver() {
  seen_gaps_ = 0;
  last_durable_ = Lsn();
}

std::vector<Event> StreamWatch::note_trouble(const std::string& reason, const std::string& fix,
                                             SteadyTime now) {
  if (!since_) since_ = now;
  if (is_told_ || now - *since_ < patience_) return {};
  is_told_ = true;
  Event event;
  event.type = EventType::kWalStalled;
  event.message = fmt::format("no WAL was stored for {}: {}", text_of(now - *since_), reason);
  event.details = {{"reason", reason}, {"fix", fix}};
  return {std::move(event)};
}

std::optional<Event> StreamWatch::note_progress(SteadyTime now) {
  const auto since = std::exchange(since_, std::nullopt);
  if (!std::exchange(is_told_, false)) return std::nullopt;
  Event event;
  event.type = EventType::kWalResumed;
  event.message = fmt::format("WAL is stored again, after {}", text_of(now - *since));
  return event;
}

std::vector<Event> StreamWatch::look(const WalReceiverStatus& status, SteadyTime now) {
  std::vector<Event> events;
  if (status.gaps > seen_gaps_) events.push_back(gap_event(status));
  seen_gaps_ = status.gaps;
  const bool moves = status.durable_lsn >= status.server_lsn || status.durable_lsn > last_durable_;
  last_durable_ = status.durable_lsn;
  if (status.state == WalReceiverState::kStreaming && moves) {
    if (auto resumed = note_progress(now)) events.push_back(std::move(*resumed));
    return events;
  }
  auto stalled = note_trouble(reason_of(status),
                              "pitr check says what is wrong; the server keeps the WAL as long as "
                              "its slot and its disk allow",
                              now);
  for (auto& event : stalled) events.push_back(std::move(event));
  return events;
}

std::vector<Event> StreamWatch::look(const Error& trouble, SteadyTime now) {
  return note_trouble(trouble.message(),
                      trouble.hint().empty() ? "pitr check says what is wrong" : trouble.hint(),
                      now);
}

}  // namespace pitr
