#include "http/router.h"

#include <fmt/format.h>

#include <exception>

namespace pitr::http {
namespace {

bool is_parameter(std::string_view segment) {
  return segment.size() > 2 && segment.starts_with('{') && segment.ends_with('}');
}

// Whether the path has the pattern's shape; fills request.parameters where it has.
bool matches(const std::vector<std::string>& pattern, Request& request) {
  if (pattern.size() != request.segments.size()) return false;
  request.parameters.clear();
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const std::string_view wanted = pattern[i];
    const auto& segment = request.segments[i];
    if (is_parameter(wanted)) {
      if (segment.empty()) return false;
      request.parameters.emplace(wanted.substr(1, wanted.size() - 2), segment);
    } else if (wanted != segment) {
      return false;
    }
  }
  return true;
}

Response call(const Handler& handler, const Request& request) {
  try {
    return handler(request);
  } catch (const std::exception& e) {
    return Response::of(
        Error::internal(fmt::format("{} {}: {}", request.method, request.target(), e.what())));
  }
}

}  // namespace

void Router::add(std::string method, std::string_view pattern, Handler handler) {
  std::vector<std::string> segments;
  while (!pattern.empty()) {
    pattern.remove_prefix(1);  // '/'
    const auto segment = pattern.substr(0, pattern.find('/'));
    segments.emplace_back(segment);
    pattern.remove_prefix(segment.size());
  }
  routes_.push_back({std::move(method), std::move(segments), std::move(handler)});
}

Response Router::route(Request request) const {
  if (guard_) {
    if (auto refusal = guard_(request)) return std::move(*refusal);
  }
  std::string allowed;
  for (const auto& [method, pattern, handler] : routes_) {
    if (!matches(pattern, request)) continue;
    if (method == request.method) return call(handler, request);
    allowed += (allowed.empty() ? "" : ", ") + method;
  }
  if (allowed.empty()) {
    return Response::of(Error::not_found(fmt::format("there is no {}", request.target())));
  }
  auto response = Response::of(
      Error::invalid(fmt::format("{} does not take {}", request.target(), request.method)));
  response.status = 405;
  response.headers["allow"] = allowed;
  return response;
}

}  // namespace pitr::http
