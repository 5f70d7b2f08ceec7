// Which token is whose, as the token file says now: the file is looked at with every request, so
// that a token that was removed stops working at once. A file that can't be read lets nobody in.
// Thread-safe; the clock must outlive it.
#pragma once

#include <sys/stat.h>

#include <mutex>
#include <optional>

#include "agent/api/token_file.h"

namespace pitr {

class TokenStore {
 public:
  TokenStore(Path file, const Clock& clock) : file_(std::move(file)), clock_(clock) {}

  // nullopt where it is unknown or expired: all alike, and after the same work.
  std::optional<Caller> authenticate(std::string_view token_text);
  // Whether any token could be right.
  bool has_tokens();
  const Path& file() const { return file_; }

 private:
  void look();

  const Path file_;
  const Clock& clock_;
  std::mutex mutex_;
  struct stat seen_{};  // guarded, as are the next
  std::vector<ApiToken> tokens_;
  std::string problem_;  // that was logged
};

}  // namespace pitr
