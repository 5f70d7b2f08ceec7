// A connection as the protocol sees it, so that it need not know about sockets (or TLS above them).
// Used by one thread at a time.
#pragma once

#include <sys/types.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "common/result.h"

namespace pitr::http {

class ByteStream {
 public:
  virtual ~ByteStream() = default;

  // Reads at least one byte; 0 is the end. kTransient at the deadline, kCancelled when stopped.
  virtual Result<std::size_t> read_some(std::span<char> into, SteadyTime deadline) = 0;
  // Writes everything, waiting for at most `timeout` whenever nothing moves.
  virtual Result<void> write_all(std::string_view bytes, Milliseconds timeout) = 0;
  // The user at the other end of a Unix socket, as the kernel says; nullopt over TCP.
  virtual std::optional<uid_t> peer_user() const { return std::nullopt; }
  // The numeric address at the other end of a TCP connection; empty otherwise.
  virtual std::string peer_address() const { return {}; }
  // Whether the other side has closed the connection.
  virtual bool peer_gone() = 0;
};

}  // namespace pitr::http
