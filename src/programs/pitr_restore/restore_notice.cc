#include "programs/pitr_restore/restore_notice.h"

#include <fmt/format.h>

#include "agent/host.h"
#include "notify/notifier.h"
#include "programs/exit_codes.h"

namespace pitr {

static constexpr Milliseconds kLongestWait{10'000};

std::optional<Event> restore_event(const std::string& cluster, const Result<int>& result,
                                   std::map<std::string, std::string> details) {
  if (!result && result.error().kind() == ErrorKind::kCancelled) return std::nullopt;
  Event event;
  event.cluster = cluster;
  const auto what = fmt::format("to {} from backup {} in {} on {}", details["target"],
                                details["backup"], details["directory"], host_name());
  details["host"] = host_name();
  if (result && *result == kExitSuccess) {
    event.type = EventType::kRestoreCompleted;
    event.message = "a restore " + what + " is complete";
  } else if (result) {
    event.type = EventType::kRestoreFailure;
    event.message = "after a restore " + what + " the server did not reach the target";
    details["fix"] = "look into the server's log; pitr-restore said what it reached";
  } else {
    const auto& error = result.error();
    event.type = EventType::kRestoreFailure;
    event.message = fmt::format("a restore {} failed: {}", what, error.message());
    details["error"] = error.message();
    details["kind"] = std::string(to_string(error.kind()));
    if (!error.hint().empty()) details["fix"] = error.hint();
  }
  event.details = std::move(details);
  return event;
}

void tell_of_restore(const std::vector<Destination>& destinations, Event event,
                     const Clock& clock) {
  if (destinations.empty()) return;
  event.time = clock.now();
  Notifier notifier(clock, host_name());
  notifier.configure(destinations);
  notifier.on_event(event);
  notifier.wait_until_told(kLongestWait);
  notifier.stop();
}

}  // namespace pitr
