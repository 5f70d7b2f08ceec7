// A receiver of webhooks on loopback that keeps what it gets, and may hang. Thread-safe.
#pragma once

#include <atomic>
#include <mutex>
#include <nlohmann/json.hpp>

#include "agent/pitr_site.h"
#include "common/retry.h"
#include "http/server.h"
#include "support/port_lease.h"

namespace pitr::test {

class WebhookReceiver {
 public:
  WebhookReceiver() {
    http::Router router;
    router.add("POST", "/hook", [this](const http::Request& request) { return take(request); });
    server_ = must(http::Server::start(
        http::TcpServerOptions{.port = static_cast<std::uint16_t>(port_.port())}, router));
  }

  // A destination's section, with further keys of it.
  std::string section(const std::string& name, const std::string& keys = "",
                      const std::string& webhook_keys = "") const {
    return fmt::format("  {}: {{webhook: {{url: \"http://127.0.0.1:{}/hook\"{}}}{}}}\n", name,
                       port_.port(), webhook_keys, keys);
  }
  // From now on it takes requests and doesn't answer.
  void hang() { is_hanging_ = true; }
  std::size_t hanging() const { return hanging_; }

  std::vector<http::Request> of(const std::string& event) const {
    std::lock_guard lock(mutex_);
    std::vector<http::Request> found;
    for (const auto& request : got_) {
      if (request.header("x-pitr-event") == event) found.push_back(request);
    }
    return found;
  }
  std::size_t count() const {
    std::lock_guard lock(mutex_);
    return got_.size();
  }
  bool gets(const std::string& event, std::size_t count = 1) const {
    return eventually([&] { return of(event).size() >= count; }, Seconds(60));
  }

 private:
  http::Response take(const http::Request& request) {
    if (is_hanging_) {
      ++hanging_;
      while (sleep_for(Milliseconds(20), request.stop)) {
      }
      return {};
    }
    std::lock_guard lock(mutex_);
    got_.push_back(request);
    return {};
  }

  PortLease port_ = must(PortLease::take());
  std::atomic<bool> is_hanging_ = false;
  std::atomic<std::size_t> hanging_ = 0;
  mutable std::mutex mutex_;
  std::vector<http::Request> got_;
  std::unique_ptr<http::Server> server_;  // last: its threads use all of the above
};

inline void append_text(const Path& path, std::string_view text) {
  std::ofstream(path, std::ios::app) << text;
}

}  // namespace pitr::test
