// TLS over another ByteStream, the server's side. Waiting, deadlines and being stopped are the
// stream's below: no byte is read or written by OpenSSL itself.
#pragma once

#include <memory>

#include "http/byte_stream.h"
#include "http/tls_context.h"

namespace pitr::http {

// Shakes hands, which must be done by the deadline. kDenied where the client doesn't speak TLS, or
// not one that is taken, or has no certificate that is wanted; else as `below` fails.
Result<std::unique_ptr<ByteStream>> accept_tls(std::unique_ptr<ByteStream> below,
                                               std::shared_ptr<const TlsContext> context,
                                               SteadyTime deadline);

}  // namespace pitr::http
