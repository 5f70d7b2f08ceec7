// Decides when WAL has stalled, when it goes on, and that some is lost: from what the receiver says
// of itself every few seconds, and from errors before there is one. Short troubles are no news.
// Not thread-safe.
#pragma once

#include <optional>
#include <vector>

#include "common/error.h"
#include "notify/event.h"
#include "walreceiver/wal_receiver.h"

namespace pitr {

class StreamWatch {
 public:
  static constexpr Milliseconds kPatience{60'000};
  explicit StreamWatch(Milliseconds patience = kPatience) : patience_(patience) {}

  // What there is to tell, without time and cluster. WAL goes on as long as the receiver streams
  // and its durable position moves, or is where the server's is.
  std::vector<Event> look(const WalReceiverStatus& status, SteadyTime now);
  // There is no receiver yet, and that's why.
  std::vector<Event> look(const Error& trouble, SteadyTime now);
  // Another receiver, which counts from the beginning.
  void begin_receiver();

 private:
  std::vector<Event> note_trouble(const std::string& reason, const std::string& fix,
                                  SteadyTime now);
  std::optional<Event> note_progress(SteadyTime now);

  const Milliseconds patience_;
  std::optional<SteadyTime> since_;  // of the trouble
  bool is_told_ = false;
  std::uint64_t seen_gaps_ = 0;
  Lsn last_durable_;
};

}  // namespace pitr
