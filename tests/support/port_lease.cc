#include "support/port_lease.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <random>

namespace pitr::test {
namespace {

constexpr int kFirstPort = 20000;
constexpr int kPortCount = 10000;

// Binds the abstract socket "\0pitr-test-port-N"; -1 when another test has it.
UniqueFd lease_port(int port) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = fmt::format("pitr-test-port-{}", port);
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) return UniqueFd();
  return fd;
}

bool can_bind(int port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // As the server does: connections that linger in TIME_WAIT do not make a port taken.
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

Result<PortLease> PortLease::take() {
  const int start = static_cast<int>(std::random_device{}() % kPortCount);
  for (int i = 0; i < kPortCount; ++i) {
    const int port = kFirstPort + (start + i) % kPortCount;
    UniqueFd lease = lease_port(port);
    if (lease && can_bind(port)) return PortLease(port, std::move(lease));
  }
  return Error::transient(fmt::format("no free port between {} and {} on the loopback address",
                                      kFirstPort, kFirstPort + kPortCount - 1));
}

}  // namespace pitr::test
