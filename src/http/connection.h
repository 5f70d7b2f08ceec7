// Serves the requests of one connection until it closes, keep-alive ends or the server stops.
#pragma once

#include <functional>
#include <stop_token>

#include "http/byte_stream.h"
#include "http/router.h"
#include "http/server.h"

namespace pitr::http {

// may_keep_alive is asked before each answer.
void serve_connection(ByteStream& stream, const Router& router, const ServerLimits& limits,
                      const std::function<bool()>& may_keep_alive, std::stop_token stop);

}  // namespace pitr::http
