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

http::Router tcp_router(const ApiContext& context) {
  http::Router router;
  for (auto& route : api_routes(context)) {
    if (route.pattern != "/metrics") continue;
    router.add(route.method, route.pattern,
               [handler = std::move(route.handler)](const http::Request& request) {
                 return handler({request, Caller()});
               });
  }
  return router;
}

}  // namespace pitr
