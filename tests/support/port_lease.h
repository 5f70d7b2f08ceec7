// A loopback port that no other test takes, for as long as the object lives.
//
// Ports come from 20000-29999, below Linux's ephemeral range, so that no outgoing connection takes
// one. The lease is a bound abstract Unix socket named after the port: exclusive among all users of
// the machine (of the network namespace, like the port itself) and gone with the process. The port
// is found free, not kept bound: the server binds it.
#pragma once

#include "common/file.h"
#include "common/result.h"

namespace pitr::test {

class PortLease {
 public:
  static Result<PortLease> take();
  int port() const { return port_; }

 private:
  PortLease(int port, UniqueFd lease) : port_(port), lease_(std::move(lease)) {}
  int port_;
  UniqueFd lease_;
};

}  // namespace pitr::test
