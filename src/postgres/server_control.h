// Starting, stopping and promoting a server by PostgreSQL's own pg_ctl.
//
// PostgreSQL refuses to run as root: when this process is root, pg_ctl runs as the owner of the
// data directory. Not thread-safe per data directory; calls block until pg_ctl has finished.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/file.h"
#include "common/result.h"

namespace pitr {

// The directory with pg_ctl and postgres of a major version: the given one, or
// /usr/lib/postgresql/<major>/bin, /usr/pgsql-<major>/bin, what pg_config says, or PATH; whichever
// has binaries of that version first. kNotFound with the places that were tried.
Result<Path> find_server_binaries(int server_major, const std::optional<Path>& binary_directory);

enum class StopMode { kSmart, kFast, kImmediate };

struct StartOptions {
  Path log_file;
  Seconds timeout{60};
  bool wait = true;                   // until the server accepts connections
  std::vector<std::string> settings;  // "port=5433": passed as -c
};

class ServerControl {
 public:
  // Finds the version in PG_VERSION and the binaries by it.
  static Result<ServerControl> open(Path data_directory,
                                    const std::optional<Path>& binary_directory = {});

  int server_major() const { return server_major_; }
  const Path& binary_directory() const { return binary_directory_; }

  // A failure carries the last lines of the server's log.
  Result<void> start(const StartOptions& options);
  Result<void> stop(StopMode mode = StopMode::kFast, Seconds timeout = Seconds(60));
  Result<void> promote(Seconds timeout = Seconds(60));
  Result<void> reload();
  Result<bool> is_running();

 private:
  ServerControl(Path data_directory, Path binary_directory, int server_major)
      : data_directory_(std::move(data_directory)),
        binary_directory_(std::move(binary_directory)),
        server_major_(server_major) {}
  Result<int> pg_ctl(std::vector<std::string> arguments, std::string& output);
  Result<void> must_succeed(const std::string& what, std::vector<std::string> arguments);

  Path data_directory_;
  Path binary_directory_;
  int server_major_;
};

}  // namespace pitr
