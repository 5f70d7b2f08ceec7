// How one message reaches its destination. Thread-safe; one call takes no longer than the
// destination's timeout, and ends soon when a stop is asked for.
#pragma once

#include <memory>
#include <stop_token>

#include "notify/outbox.h"

namespace pitr {

inline constexpr Seconds kSecretTimeout{30};  // of a command that prints a secret

class Transport {
 public:
  virtual ~Transport() = default;
  // Success means taken by the receiver. kInvalid: this message is refused, and trying again
  // doesn't help; other errors may pass. Errors hold no secret, nor what may be one in a URL.
  virtual Result<void> send(const Delivery& delivery, std::stop_token stop) = 0;
};

// host: of this machine, for people.
std::unique_ptr<Transport> make_transport(const Destination& destination, const Clock& clock,
                                          std::string host);

// One of the three each.
std::unique_ptr<Transport> make_webhook(const WebhookOptions& options, const Clock& clock);
std::unique_ptr<Transport> make_email(const EmailOptions& options, const Clock& clock,
                                      std::string host);
std::unique_ptr<Transport> make_command(const CommandOptions& options);

// "t=<unix>,v1=<hex>": HMAC-SHA-256 of "<unix>.<body>".
std::string webhook_signature(const std::string& secret, std::int64_t unix_seconds,
                              const std::string& body);

}  // namespace pitr
