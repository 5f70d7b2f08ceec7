// The table of routes as routers: all of it for the Unix socket, and what TCP serves.
#pragma once

#include "agent/api/api_gate.h"
#include "agent/api/api_route.h"
#include "http/router.h"

namespace pitr {

http::Router socket_router(const ApiContext& context);
// Through the gate, which must outlive it.
http::Router tcp_router(const ApiContext& context, ApiGate& gate);

}  // namespace pitr
