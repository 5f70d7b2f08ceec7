#include "notify/destination.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace pitr {

bool EventFilter::passes(const Event& event) const {
  if (!clusters.empty() && !event.cluster.empty() && !clusters.contains(event.cluster)) {
    return false;
  }
  if (!types.empty()) return types.contains(event.type);
  return severity_of(event.type) >= least;
}

std::string url_origin(const std::string& url) {
  const auto scheme = url.find("://");
  if (scheme == std::string::npos) return "(no URL)";
  auto host = url.substr(scheme + 3, url.find_first_of("/?#\\", scheme + 3) - scheme - 3);
  if (const auto user = host.rfind('@'); user != std::string::npos) host.erase(0, user + 1);
  return url.substr(0, scheme + 3) + host;
}

std::string describe(const Destination& destination) {
  if (const auto& webhook = destination.webhook) {
    return "webhook " + (webhook->url.empty() ? "(its URL is secret)" : url_origin(webhook->url));
  }
  if (const auto& email = destination.email) {
    return fmt::format("e-mail to {} by {}:{}", fmt::join(email->to, ", "), email->host,
                       email->port);
  }
  return destination.command ? "command " + destination.command->arguments.front() : "nobody";
}

Result<void> check_secrets(const Destination& destination) {
  const auto check = [](const SecretSource& source, const char* what) -> Result<void> {
    if (source.kind != SecretSource::Kind::kNone) TRY(read_secret(source, what));
    return {};
  };
  if (const auto& webhook = destination.webhook) {
    TRY(check(webhook->url_source, "url"));
    TRY(check(webhook->secret, "secret"));
  }
  if (const auto& email = destination.email) {
    TRY(check(email->user_source, "user"));
    TRY(check(email->password, "password"));
  }
  return {};
}

}  // namespace pitr
