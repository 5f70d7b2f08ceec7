#include "http/server.h"

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "common/bounded_queue.h"
#include "common/log.h"
#include "common/retry.h"
#include "http/connection.h"
#include "http/refused_connections.h"
#include "http/tcp_socket.h"
#include "http/tls_stream.h"
#include "http/unix_socket.h"

namespace pitr::http {

// One thread accepts, the others serve a connection each. An accepted connection for which no
// thread is free waits in the queue; what finds that full waits in the kernel's, or is refused.
class Server::Impl {
 public:
  Impl(const ServerLimits& limits, Router router, std::unique_ptr<Listener> listener, Wake wake,
       std::shared_ptr<const TlsContext> tls = {})
      : limits_(limits),
        router_(std::move(router)),
        wake_(std::move(wake)),
        listener_(std::move(listener)),
        accepted_(std::max(limits.waiting.value_or(1), 1u)),
        tls_(std::move(tls)) {}
  ~Impl() { stop(); }

  void start() {
    acceptor_ = std::jthread([this] { accept_connections(); });
    for (unsigned i = 0; i < std::max(limits_.connections, 1u); ++i) {
      workers_.emplace_back([this] { serve_connections(); });
    }
  }

  void stop() {
    std::lock_guard lock(stopping_);
    stop_.request_stop();
    wake_.set();
    if (acceptor_.joinable()) acceptor_.join();
    listener_.reset();  // from here on clients see that nobody listens
    workers_.clear();   // joins
  }

  void set_tls(std::shared_ptr<const TlsContext> tls) {
    std::lock_guard lock(tls_mutex_);
    tls_ = std::move(tls);
  }

 private:
  void accept_connections() {
    while (!stop_.stop_requested()) {
      auto accepted = listener_->accept(wake_, refused_.close_old());
      if (accepted) {
        if (!hand_over(std::move(*accepted))) return;
      } else if (accepted.error().kind() == ErrorKind::kTransient) {
        continue;  // time to look at the refused ones again
      } else if (accepted.error().kind() != ErrorKind::kCancelled) {
        log::warning("the server: {}", accepted.error().message());
        sleep_for(Milliseconds(200), stop_.get_token());  // out of descriptors, most likely
      }
    }
  }

  bool hand_over(UniqueFd connection) {
    if (!limits_.waiting) {
      return accepted_.push(std::move(connection), stop_.get_token()).has_value();
    }
    if (!accepted_.try_push(connection)) refused_.add(std::move(connection));
    return true;
  }

  void serve_connections() {
    for (;;) {
      auto accepted = accepted_.pop(stop_.get_token());
      if (!accepted || !*accepted) return;
      busy_.fetch_add(1);
      serve_guarded(std::move(**accepted));
      busy_.fetch_sub(1);
    }
  }

  // Whatever a client makes a library throw costs him his connection, and nobody else anything.
  void serve_guarded(UniqueFd connection) {
    try {
      serve(std::move(connection));
    } catch (const std::exception& exception) {
      log::error("a connection was dropped: {}", exception.what());
    }
  }

  void serve(UniqueFd connection) {
    auto stream = make_stream(std::move(connection), wake_);
    if (const auto tls = current_tls()) {
      auto secured = accept_tls(std::move(stream), tls,
                                std::chrono::steady_clock::now() + limits_.request_timeout);
      if (!secured) return log::debug("a client was not served: {}", secured.error().message());
      stream = std::move(*secured);
    }
    serve_connection(
        *stream, router_, limits_, [this] { return may_keep_alive(); }, stop_.get_token());
  }

  std::shared_ptr<const TlsContext> current_tls() {
    std::lock_guard lock(tls_mutex_);
    return tls_;
  }

  // A quarter of the threads never waits for the next request of a client that keeps its
  // connection, so that such clients cannot shut out others.
  bool may_keep_alive() const { return busy_.load() * 4 <= limits_.connections * 3; }

  const ServerLimits limits_;
  const Router router_;
  const Wake wake_;
  std::unique_ptr<Listener> listener_;
  RefusedConnections refused_;  // used by the acceptor only
  std::mutex stopping_;
  std::stop_source stop_;
  BoundedQueue<UniqueFd> accepted_;
  std::atomic<unsigned> busy_ = 0;
  std::mutex tls_mutex_;
  std::shared_ptr<const TlsContext> tls_;  // guarded
  std::jthread acceptor_;
  std::vector<std::jthread> workers_;
};

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, Router router) {
  auto wake = TRY(Wake::create());
  auto listener = TRY(UnixListener::open(options.socket_path, options.mode, options.group));
  auto impl =
      std::make_unique<Impl>(options.limits, std::move(router),
                             std::make_unique<UnixListener>(std::move(listener)), std::move(wake));
  impl->start();
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Result<std::unique_ptr<Server>> Server::start(TcpServerOptions options, Router router) {
  auto wake = TRY(Wake::create());
  auto listener = TRY(TcpListener::open(options.address, options.port));
  const auto port = listener.port();
  auto impl = std::make_unique<Impl>(options.limits, std::move(router),
                                     std::make_unique<TcpListener>(std::move(listener)),
                                     std::move(wake), std::move(options.tls));
  impl->start();
  std::unique_ptr<Server> server(new Server(std::move(impl)));
  server->port_ = port;
  return server;
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;
void Server::stop() {
  impl_->stop();
}
void Server::set_tls(std::shared_ptr<const TlsContext> tls) {
  impl_->set_tls(std::move(tls));
}

}  // namespace pitr::http
