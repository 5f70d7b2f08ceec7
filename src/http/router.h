// Finds the handler for a request: method and path pattern, such as
//   router.add("POST", "/v1/clusters/{cluster}/wal", handler);
// Fill it before the server starts; from then on it is read only and thread-safe, and so must the
// handlers be. An unknown path gives 404, a known one with another method 405.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace pitr::http {

using Handler = std::function<Response(const Request&)>;

class Router {
 public:
  // A segment in braces matches any one non-empty segment and becomes request.parameters[name].
  // Routes are tried in the order they were added.
  void add(std::string method, std::string_view pattern, Handler handler);

  // Asked before anything else, for unknown paths too; what it gives is the answer.
  using Guard = std::function<std::optional<Response>(const Request&)>;
  void set_guard(Guard guard) { guard_ = std::move(guard); }

  // Calls the handler. An exception that escapes from it becomes a 500.
  Response route(Request request) const;

 private:
  struct Route {
    std::string method;
    std::vector<std::string> pattern;
    Handler handler;
  };
  std::vector<Route> routes_;
  Guard guard_;
};

}  // namespace pitr::http
