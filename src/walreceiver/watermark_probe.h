// Asks the server how far its WAL has to be stored so that nothing is missing that was committed
// before a moment. Keepalives can't tell that: they carry what was sent, not what was written, so
// one that arrives while the stream is hours behind says "all is here" with the time of now.
//
// A connection and a thread of its own, so that a server that doesn't answer keeps nobody waiting;
// a connection that broke is opened again. Thread-safe.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/clock.h"
#include "postgres/connection.h"

namespace pitr {

// Everything committed before `time`, by the clock of the server that committed it, is in the WAL
// before `lsn`.
struct WatermarkSight {
  Lsn lsn;  // never within a page header, so that a server without load reaches it
  Timestamp time;
  // Of a primary. A standby has replayed that far, on whatever timeline it is, and knows of its
  // primary only what it has replayed.
  std::optional<TimelineId> timeline;
};

class WatermarkProbe {
 public:
  // Looks once for each call of look().
  WatermarkProbe(Connection connection, std::string conninfo, ConnectionOptions options,
                 SegmentSize segment_size);

  // Asks for a look. One that is under way counts.
  void look();
  bool is_looking() const;
  // What was seen last, once.
  std::optional<WatermarkSight> take();

 private:
  void run(std::stop_token stop);
  void look_once(std::stop_token stop);
  void note_failure(const Error& error);

  const std::string conninfo_;
  const ConnectionOptions options_;
  const SegmentSize segment_size_;
  std::optional<Connection> connection_;  // of the thread
  bool is_told_ = false;                  // of the thread: that it can't be asked
  mutable std::mutex mutex_;
  std::condition_variable_any asked_;
  bool is_looking_ = false;             // guarded
  std::optional<WatermarkSight> seen_;  // guarded
  std::jthread thread_;                 // last: it uses all of the above
};

// The same position, or the page's start where only the page's header lies before it: an LSN that
// is to be written next is behind a header that nobody writes before there is a record.
Lsn without_page_header(Lsn lsn, SegmentSize segment_size);

}  // namespace pitr
