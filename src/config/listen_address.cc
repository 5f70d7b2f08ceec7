#include "config/listen_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <charconv>
#include <cstring>

namespace pitr {
namespace {

constexpr int kLargestPort = 65'535;

Error not_an_address(std::string_view text) {
  return Error::invalid(
      fmt::format("\"{}\" is not an address and a port; write for example "
                  "127.0.0.1:9852 or [::1]:9852",
                  text));
}

bool is_v6(const ListenAddress& listen) {
  return listen.address.find(':') != std::string::npos;
}

}  // namespace

Result<ListenAddress> parse_listen_address(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return not_an_address(text);
  auto address = text.substr(0, colon);
  const auto port_text = text.substr(colon + 1);
  const bool in_brackets = address.starts_with('[') && address.ends_with(']');
  if (in_brackets) address = address.substr(1, address.size() - 2);
  int port = 0;
  const auto* end = port_text.data() + port_text.size();
  const auto parsed = std::from_chars(port_text.data(), end, port);
  if (parsed.ec != std::errc() || parsed.ptr != end || port < 1 || port > kLargestPort) {
    return not_an_address(text);
  }
  ListenAddress listen{std::string(address), static_cast<std::uint16_t>(port)};
  in_addr v4{};
  in6_addr v6{};
  const bool is_numeric = in_brackets ? ::inet_pton(AF_INET6, listen.address.c_str(), &v6) == 1
                                      : ::inet_pton(AF_INET, listen.address.c_str(), &v4) == 1;
  if (!is_numeric) return not_an_address(text);
  return listen;
}

bool is_loopback(const ListenAddress& listen) {
  in_addr v4{};
  in6_addr v6{};
  if (::inet_pton(AF_INET, listen.address.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  return ::inet_pton(AF_INET6, listen.address.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

std::string to_string(const ListenAddress& listen) {
  return is_v6(listen) ? fmt::format("[{}]:{}", listen.address, listen.port)
                       : fmt::format("{}:{}", listen.address, listen.port);
}

}  // namespace pitr
