#include "agent/api/token_store.h"

#include "codec/constant_time.h"
#include "common/log.h"

namespace pitr {

static bool is_same_file(const struct stat& a, const struct stat& b) {
  return a.st_ino == b.st_ino && a.st_size == b.st_size && a.st_mode == b.st_mode &&
         a.st_ctim.tv_sec == b.st_ctim.tv_sec && a.st_ctim.tv_nsec == b.st_ctim.tv_nsec &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

// Caller holds the lock. What is wrong with the file is logged once.
void TokenStore::look() {
  struct stat now{};
  if (::stat(file_.c_str(), &now) != 0) now = {};
  if (is_same_file(now, seen_)) return;
  seen_ = now;
  tokens_.clear();
  auto tokens = read_token_file(file_);
  if (tokens) {
    tokens_ = std::move(*tokens);
    problem_.clear();
    return;
  }
  const auto& error = tokens.error();
  // Such as no descriptor left: the file itself may be right.
  if (error.kind() == ErrorKind::kTransient) seen_ = {};
  if (error.kind() == ErrorKind::kNotFound || error.message() == problem_) return;
  problem_ = error.message();
  log::error("the API takes no token: {}{}{}", problem_, error.hint().empty() ? "" : "; ",
             error.hint());
}

std::optional<Caller> TokenStore::authenticate(std::string_view token_text) {
  const auto digest = token_digest(token_text);
  const auto now = clock_.now();
  std::lock_guard lock(mutex_);
  look();
  std::optional<Caller> caller;
  for (const auto& token : tokens_) {
    if (!equal_in_constant_time(token.digest, digest) || token.is_expired(now)) continue;
    caller = Caller{"token " + token.name, token.role, token.clusters};
  }
  return caller;
}

bool TokenStore::has_tokens() {
  std::lock_guard lock(mutex_);
  look();
  return !tokens_.empty();
}

}  // namespace pitr
