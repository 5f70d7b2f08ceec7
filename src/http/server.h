// The control protocol's server: HTTP/1.1 on a Unix socket, a bounded number of connections with a
// thread each, keep-alive, and limits on everything that a client can send or delay.
//
// The socket file is replaced only where nobody answers on it; start() gives kConflict otherwise.
// The file is there, with its mode and group, once start() returns, and is removed by stop().
// stop() and the destructor end promptly: waiting connections are closed, handlers see
// request.stop, and a response being written has a second left. Thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "common/clock.h"
#include "common/file.h"
#include "common/result.h"
#include "http/router.h"

namespace pitr::http {

struct ServerLimits {
  unsigned connections = 32;  // more wait in the listen queue
  std::size_t header_bytes = 16 * 1024;
  std::size_t body_bytes = 1024 * 1024;
  Milliseconds idle_timeout{60'000};     // between two requests
  Milliseconds request_timeout{10'000};  // from a request's first byte to its last
  Milliseconds write_timeout{10'000};    // for each write that makes no progress
};

struct ServerOptions {
  Path socket_path;
  unsigned mode = 0600;
  std::optional<std::string> group;  // where set, mode is usually 0660
  ServerLimits limits;
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> start(ServerOptions options, Router router);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void stop();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pitr::http
