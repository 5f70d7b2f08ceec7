// The file that says which tokens the API takes over TCP. A token's text is shown once, when it is
// made; the file has its SHA-256 alone, which suffices since a token is 256 random bits. A line for
// each:
//   <name> <role> <sha256> <created> <expires, or "never"> <cluster>[,<cluster>]... or "*"
// with times such as 2026-03-01T09:15:00Z. Empty lines and those that begin with "#" are skipped.
// Functions only; thread-safe.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/api/caller.h"
#include "codec/digest.h"
#include "common/clock.h"
#include "common/file.h"

namespace pitr {

struct ApiToken {
  std::string name;  // [a-z0-9][a-z0-9_-]{0,62}
  Role role = Role::kViewer;
  Sha256Digest digest{};
  Timestamp created;
  std::optional<Timestamp> expires;
  std::vector<std::string> clusters;  // empty: all

  bool is_expired(Timestamp now) const { return expires && *expires <= now; }
};

bool is_token_name(std::string_view name);
// "pitr_" and 64 hexadecimal digits.
Result<std::string> make_token_text();
Sha256Digest token_digest(std::string_view text);

// kInvalid with the line's number where one isn't as it should be.
Result<std::vector<ApiToken>> parse_tokens(std::string_view text, const std::string& shown_path);
std::string tokens_text(const std::vector<ApiToken>& tokens);

// kNotFound where there is no file; kDenied where others may write to it.
Result<std::vector<ApiToken>> read_token_file(const Path& path);
// Reads it (nothing where there is none), lets `change` change it, and replaces it durably, so that
// an agent sees either. A new one has mode 0640 and the directory's group. Others who do the same
// wait.
Result<void> change_token_file(
    const Path& path, const std::function<Result<void>(std::vector<ApiToken>& tokens)>& change);

}  // namespace pitr
