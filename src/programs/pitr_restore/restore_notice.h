// Tells those who are configured how a restore ended, as the agent tells of what it does.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "config/config.h"
#include "notify/event.h"

namespace pitr {

// result: the exit code, or why nothing came of it. None where it was cancelled: somebody wanted it
// so. details: what the audit trail says of it.
std::optional<Event> restore_event(const std::string& cluster, const Result<int>& result,
                                   std::map<std::string, std::string> details);

// Waits until all are told, but no longer than ten seconds; what isn't told then is logged.
void tell_of_restore(const std::vector<Destination>& destinations, Event event, const Clock& clock);

}  // namespace pitr
