#include "programs/pitr/cmd_notify.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "agent/host.h"
#include "notify/transport.h"
#include "programs/exit_codes.h"

namespace pitr {
namespace {

Result<std::vector<Destination>> choose(const Config& config, const std::string& name) {
  if (config.notifications.empty()) {
    return Error::not_found("nobody is to be notified")
        .with_hint("name destinations in the section \"notifications\" of the configuration");
  }
  if (name.empty()) return config.notifications;
  std::string known;
  for (const auto& destination : config.notifications) {
    if (destination.name == name) return std::vector<Destination>{destination};
    known += (known.empty() ? "" : ", ") + destination.name;
  }
  return Error::not_found(fmt::format("there is no destination {}; there is {}", name, known));
}

Event test_event(const Clock& clock) {
  Event event;
  event.type = EventType::kTest;
  event.time = clock.now();
  event.message = "a test, sent by \"pitr notify\" on " + host_name();
  event.details["host"] = host_name();
  return event;
}

std::string text_of(const Destination& destination, const Result<void>& sent) {
  const auto what = fmt::format("{}: {}", destination.name, describe(destination));
  if (sent) return what + " was told";
  const auto& error = sent.error();
  return fmt::format("{} was NOT told: {}{}{}", what, error.message(),
                     error.hint().empty() ? "" : "; ", error.hint());
}

nlohmann::json json_of(const Destination& destination, const Result<void>& sent) {
  nlohmann::json json{
      {"destination", destination.name}, {"to", describe(destination)}, {"told", sent.has_value()}};
  if (!sent) json["error"] = sent.error().message();
  if (!sent && !sent.error().hint().empty()) json["fix"] = sent.error().hint();
  return json;
}

}  // namespace

Result<int> run_notify(const CommandContext& context, const std::string& destination) {
  const auto chosen = TRY(choose(context.config(), destination));
  const SystemClock clock;
  int code = kExitSuccess;
  auto list = nlohmann::json::array();
  for (const auto& one : chosen) {
    // Once, whatever its filter says: somebody waits for the answer.
    const auto sent =
        make_transport(one, clock, host_name())->send(new_delivery(test_event(clock)), {});
    if (!sent && code == kExitSuccess) code = exit_code(sent.error().kind());
    if (context.json()) {
      list.push_back(json_of(one, sent));
    } else {
      print(text_of(one, sent));
    }
  }
  if (context.json()) print(list.dump(2));
  return code;
}

}  // namespace pitr
