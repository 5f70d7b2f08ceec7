#include "agent/api/api_routers.h"

namespace pitr {

http::Router socket_router(const ApiContext& context) {
  http::Router router;
  for (auto& route : api_routes(context)) {
    router.add(route.method, route.pattern,
               [handler = std::move(route.handler)](const http::Request& request) {
                 return handler({request, caller_of_socket(request)});
               });
  }
  return router;
}

http::Router tcp_router(const ApiContext& context, ApiGate& gate) {
  http::Router router;
  router.set_guard([&gate](const http::Request& request) { return gate.guard(request); });
  for (auto& route : api_routes(context)) {
    if (route.reach == Reach::kSocketOnly) continue;
    const auto method = route.method;
    const auto pattern = route.pattern;
    router.add(method, pattern, [&gate, route = std::move(route)](const http::Request& request) {
      return gate.serve(route, request);
    });
  }
  return router;
}

}  // namespace pitr
