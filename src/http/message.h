// Requests and responses of the control protocol (HTTP/1.1), as values, for server and client.
//
// Errors travel as plain text so that programs without a JSON parser can show them: the kind stands
// in the header X-Pitr-Error, the body is the message, and a hint follows in X-Pitr-Hint.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "common/error.h"
#include "common/result.h"

namespace pitr::http {

using Headers = std::map<std::string, std::string, std::less<>>;  // names in lower case
using Query = std::map<std::string, std::string, std::less<>>;

struct Request {
  std::string method = "GET";
  std::vector<std::string> segments;  // the path, split at '/' and percent-decoded
  Query query;                        // percent-decoded; the last of repeated names counts
  Headers headers;
  std::string body;

  // Set by the server only: what the router's pattern named, and the server's stop.
  std::map<std::string, std::string, std::less<>> parameters;
  std::stop_token stop;
  std::optional<uid_t> peer_user;  // who asks, over a Unix socket
  std::string peer_address;        // over TCP: numeric, without the port

  // A request for "/v1/clusters/main/wal?path=..." as it stands on the request line. kInvalid where
  // the target is malformed.
  static Result<Request> create(std::string_view method, std::string_view target,
                                std::string body = "");

  std::string target() const;  // percent-encoded path and query
  // A parameter, query value or header, empty where there is none.
  std::string parameter(std::string_view name) const;
  std::string query_value(std::string_view name) const;
  std::string header(std::string_view lower_case_name) const;
};

// The body of a response that is written while it is produced (chunked), for example progress as
// NDJSON. Used by the handler's thread only.
class ResponseStream {
 public:
  virtual ~ResponseStream() = default;
  // Sends a chunk at once. kCancelled once the client went away or the server stops; a client that
  // doesn't read for the server's write time-out counts as gone.
  virtual Result<void> write(std::string_view chunk) = 0;
  // Whether a write would fail, without writing.
  virtual bool client_gone() = 0;
};

struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  Headers headers;
  std::string body;
  // Where set, produces the body instead. Runs on the connection's thread after the header was
  // sent; an error cuts the connection, so that the client cannot take the body for whole.
  std::function<Result<void>(ResponseStream&)> stream;

  static Response json(std::string body, int status = 200);
  static Response ndjson(std::function<Result<void>(ResponseStream&)> stream);
  static Response of(const Error& error);

  bool ok() const { return status >= 200 && status < 300; }
  // The Error that a response outside 2xx stands for, whoever made it.
  Error error() const;
};

// 400 invalid, 403 denied, 404 not found, 409 conflict, 503 transient and cancelled, else 500.
int status_of(ErrorKind kind);

// kInternal where there is none of that name.
ErrorKind parse_error_kind(std::string_view name);

std::string percent_encode(std::string_view text);  // all but RFC 3986's unreserved characters
Result<std::string> percent_decode(std::string_view text);

}  // namespace pitr::http
