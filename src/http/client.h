// The control protocol's client over a Unix socket; one connection a request. Thread-safe.
//
// Errors tell whether anybody was there, so that callers can fall back to doing the work alone:
//   kNotFound   no socket, or nobody listens on it: nothing was asked
//   kDenied     the socket may not be opened
//   kTransient  somebody listens, but the answer did not come, or not whole: it may have been done
//   kCorrupt    the answer is not HTTP or beyond the limits
//   kCancelled  the stop token asked
// A response outside 2xx is not an error here: see Response::error().
#pragma once

#include <functional>
#include <stop_token>
#include <string_view>

#include "common/clock.h"
#include "common/file.h"
#include "common/result.h"
#include "http/message.h"

namespace pitr::http {

struct ClientOptions {
  // The longest silence of the server: while connecting, and between two pieces of an answer.
  Milliseconds timeout{30'000};
  std::size_t body_limit_bytes = 64 * 1024 * 1024;  // not of a stream (chunked) in for_each_line()
  std::size_t line_limit_bytes = 1024 * 1024;       // for_each_line() only
};

class Client {
 public:
  explicit Client(Path socket_path, ClientOptions options = {});

  Result<Response> send(const Request& request, std::stop_token stop = {}) const;

  // For NDJSON: calls on_line for every line of a 2xx body as it comes, without its newline. The
  // returned response has no body then. An error of on_line ends the exchange and is returned.
  Result<Response> for_each_line(const Request& request,
                                 const std::function<Result<void>(std::string_view line)>& on_line,
                                 std::stop_token stop = {}) const;

 private:
  Path socket_path_;
  ClientOptions options_;
};

}  // namespace pitr::http
