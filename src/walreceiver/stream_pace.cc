#include "walreceiver/stream_pace.h"

#include <fmt/format.h>

namespace pitr {

// How often the result of a look is looked for, and for how long.
static constexpr Milliseconds kLookPause{20};
static constexpr Milliseconds kLookPatience{1'000};

// Without WAL for so long, a server is idle.
static constexpr Seconds kIdleAfter{60};

StreamPace::StreamPace(const Limits& limits, SteadyTime now)
    : limits_(limits), last_wal_(now), last_heard_(now), last_look_(now - limits.look_interval) {}

// Each look costs a query, a new object and the old one's removal, and fifty idle clusters do
// nothing else.
Milliseconds StreamPace::look_interval(SteadyTime now) const {
  return now - last_wal_ >= kIdleAfter ? limits_.look_interval * 2 : limits_.look_interval;
}

Milliseconds StreamPace::longest_pause(SteadyTime now, bool is_looking) const {
  if (is_looking && now - last_look_ < kLookPatience) return kLookPause;
  return look_interval(now);
}

bool StreamPace::is_time_to_look(SteadyTime now) const {
  return now - last_look_ >= look_interval(now);
}

bool StreamPace::is_time_to_ask(SteadyTime now) const {
  return now - last_heard_ >= limits_.silence_timeout / 4;
}

Result<void> StreamPace::check_silence(SteadyTime now) const {
  const auto silence = now - last_heard_;
  if (silence <= limits_.silence_timeout) return {};
  return Error::transient(fmt::format("the server has said nothing for {} s, though it was asked",
                                      std::chrono::duration_cast<Seconds>(silence).count()));
}

}  // namespace pitr
