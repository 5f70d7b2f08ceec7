#include "agent/api/api_gate.h"

#include <fmt/format.h>

#include "common/log.h"

namespace pitr {
namespace {

constexpr int kMostLongWork = 4;  // of the server's eight threads
constexpr Milliseconds kLogInterval{10'000};
constexpr std::string_view kScheme = "Bearer ";

ApiOutcome outcome_of(int status) {
  if (status < 400) return ApiOutcome::kSuccess;
  if (status == 401) return ApiOutcome::kUnauthenticated;
  if (status == 403) return ApiOutcome::kForbidden;
  return status == 429 ? ApiOutcome::kLimited : ApiOutcome::kFailure;
}

http::Response too_often(Milliseconds wait) {
  const auto seconds = std::max<std::int64_t>(1, std::chrono::ceil<Seconds>(wait).count());
  auto response = http::Response::of(Error::transient("too many requests from this address"));
  response.status = 429;
  response.headers["retry-after"] = std::to_string(seconds);
  return response;
}

std::string token_of(const http::Request& request) {
  const auto header = request.header("authorization");
  return header.starts_with(kScheme) ? header.substr(kScheme.size()) : std::string();
}

}  // namespace

std::optional<http::Response> ApiGate::guard(const http::Request& request) {
  const auto now = clock_.steady_now();
  const auto wait = requests_.wait_for(request.peer_address, now);
  if (wait > Milliseconds(0)) {
    counters_.count(ApiOutcome::kLimited);
    return too_often(wait);
  }
  requests_.charge(request.peer_address, now);
  return std::nullopt;
}

http::Response ApiGate::serve(const ApiRoute& route, const http::Request& request) {
  auto response = answer(route, request);
  counters_.count(outcome_of(response.status));
  return response;
}

http::Response ApiGate::answer(const ApiRoute& route, const http::Request& request) {
  const bool is_metrics = route.pattern == "/metrics";
  if (is_metrics && !options_.metrics_need_token) return route.handler({request, Caller()});
  if (options_.is_remote) {
    return http::Response::of(
        Error::denied("other machines reach this address, and a token would cross the network in "
                      "plain text, so that there is only /metrics here")
            .with_hint("set agent.http.tls in the configuration"));
  }
  const auto wait = failures_.wait_for(request.peer_address, clock_.steady_now());
  if (wait > Milliseconds(0)) return too_often(wait);
  const auto caller = tokens_.authenticate(token_of(request));
  if (!caller) return unauthenticated(request);
  return call(route, request, *caller);
}

http::Response ApiGate::call(const ApiRoute& route, const http::Request& request,
                             const Caller& caller) {
  if (caller.role < route.least_role) {
    return http::Response::of(
        Error::denied(fmt::format("{} is {}, and this takes the role {}", caller.name,
                                  to_string(caller.role), to_string(route.least_role))));
  }
  const bool wants_to_wait = !request.query_value("wait").empty();
  const auto place = wants_to_wait ? take_place() : nullptr;
  return limit_long_work(route.handler({request, caller, place != nullptr}));
}

// The same for no token, a wrong one, an expired one, and without any token in the file.
http::Response ApiGate::unauthenticated(const http::Request& request) {
  failures_.charge(request.peer_address, clock_.steady_now());
  log_refusal(request);
  auto response = http::Response::of(
      Error::denied("this takes a token: Authorization: Bearer pitr_...")
          .with_hint("\"pitr token add\" makes one, \"pitr token list\" shows those there are"));
  response.status = 401;
  response.headers["www-authenticate"] = "Bearer realm=\"pitr\"";
  return response;
}

// Given back with its last copy; null where all are taken.
std::shared_ptr<void> ApiGate::take_place() {
  if (long_work_->fetch_add(1) >= kMostLongWork) {
    long_work_->fetch_sub(1);
    return nullptr;
  }
  // Not of null, which would be the same as none.
  return {long_work_.get(), [counter = long_work_](void*) { --*counter; }};
}

http::Response ApiGate::limit_long_work(http::Response response) {
  if (!response.stream) return response;
  const auto held = take_place();
  if (!held) {
    auto refusal = http::Response::of(
        Error::transient("the API watches as much work as it can; try again later"));
    refusal.headers["retry-after"] = "60";
    return refusal;
  }
  // Ends with the last copy of the response.
  response.stream = [held, stream = std::move(response.stream)](http::ResponseStream& into) {
    return stream(into);
  };
  return response;
}

void ApiGate::log_refusal(const http::Request& request) {
  const auto now = clock_.steady_now();
  std::lock_guard lock(mutex_);
  ++refused_since_;
  if (logged_ != SteadyTime() && now - logged_ < kLogInterval) return;
  log::warning("the API refused {} without a token that counts, {} such since the last line",
               request.peer_address, refused_since_);
  logged_ = now;
  refused_since_ = 0;
}

}  // namespace pitr
