// HTTP/1.1 on a ByteStream: reading and writing requests and responses. Parsing is Beast's, whose
// headers stay in wire.cc; what is beyond the limits is refused before it is kept. Used by one
// thread at a time.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "http/byte_stream.h"
#include "http/message.h"

namespace pitr::http {

// One of three: a request; a refusal to be sent before closing; nothing (the connection ended).
struct IncomingRequest {
  std::optional<Request> request;
  bool keep_alive = false;
  bool chunked_allowed = true;  // not in HTTP/1.0
  std::optional<Response> refusal;
};

struct RequestLimits {
  std::size_t header_bytes;
  std::size_t body_bytes;
  SteadyTime first_byte_deadline;
  Milliseconds request_timeout;  // from the first byte to the last
  Milliseconds write_timeout;
};

struct ResponseLimits {
  std::size_t body_bytes;  // not of a chunked body that on_body takes
  Milliseconds silence_timeout;
};

// Takes a part of the body of a 2xx response as it comes.
using OnBody = std::function<Result<void>(std::string_view part)>;

class Wire {
 public:
  explicit Wire(ByteStream& stream) : stream_(stream) {}

  IncomingRequest read_request(const RequestLimits& limits);
  // The header, with `length` of the body to come, or chunked, or until the connection closes.
  Result<void> write_response(const Response& response, bool keep_alive, Milliseconds timeout);
  Result<void> write_stream_header(const Response& response, bool chunked, bool keep_alive,
                                   Milliseconds timeout);
  Result<void> write_chunk(std::string_view chunk, Milliseconds timeout);  // "" ends the body

  Result<void> write_request(const Request& request, Milliseconds timeout);
  // Without on_body the body is in the response.
  Result<Response> read_response(const ResponseLimits& limits, const OnBody& on_body);

 private:
  Result<bool> fill(SteadyTime deadline);  // false at the end

  ByteStream& stream_;
  std::string received_;  // read, and not parsed yet
};

}  // namespace pitr::http
