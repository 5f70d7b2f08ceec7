// Who is told of which events, and how: as the configuration says it. Plain values.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "codec/secret_source.h"
#include "common/file.h"
#include "notify/event.h"

namespace pitr {

struct WebhookOptions {
  std::string url;  // http or https; empty where url_source has it
  SecretSource url_source;
  SecretSource secret;          // signs what is sent; kNone: it isn't signed
  std::optional<Path> ca_file;  // instead of the system's
  Milliseconds timeout{10'000};
  friend bool operator==(const WebhookOptions&, const WebhookOptions&) = default;
};

struct EmailOptions {
  // From the start, by STARTTLS or not at all, by STARTTLS where the server offers it, never.
  enum class Tls { kSmtps, kRequired, kOptional, kOff };
  std::string host;
  std::uint16_t port = 587;
  Tls tls = Tls::kRequired;
  std::string from;
  std::vector<std::string> to;
  std::string user;  // empty: user_source has it, or nobody logs in
  SecretSource user_source;
  SecretSource password;
  std::optional<Path> ca_file;
  Milliseconds timeout{30'000};
  bool logs_in() const { return !user.empty() || user_source.kind != SecretSource::Kind::kNone; }
  friend bool operator==(const EmailOptions&, const EmailOptions&) = default;
};

struct CommandOptions {
  std::vector<std::string> arguments;  // the program's absolute path first; no shell
  Milliseconds timeout{30'000};
  friend bool operator==(const CommandOptions&, const CommandOptions&) = default;
};

// What a destination is told of.
struct EventFilter {
  std::set<EventType> types;  // empty: by severity
  EventSeverity least = EventSeverity::kInfo;
  std::set<std::string> clusters;  // empty: all; events without a cluster always pass
  bool passes(const Event& event) const;
  friend bool operator==(const EventFilter&, const EventFilter&) = default;
};

struct Destination {
  std::string name;
  // Exactly one of these.
  std::optional<WebhookOptions> webhook;
  std::optional<EmailOptions> email;
  std::optional<CommandOptions> command;
  EventFilter filter;
  Milliseconds collapse{3'600'000};  // repeated troubles are one message within so long; 0: never
  Milliseconds give_up{3'600'000};   // after so long without success
  friend bool operator==(const Destination&, const Destination&) = default;
};

// "webhook https://hooks.example.com", "e-mail to a@example.com by mail.example.com:587": without
// anything of the URL that may be secret.
std::string describe(const Destination& destination);
// The URL's scheme, host and port.
std::string url_origin(const std::string& url);
// Reads every secret once; the first error.
Result<void> check_secrets(const Destination& destination);

}  // namespace pitr
