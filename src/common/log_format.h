// How the log's lines look: text for people, or a JSON object a line for programs that collect
// them:
//   {"time":"2026-03-01T09:15:00.123+00:00","level":"info","cluster":"main","message":"..."}
// "cluster" is there where a message begins with "cluster NAME: ", which the message then lacks.
// Thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace pitr::log {

enum class Format { kText, kJson };

void set_format(Format format);

// A JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD.
std::string json_string(std::string_view text);

}  // namespace pitr::log
