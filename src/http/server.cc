#include "http/server.h"

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "common/bounded_queue.h"
#include "common/log.h"
#include "common/retry.h"
#include "http/connection.h"
#include "http/unix_socket.h"

namespace pitr::http {

// One thread accepts, the others serve a connection each. An accepted connection for which no
// thread is free waits in the queue's one place, the rest in the kernel's.
class Server::Impl {
 public:
  Impl(ServerOptions options, Router router, UnixListener listener, Wake wake)
      : limits_(options.limits),
        router_(std::move(router)),
        wake_(std::move(wake)),
        listener_(std::move(listener)) {}
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

 private:
  void accept_connections() {
    while (!stop_.stop_requested()) {
      auto accepted = listener_->accept(wake_);
      if (accepted) {
        if (!accepted_.push(std::move(*accepted), stop_.get_token())) return;
      } else if (accepted.error().kind() != ErrorKind::kCancelled) {
        log::warning("the control socket: {}", accepted.error().message());
        sleep_for(Milliseconds(200), stop_.get_token());  // out of descriptors, most likely
      }
    }
  }

  void serve_connections() {
    for (;;) {
      auto accepted = accepted_.pop(stop_.get_token());
      if (!accepted || !*accepted) return;
      busy_.fetch_add(1);
      const auto stream = make_stream(std::move(**accepted), wake_);
      serve_connection(
          *stream, router_, limits_, [this] { return may_keep_alive(); }, stop_.get_token());
      busy_.fetch_sub(1);
    }
  }

  // A quarter of the threads never waits for the next request of a client that keeps its
  // connection, so that such clients cannot shut out others.
  bool may_keep_alive() const { return busy_.load() * 4 <= limits_.connections * 3; }

  const ServerLimits limits_;
  const Router router_;
  const Wake wake_;
  std::optional<UnixListener> listener_;
  std::mutex stopping_;
  std::stop_source stop_;
  BoundedQueue<UniqueFd> accepted_{1};
  std::atomic<unsigned> busy_ = 0;
  std::jthread acceptor_;
  std::vector<std::jthread> workers_;
};

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, Router router) {
  auto wake = TRY(Wake::create());
  auto listener = TRY(UnixListener::open(options.socket_path, options.mode, options.group));
  auto impl = std::make_unique<Impl>(std::move(options), std::move(router), std::move(listener),
                                     std::move(wake));
  impl->start();
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;
void Server::stop() {
  impl_->stop();
}

}  // namespace pitr::http
