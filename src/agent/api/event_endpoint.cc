// The latest events, and waiting for the next one.
#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "agent/api/api_route.h"
#include "common/retry.h"
#include "notify/event_log.h"

namespace pitr {
namespace {

constexpr std::uint64_t kMostEvents = 1000;
constexpr std::uint64_t kLongestWait = 30;  // seconds: it keeps a connection busy
constexpr Milliseconds kLookInterval{100};

Result<std::uint64_t> number(const http::Request& request, std::string_view name,
                             std::uint64_t otherwise, std::uint64_t most) {
  const auto text = request.query_value(name);
  if (text.empty()) return otherwise;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size() && value <= most) return value;
  return Error::invalid(fmt::format("{} must be a number up to {}, not \"{}\"", name, most, text));
}

// Events of the agent itself name things of all clusters, so they are not for callers of some.
bool may_see(const Caller& caller, const Event& event) {
  return event.cluster.empty() ? caller.clusters.empty() : caller.may_see(event.cluster);
}

Result<nlohmann::json> events(const EventLog& log, const ApiCall& call) {
  auto after = TRY(number(call.request, "after", 0, ~std::uint64_t{0}));
  const auto limit = TRY(number(call.request, "limit", 100, kMostEvents));
  const auto asked_wait = TRY(number(call.request, "wait", 0, kLongestWait));
  const auto wait = call.may_wait ? asked_wait : 0;
  // Numbers begin anew with the agent.
  if (after > log.last_number()) after = 0;
  const auto deadline = std::chrono::steady_clock::now() + Seconds(wait);
  while (true) {
    auto found = nlohmann::json::array();
    std::uint64_t seen = after;
    for (const auto& event : log.since(after, kMostEvents)) {
      if (found.size() == limit) break;
      seen = event.number;
      if (may_see(call.caller, event)) found.push_back(nlohmann::json::parse(to_json_text(event)));
    }
    const bool waits = found.empty() && std::chrono::steady_clock::now() < deadline;
    if (!waits || !sleep_for(kLookInterval, call.request.stop)) {
      return nlohmann::json{{"events", std::move(found)}, {"after", seen}};
    }
  }
}

}  // namespace

void add_event_routes(const ApiContext& context, std::vector<ApiRoute>& routes) {
  routes.push_back(
      {"GET", "/v1/events", Role::kViewer, Reach::kAnywhere, [context](const ApiCall& call) {
         const auto found = events(context.events, call);
         if (!found) return http::Response::of(found.error());
         return http::Response::json(found->dump() + "\n");
       }});
}

}  // namespace pitr
