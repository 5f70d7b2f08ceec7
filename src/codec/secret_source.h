// A secret as text, and where it comes from: a file, the environment, the output of a command;
// never the configuration itself. Functions only; thread-safe.
#pragma once

#include <stop_token>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "common/result.h"

namespace pitr {

struct SecretSource {
  enum class Kind { kNone, kFile, kEnvironment, kCommand };
  Kind kind = Kind::kNone;
  std::string value;  // the file, the variable's name, or the shell command
  friend bool operator==(const SecretSource&, const SecretSource&) = default;
};

// Text that is wiped when it goes.
class SecretText {
 public:
  SecretText() = default;
  explicit SecretText(std::string text) : text_(std::move(text)) {}
  SecretText(SecretText&& other) noexcept;
  SecretText& operator=(SecretText&& other) noexcept;
  ~SecretText();

  std::string& text() { return text_; }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// As people leave it around a secret: a newline at the end of a file, blanks of a copy.
std::string_view without_white_space_around(std::string_view text);

// The text, without space around it; at most 4 KiB. `what` names it in messages ("key",
// "password"): they never hold the secret, nor the command, which may have a token in it. kDenied
// with a hint where it isn't there, everybody may read the file, or the command fails or takes too
// long; kInvalid where it is empty; kCancelled where a stop ended the command.
Result<SecretText> read_secret(const SecretSource& source, const std::string& what,
                               Seconds timeout = Seconds(30), const std::stop_token& stop = {});

}  // namespace pitr
