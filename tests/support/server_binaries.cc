#include "support/server_binaries.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>

#include "support/subprocess.h"

namespace pitr::test {
namespace {

constexpr int kDefaultMajor = 15;
constexpr int kNewestMajor = 18;

bool is_executable(const Path& path) {
  return access(path.c_str(), X_OK) == 0;
}

std::optional<int> number(std::string_view text) {
  int value = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc()) return {};
  return value;
}

// "postgres (PostgreSQL) 15.18 (Debian ...)"
Result<int> major_of(const Path& directory) {
  const std::string output =
      TRY(run_successfully({(directory / "postgres").string(), "--version"}));
  const std::string_view marker = "(PostgreSQL) ";
  const auto at = output.find(marker);
  const auto major = number(at == std::string::npos ? "" : output.substr(at + marker.size()));
  if (!major) return Error::invalid("not a PostgreSQL version: " + output);
  return *major;
}

}  // namespace

Result<ServerBinaries> ServerBinaries::find(std::optional<int> major) {
  if (const char* directory = std::getenv("PITR_PG_BIN")) {
    const int found = TRY(major_of(directory));
    if (!major || *major == found) return ServerBinaries{directory, found};
  }
  if (!major) {
    const char* wanted = std::getenv("PITR_TEST_MAJOR");
    major = wanted == nullptr ? kDefaultMajor : number(wanted);
    if (!major) return Error::invalid("PITR_TEST_MAJOR is not a number");
  }
  const Path places[] = {fmt::format("/usr/lib/postgresql/{}/bin", *major),
                         Path(PITR_SOURCE_DIRECTORY) / ".servers" / std::to_string(*major) / "bin"};
  for (const Path& place : places) {
    std::error_code error;
    if (!is_executable(place / "initdb")) continue;
    return ServerBinaries{std::filesystem::canonical(place, error), *major};
  }
  return Error::invalid(fmt::format("no PostgreSQL {} server in {} or {}", *major,
                                    places[0].string(), places[1].string()))
      .with_hint(*major == kDefaultMajor ? "run scripts/setup.sh test"
                                         : "run scripts/matrix_servers.sh");
}

Path ServerBinaries::client(const std::string& name) {
  for (int major = kNewestMajor; major >= kDefaultMajor; --major) {
    const Path path = fmt::format("/usr/lib/postgresql/{}/bin/{}", major, name);
    if (is_executable(path)) return path;
  }
  return name;
}

}  // namespace pitr::test
