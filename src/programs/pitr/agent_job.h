// A job that the agent does while its progress is drawn here.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>

#include "programs/pitr/command_context.h"
#include "programs/terminal_progress.h"

namespace pitr {

// Posts `body` to the agent's .../clusters/{cluster}/{job} and gives what is in its last line under
// `result_name`. nullopt: no agent answers.
Result<std::optional<nlohmann::json>> run_agent_job(const CommandContext& context,
                                                    const std::string& cluster,
                                                    const std::string& job, std::string body,
                                                    const std::string& result_name,
                                                    TerminalProgress& progress,
                                                    std::stop_token stop);

}  // namespace pitr
