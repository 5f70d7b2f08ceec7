// The control protocol's server: HTTP/1.1 on a Unix socket or over TCP, a bounded number of
// connections with a thread each, keep-alive, and limits on everything that a client can send or
// delay. TLS over TCP where a TlsContext is given; who asks is for the router to find out
// (api_gate.h in agent/).
//
// A Unix socket's file is replaced only where nobody answers on it; start() gives kConflict
// otherwise. The file is there, with its mode and group, once start() returns, and is removed by
// stop(). stop() and the destructor end promptly: waiting connections are closed, handlers see
// request.stop, and a response being written has a second left. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/clock.h"
#include "common/file.h"
#include "common/result.h"
#include "http/router.h"
#include "http/tls_context.h"

namespace pitr::http {

struct ServerLimits {
  unsigned connections = 32;
  // What comes when so many are busy waits in the kernel's queue; or, where this is set, so many
  // wait here, and more are refused at once with 503.
  std::optional<unsigned> waiting;
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

struct TcpServerOptions {
  std::string address = "127.0.0.1";           // numeric, IPv4 or IPv6
  std::uint16_t port = 0;                      // 0: any that is free
  std::shared_ptr<const TlsContext> tls = {};  // null: plain text
  ServerLimits limits{.connections = 8,
                      .waiting = 64,
                      .idle_timeout = Milliseconds(90'000),
                      .request_timeout = Milliseconds(5'000)};
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> start(ServerOptions options, Router router);
  // kConflict where another process listens there.
  static Result<std::unique_ptr<Server>> start(TcpServerOptions options, Router router);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void stop();
  // For connections that come from now on; only where it was started with TLS.
  void set_tls(std::shared_ptr<const TlsContext> tls);
  std::uint16_t port() const { return port_; }  // TCP only

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
  std::uint16_t port_ = 0;
};

}  // namespace pitr::http
