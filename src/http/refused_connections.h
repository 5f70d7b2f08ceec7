// Connections that are refused because too many are there: each gets an answer at once, and is
// closed only after its client had the time to read it. Closed earlier, with the request unread,
// the kernel would reset the connection, and the client could miss the answer.
//
// A client that speaks TLS sees the connection end instead: shaking hands is too much here.
//
// Never waits, and keeps a bounded number open. Not thread-safe.
#pragma once

#include <deque>

#include "common/clock.h"
#include "common/file.h"

namespace pitr::http {

class RefusedConnections {
 public:
  void add(UniqueFd connection);
  // Closes those that are done. Returns when to call it again, an hour off where there are none.
  SteadyTime close_old();

 private:
  struct Refused {
    UniqueFd connection;
    SteadyTime close_at;
  };
  std::deque<Refused> refused_;
};

}  // namespace pitr::http
