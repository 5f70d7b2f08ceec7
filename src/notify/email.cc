#include <fmt/format.h>

#include "notify/curl_request.h"
#include "notify/mail_text.h"
#include "notify/transport.h"

namespace pitr {
namespace {

CurlRequest::StartTls start_tls(EmailOptions::Tls tls) {
  switch (tls) {
    case EmailOptions::Tls::kOptional:
      return CurlRequest::StartTls::kOptional;
    case EmailOptions::Tls::kOff:
      return CurlRequest::StartTls::kOff;
    default:
      return CurlRequest::StartTls::kRequired;
  }
}

class Email final : public Transport {
 public:
  Email(const EmailOptions& options, const Clock& clock, std::string host)
      : options_(options), clock_(clock), host_(std::move(host)) {}

  Result<void> send(const Delivery& delivery, std::stop_token stop) override {
    const auto* scheme = options_.tls == EmailOptions::Tls::kSmtps ? "smtps" : "smtp";
    auto request = TRY(CurlRequest::create(
        fmt::format("{}://{}:{}/{}", scheme, options_.host, options_.port, host_),
        options_.timeout));
    if (options_.ca_file) request.set_ca_file(*options_.ca_file);
    if (options_.logs_in()) TRY(log_in(request, stop));
    std::vector<std::string> recipients;
    for (const auto& address : options_.to) recipients.push_back("<" + address + ">");
    request.mail("<" + options_.from + ">", recipients,
                 mail_text(delivery, options_.from, options_.to, host_, clock_.now()),
                 start_tls(options_.tls));
    CurlRequest::Answer answer;
    auto sent = request.perform(answer, std::move(stop));
    if (sent || answer.status < 400) return sent;
    auto error = std::move(sent).error().with_context(
        fmt::format("the mail server answers with {}", answer.status));
    // Of these it is the message, or an address, that the server doesn't like.
    if (answer.status >= 550 && answer.status <= 554) return Error::invalid(error.message());
    return error;
  }

 private:
  Result<void> log_in(CurlRequest& request, const std::stop_token& stop) const {
    auto user = SecretText(options_.user);
    if (options_.user.empty())
      user = TRY(read_secret(options_.user_source, "user", kSecretTimeout, stop));
    const auto password = TRY(read_secret(options_.password, "password", kSecretTimeout, stop));
    request.log_in(user.text(), password.text());
    return {};
  }

  const EmailOptions options_;
  const Clock& clock_;
  const std::string host_;
};

}  // namespace

std::unique_ptr<Transport> make_email(const EmailOptions& options, const Clock& clock,
                                      std::string host) {
  return std::make_unique<Email>(options, clock, std::move(host));
}

std::unique_ptr<Transport> make_transport(const Destination& destination, const Clock& clock,
                                          std::string host) {
  if (destination.webhook) return make_webhook(*destination.webhook, clock);
  if (destination.email) return make_email(*destination.email, clock, std::move(host));
  return make_command(destination.command.value_or(CommandOptions()));
}

}  // namespace pitr
