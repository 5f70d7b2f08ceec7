// An event as an e-mail: headers that nobody can inject into, and a body in plain text. Pure.
#pragma once

#include <string>
#include <vector>

#include "notify/outbox.h"

namespace pitr {

// RFC 5322, with CRLF. host: of this machine.
std::string mail_text(const Delivery& delivery, const std::string& from,
                      const std::vector<std::string>& to, const std::string& host, Timestamp now);
// What a header may hold: control characters become spaces, and what isn't ASCII is encoded
// (RFC 2047), in lines that are short enough.
std::string encoded_header(const std::string& text);

}  // namespace pitr
