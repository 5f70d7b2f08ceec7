#include "programs/pitr_restore/restore_checks.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <string_view>

#include "common/path.h"
#include "postgres/server_control.h"
#include "programs/pitr_restore/restore_request.h"

namespace pitr {

namespace {

constexpr int kHighestPort = 65535;

bool is_setting_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '.';
  });
}

Result<void> check_setting(const std::string& setting) {
  const auto at = setting.find('=');
  if (at != std::string::npos && is_setting_name(std::string_view(setting).substr(0, at))) {
    return {};
  }
  return Error::invalid(fmt::format("--set \"{}\" is not NAME=VALUE", setting))
      .with_hint("--set work_mem=64MB");
}

bool is_listened_on(int family, const sockaddr* address, socklen_t size) {
  const UniqueFd socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return socket && ::connect(socket.get(), address, size) == 0;
}

// On this host's own addresses, where PostgreSQL listens unless it is told otherwise.
bool is_listened_on(int port) {
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(static_cast<std::uint16_t>(port));
  four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = four.sin_port;
  six.sin6_addr = in6addr_loopback;
  return is_listened_on(AF_INET, reinterpret_cast<const sockaddr*>(&four), sizeof four) ||
         is_listened_on(AF_INET6, reinterpret_cast<const sockaddr*>(&six), sizeof six);
}

Result<void> check_port(int port, bool is_used) {
  if (port < 1 || port > kHighestPort) {
    return Error::invalid(fmt::format("--port {} is not from 1 to {}", port, kHighestPort));
  }
  if (!is_used || !is_listened_on(port)) return {};
  return Error::conflict(fmt::format("another server listens on port {} already", port))
      .with_hint("choose another --port");
}

}  // namespace

Result<void> check_arguments(const RestoreArguments& arguments) {
  for (const auto& setting : arguments.settings) TRY(check_setting(setting));
  TRY(parse_mappings(arguments.tablespace_map));
  if (!arguments.tablespace_map.empty() && arguments.in_place) {
    return Error::invalid("--tablespace-map does not fit --in-place");
  }
  const auto archive_mode = arguments.archive_mode.value_or("off");
  if (archive_mode != "off" && archive_mode != "preserve") {
    return Error::invalid("--archive-mode is off or preserve");
  }
  return arguments.port ? check_port(*arguments.port, arguments.start) : Result<void>();
}

Result<void> check_apart(const Path& place, const Path& repository) {
  std::error_code failure;
  const auto resolved = std::filesystem::weakly_canonical(place, failure);
  if (failure) return Error::from_errno(failure.value(), place.string());
  const auto stored = std::filesystem::weakly_canonical(repository, failure);
  if (failure) return Error::from_errno(failure.value(), repository.string());
  if (!contain_one_another(resolved, stored)) return {};
  return Error::invalid(fmt::format("{} and the repository {} contain one another", place.string(),
                                    repository.string()))
      .with_hint("restore to a directory apart from the repository");
}

Result<void> check_programs(const RestoreArguments& arguments, const RestorePlan& plan) {
  if (!arguments.start) return {};
  const auto major = static_cast<int>(plan.backup.server_version_num / 10000);
  TRY(find_server_binaries(major, arguments.binary_directory));
  return {};
}

}  // namespace pitr
