// What the commands of pitr share: the configuration, the way to the agent, and how errors are
// told.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "config/config.h"
#include "http/client.h"

namespace pitr {

struct CommonOptions {
  std::string config_file;  // empty: found as load.h says
  std::string cluster;      // empty: the only one
  std::string reason;       // --reason, for the audit trail
  bool json = false;
  bool verbose = false;
};

class CommandContext {
 public:
  // Loads the configuration.
  static Result<CommandContext> load(const CommonOptions& options);

  const Config& config() const { return config_; }
  const Path& config_file() const { return config_file_; }
  bool json() const { return options_.json; }
  const std::string& reason() const { return options_.reason; }
  bool verbose() const { return options_.verbose; }
  // As --cluster gives it; empty without.
  const std::string& cluster_name() const { return options_.cluster; }
  // The cluster of --cluster, or the only one.
  Result<const ClusterConfig*> cluster() const;
  // The cluster of --cluster, or all of them.
  Result<std::vector<const ClusterConfig*>> clusters() const;

  // nullopt where no agent listens. Another status than 2xx is its error.
  Result<std::optional<http::Response>> ask_agent(std::string_view method, std::string_view target,
                                                  std::stop_token stop = {}) const;
  // As above; calls on_line for each line of the answer. False: no agent listens.
  Result<bool> stream_from_agent(std::string_view target, std::string body,
                                 const std::function<Result<void>(std::string_view)>& on_line,
                                 std::stop_token stop) const;

 private:
  CommandContext(CommonOptions options, Path file, Config config)
      : options_(std::move(options)), config_file_(std::move(file)), config_(std::move(config)) {}
  CommonOptions options_;
  Path config_file_;
  Config config_;
};

// "pitr: message; hint" on standard error; returns the exit code of its kind.
int report_error(const Error& error);

// Prints to standard output, with a newline where there is none.
void print(std::string_view text);

}  // namespace pitr
