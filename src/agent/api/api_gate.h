// What stands before the API over TCP: how often a client may ask, who he is by his token, and
// whether his role suffices. Whatever is wrong with a token, the answer is the same.
//
// Thread-safe; clock and counters must outlive it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include "agent/api/api_counters.h"
#include "agent/api/api_route.h"
#include "agent/api/token_store.h"
#include "http/address_limiter.h"

namespace pitr {

struct ApiGateOptions {
  Path tokens;
  bool metrics_need_token = false;
  // Other machines reach the address without TLS: tokens would cross the network in plain text, so
  // that there are only the metrics.
  bool is_remote = false;
};

class ApiGate {
 public:
  ApiGate(ApiGateOptions options, const Clock& clock, ApiCounters& counters)
      : options_(std::move(options)),
        clock_(clock),
        counters_(counters),
        tokens_(options_.tokens, clock) {}

  // Before anything else is done with a request: the refusal of a client that asks too often.
  std::optional<http::Response> guard(const http::Request& request);
  // Calls the route's handler for whom it may be called.
  http::Response serve(const ApiRoute& route, const http::Request& request);

 private:
  http::Response answer(const ApiRoute& route, const http::Request& request);
  http::Response call(const ApiRoute& route, const http::Request& request, const Caller& caller);
  http::Response unauthenticated(const http::Request& request);
  std::shared_ptr<void> take_place();
  http::Response limit_long_work(http::Response response);
  void log_refusal(const http::Request& request);

  const ApiGateOptions options_;
  const Clock& clock_;
  ApiCounters& counters_;
  TokenStore tokens_;
  http::AddressLimiter requests_{20, 100};
  http::AddressLimiter failures_{0.5, 10};
  // Each holds a thread for as long as it takes, and others are left for short requests.
  std::shared_ptr<std::atomic<int>> long_work_ = std::make_shared<std::atomic<int>>(0);
  std::mutex mutex_;
  SteadyTime logged_;                // guarded, as is the next: when refusals were last logged
  std::uint64_t refused_since_ = 0;  // and not logged
};

}  // namespace pitr
