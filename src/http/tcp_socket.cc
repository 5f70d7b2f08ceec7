#include "http/tcp_socket.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace pitr::http {
namespace {

constexpr int kListenQueue = 1024;  // so that a burst is refused by us, and not left to retry

struct SocketAddress {
  sockaddr_storage bytes{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&bytes); }
};

Result<SocketAddress> address_of(const std::string& address, std::uint16_t port) {
  SocketAddress result;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (::inet_pton(AF_INET, address.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&result.bytes, &v4, sizeof v4);
    result.size = sizeof v4;
  } else if (::inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&result.bytes, &v6, sizeof v6);
    result.size = sizeof v6;
  } else {
    return Error::invalid(fmt::format("\"{}\" is not an IPv4 or IPv6 address", address));
  }
  return result;
}

Error bind_error(int error, const std::string& name) {
  if (error == EADDRINUSE) {
    return Error::conflict(fmt::format("another process listens on {}", name))
        .with_hint("stop it, or choose another port");
  }
  if (error == EADDRNOTAVAIL) {
    return Error::invalid(fmt::format("{} is not an address of this machine", name))
        .with_hint("\"ip address\" shows those that are");
  }
  return Error::from_errno(error, fmt::format("listening on {}", name));
}

std::uint16_t port_of(int fd) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0) return 0;
  // The port lies at the same place in both families.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
}

}  // namespace

Result<TcpListener> TcpListener::open(const std::string& address, std::uint16_t port) {
  const auto where = TRY(address_of(address, port));
  const int family = where.get()->sa_family;
  const auto name = family == AF_INET6 ? fmt::format("[{}]:{}", address, port)
                                       : fmt::format("{}:{}", address, port);
  UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return Error::from_errno(errno, "making a socket");
  const int on = 1;
  // Connections of an agent that ended a moment ago don't keep the address.
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (family == AF_INET6) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (::bind(fd.get(), where.get(), where.size) != 0) return bind_error(errno, name);
  if (::listen(fd.get(), kListenQueue) != 0) return bind_error(errno, name);
  const auto bound = port_of(fd.get());
  return TcpListener(std::move(fd), name, bound);
}

Result<UniqueFd> TcpListener::accept(const Wake& wake, SteadyTime deadline) {
  return accept_from(fd_.get(), wake, deadline, name_);
}

}  // namespace pitr::http
