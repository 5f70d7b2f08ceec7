// A TCP listener on one numeric address.
#pragma once

#include <cstdint>
#include <string>

#include "http/socket.h"

namespace pitr::http {

class TcpListener final : public Listener {
 public:
  // port 0: any that is free. kConflict where another process listens there; kInvalid where the
  // address isn't numeric or isn't this machine's.
  static Result<TcpListener> open(const std::string& address, std::uint16_t port);

  std::uint16_t port() const { return port_; }
  Result<UniqueFd> accept(const Wake& wake, SteadyTime deadline) override;

 private:
  TcpListener(UniqueFd fd, std::string name, std::uint16_t port)
      : fd_(std::move(fd)), name_(std::move(name)), port_(port) {}

  UniqueFd fd_;
  std::string name_;
  std::uint16_t port_;
};

}  // namespace pitr::http
