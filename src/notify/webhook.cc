#include <fmt/format.h>

#include "codec/digest.h"
#include "notify/curl_request.h"
#include "notify/transport.h"

namespace pitr {

std::string webhook_signature(const std::string& secret, std::int64_t unix_seconds,
                              const std::string& body) {
  const auto signed_text = fmt::format("{}.{}", unix_seconds, body);
  return fmt::format("t={},v1={}", unix_seconds,
                     to_hex(hmac_sha256(as_bytes(secret), as_bytes(signed_text))));
}

static Result<void> judge(long status) {
  if (status >= 200 && status < 300) return {};
  const auto text = fmt::format("the receiver answers with HTTP status {}", status);
  if (status >= 300 && status < 400) {
    return Error::transient(text + ", a redirect, which isn't followed")
        .with_hint("write the URL that it leads to into the configuration");
  }
  // Of these it is the message that the receiver doesn't like.
  if (status == 400 || status == 413 || status == 415 || status == 422) return Error::invalid(text);
  return Error::transient(text);
}

namespace {

class Webhook final : public Transport {
 public:
  Webhook(const WebhookOptions& options, const Clock& clock) : options_(options), clock_(clock) {}

  Result<void> send(const Delivery& delivery, std::stop_token stop) override {
    auto url = SecretText(options_.url);
    if (options_.url.empty())
      url = TRY(read_secret(options_.url_source, "url", kSecretTimeout, stop));
    const auto body = to_json_text(delivery.event);
    std::vector<std::string> headers{
        "Content-Type: application/json", "User-Agent: pitr",
        fmt::format("X-Pitr-Event: {}", to_string(delivery.event.type)),
        "X-Pitr-Delivery: " + delivery.id};
    if (options_.secret.kind != SecretSource::Kind::kNone) {
      const auto secret = TRY(read_secret(options_.secret, "secret", kSecretTimeout, stop));
      const auto now = clock_.now().unix_us() / 1'000'000;
      headers.push_back("X-Pitr-Signature: " + webhook_signature(secret.text(), now, body));
    }
    auto request = TRY(CurlRequest::create(url.text(), options_.timeout));
    if (options_.ca_file) request.set_ca_file(*options_.ca_file);
    request.post(body, headers);
    CurlRequest::Answer answer;
    TRY(request.perform(answer, std::move(stop)));
    return judge(answer.status);
  }

 private:
  const WebhookOptions options_;
  const Clock& clock_;
};

}  // namespace

std::unique_ptr<Transport> make_webhook(const WebhookOptions& options, const Clock& clock) {
  return std::make_unique<Webhook>(options, clock);
}

}  // namespace pitr
