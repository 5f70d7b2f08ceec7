// When a stream on which little happens is looked at: how long to wait for the server's next word,
// when to look for a new watermark, when to ask for a word, and when the server has been silent for
// too long. Pure: the caller gives the time. Not thread-safe.
#pragma once

#include "common/clock.h"
#include "common/result.h"

namespace pitr {

class StreamPace {
 public:
  struct Limits {
    Milliseconds look_interval;  // doubled while no WAL comes
    Milliseconds silence_timeout;
  };
  StreamPace(const Limits& limits, SteadyTime now);

  void note_wal(SteadyTime now) { last_wal_ = last_heard_ = now; }
  // Any message that is no WAL.
  void note_word(SteadyTime now) { last_heard_ = now; }
  void note_look(SteadyTime now) { last_look_ = now; }

  // `is_looking`: a look is under way. Mostly it ends within milliseconds.
  Milliseconds longest_pause(SteadyTime now, bool is_looking) const;
  bool is_time_to_look(SteadyTime now) const;
  // True after a quarter of the silence that would end the stream.
  bool is_time_to_ask(SteadyTime now) const;
  // kTransient for a server that is gone, which the kernel finds out much later.
  Result<void> check_silence(SteadyTime now) const;

 private:
  Milliseconds look_interval(SteadyTime now) const;

  Limits limits_;
  SteadyTime last_wal_;
  SteadyTime last_heard_;
  SteadyTime last_look_;
};

}  // namespace pitr
