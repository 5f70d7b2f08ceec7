// One HTTP/1.1 request over a Unix socket, for the programs that link libc only: PostgreSQL starts
// them for every WAL segment, so that starting must cost nothing. Everything is bounded: the time
// in all, the header, the part of the body that is kept.
//
// The outcome tells "nothing was asked" from "it may have been done". Use from one thread.
#pragma once

#include <string_view>

#include "programs/small/fixed_text.h"

namespace pitr {

enum class Outcome {
  kAnswered,  // a whole answer; look at the status
  kNobody,    // no connection came about: nothing was asked
  kLost,      // the answer didn't come in time, or not whole, or isn't HTTP
};

struct HttpAnswer {
  Outcome outcome = Outcome::kLost;
  int status = 0;
  bool expected_absence = false;  // kNobody: no socket or no listener, the usual ways to be away
  bool peer_is_gone = false;      // kLost: the connection ended, as when its process was killed
  FixedText<8192> header;         // the lines after the status line
  FixedText<2048> body;           // its beginning, as a message for people
  FixedText<256> trouble;         // kNobody, kLost: why

  // Without blanks around it; "" where there is none.
  std::string_view header_value(std::string_view lower_case_name) const;
};

// `target` is percent-encoded already.
void ask(const char* socket_path, std::string_view method, std::string_view target, int timeout_s,
         HttpAnswer& answer);

}  // namespace pitr
