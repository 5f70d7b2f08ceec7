#include "config/read_destination.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/section.h"

namespace pitr {
namespace {

constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kDigits = "0123456789";
constexpr std::uint16_t kSmtpsPort = 465;

bool consists_of(std::string_view text, const std::string& characters) {
  return text.find_first_not_of(characters) == std::string_view::npos;
}

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

// A name, an IPv4 address, or an IPv6 address in brackets.
bool is_host(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']')) {
    const auto inner = text.substr(1, text.size() - 2);
    return !inner.empty() && consists_of(inner, std::string(kDigits) + "abcdefABCDEF:.");
  }
  return !text.empty() && !text.starts_with('-') &&
         consists_of(text, std::string(kLetters) + std::string(kDigits) + ".-_");
}

bool is_url(const std::string& text) {
  if (!is_printable(text)) return false;
  if (!text.starts_with("http://") && !text.starts_with("https://")) return false;
  auto host = std::string_view(text).substr(text.find("://") + 3);
  host = host.substr(0, host.find_first_of("/?#\\"));
  if (const auto user = host.rfind('@'); user != std::string_view::npos) {
    host.remove_prefix(user + 1);
  }
  if (const auto colon = host.rfind(':'); colon != std::string_view::npos && !host.ends_with(']')) {
    const auto port = host.substr(colon + 1);
    if (port.empty() || port.size() > 5 || !consists_of(port, std::string(kDigits))) return false;
    host = host.substr(0, colon);
  }
  return is_host(host);
}

// What could end a header, or add an address to it, is refused with all else that addresses hardly
// ever hold.
bool is_address(std::string_view text) {
  const auto at = text.find('@');
  if (at == std::string_view::npos || at == 0 || text.size() > 254) return false;
  return is_printable(text) && text.find_first_of("<>()[]\\,;:\"") == std::string_view::npos &&
         is_host(text.substr(at + 1));
}

// "<name>_file", "<name>_env" or "<name>_command"; kNone where none of them is there.
SecretSource read_source(Section& section, const YamlNode& node, const std::string& name) {
  using Kind = SecretSource::Kind;
  SecretSource source;
  int given = 0;
  Path file;
  if (section.read_path(name + "_file", file)) {
    source = {Kind::kFile, file.string()};
    ++given;
  }
  std::string text;
  if (const auto* variable = section.read_text(name + "_env", text)) {
    const auto first = std::string(kLetters) + "_";
    if (text.empty() || !consists_of(text.substr(0, 1), first) ||
        !consists_of(text, first + std::string(kDigits))) {
      // The value is not repeated: somebody may have put the secret itself here.
      section.problem(*variable, fmt::format("\"{0}_env\" must be the name of an environment "
                                             "variable that holds the {0}",
                                             name));
    }
    source = {Kind::kEnvironment, text};
    ++given;
  }
  if (const auto* command = section.read_text(name + "_command", text)) {
    if (text.empty()) {
      section.problem(*command,
                      fmt::format("\"{}_command\" is empty; write a shell command", name));
    }
    source = {Kind::kCommand, text};
    ++given;
  }
  if (given > 1) {
    section.problem(node, fmt::format("only one of {0}_file, {0}_env and {0}_command can be used; "
                                      "remove the others",
                                      name));
  }
  return source;
}

void read_timeout(Section& section, Milliseconds& into) {
  section.read_duration("timeout", into, Seconds(1), std::chrono::minutes(5));
}

void read_ca_file(Section& section, std::optional<Path>& into) {
  Path file;
  if (section.read_path("ca_file", file)) into = file;
}

// Secrets are never in the configuration.
void refuse_inline(Section& section, const std::string& name) {
  if (const auto* node = section.take(name)) {
    section.problem(*node, fmt::format("a {0} doesn't belong into this file; use {0}_file, {0}_env "
                                       "or {0}_command",
                                       name));
  }
}

void read_recipients(Section& section, const YamlNode& node, EmailOptions& into) {
  for (const auto* address : section.read_texts("to", into.to)) {
    if (!is_address(address->text)) {
      section.problem(*address,
                      "\"to\" must hold addresses such as dba@example.com, without names");
    }
  }
  if (!section.take("to")) section.problem(node, "\"email\" lacks \"to\", an address or a list");
}

void read_tls(Section& section, EmailOptions& into) {
  using Tls = EmailOptions::Tls;
  const auto* start_tls = section.read_choice<Tls>(
      "starttls", into.tls,
      {{"required", Tls::kRequired}, {"optional", Tls::kOptional}, {"off", Tls::kOff}});
  bool smtps = false;
  section.read_bool("smtps", smtps);
  if (!smtps) return;
  if (start_tls) {
    section.problem(*start_tls,
                    "with \"smtps: true\" all is encrypted from the start; remove "
                    "\"starttls\"");
  }
  into.tls = Tls::kSmtps;
  into.port = kSmtpsPort;
}

void read_login(Section& section, const YamlNode& node, EmailOptions& into) {
  using Kind = SecretSource::Kind;
  section.read_text("user", into.user);
  into.user_source = read_source(section, node, "user");
  if (!into.user.empty() && into.user_source.kind != Kind::kNone) {
    section.problem(node, "only one of user, user_file, user_env and user_command can be used");
  }
  refuse_inline(section, "password");
  into.password = read_source(section, node, "password");
  const bool has_password = into.password.kind != Kind::kNone;
  if (into.logs_in() != has_password) {
    section.problem(node,
                    "\"user\" and \"password_file\" (or password_env, password_command) "
                    "belong together; add the other one, or remove both");
  }
  if (has_password &&
      (into.tls == EmailOptions::Tls::kOptional || into.tls == EmailOptions::Tls::kOff)) {
    section.problem(node,
                    "a password would go over the network in plain text; write \"starttls: "
                    "required\" or \"smtps: true\", or remove user and password");
  }
}

}  // namespace

WebhookOptions read_webhook(const YamlNode& node, Problems& problems) {
  WebhookOptions options;
  Section section(node, "webhook", problems);
  const auto* url = section.read_text("url", options.url);
  if (url && !is_url(options.url)) {
    section.problem(*url, "\"url\" must be a URL such as https://hooks.example.com/pitr");
  }
  options.url_source = read_source(section, node, "url");
  const bool has_source = options.url_source.kind != SecretSource::Kind::kNone;
  if ((url != nullptr) == has_source) {
    section.problem(node,
                    "\"webhook\" needs exactly one of url, url_file, url_env and "
                    "url_command");
  }
  refuse_inline(section, "secret");
  options.secret = read_source(section, node, "secret");
  read_ca_file(section, options.ca_file);
  read_timeout(section, options.timeout);
  return options;
}

EmailOptions read_email(const YamlNode& node, Problems& problems) {
  EmailOptions options;
  Section section(node, "email", problems);
  const auto* host = section.read_text("host", options.host);
  if (host && !is_host(options.host)) {
    section.problem(*host, "\"host\" must be the mail server's name or address, without a port");
  }
  if (!host) section.problem(node, "\"email\" lacks \"host\", the mail server");
  read_tls(section, options);
  std::int64_t port = options.port;
  section.read_number("port", port, 1, 65'535);
  options.port = static_cast<std::uint16_t>(port);
  const auto* from = section.read_text("from", options.from);
  if (from && !is_address(options.from)) {
    section.problem(*from, "\"from\" must be an address such as pitr@example.com, without a name");
  }
  if (!from) section.problem(node, "\"email\" lacks \"from\", the sender's address");
  read_recipients(section, node, options);
  read_login(section, node, options);
  read_ca_file(section, options.ca_file);
  read_timeout(section, options.timeout);
  return options;
}

CommandOptions read_command(const YamlNode& node, Problems& problems) {
  CommandOptions options;
  Section section(node, "command", problems);
  const auto arguments = section.read_texts("run", options.arguments);
  if (!section.take("run")) {
    section.problem(node, "\"command\" lacks \"run\", such as [/usr/local/bin/tell, --urgent]");
  } else if (!arguments.empty() && !arguments.front()->text.starts_with('/')) {
    section.problem(*arguments.front(),
                    "\"run\" must begin with a program's absolute path; its "
                    "arguments follow as a list, and no shell reads them");
  }
  read_timeout(section, options.timeout);
  return options;
}

}  // namespace pitr
