// Unix sockets: a listener that owns its file, and connecting.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "common/file.h"
#include "common/result.h"
#include "http/socket.h"

namespace pitr::http {

class UnixListener final : public Listener {
 public:
  // Replaces a socket file on which nobody answers. A lock beside it (<path>.lock) keeps two
  // processes from doing so at once; kConflict where another one listens.
  static Result<UnixListener> open(const Path& path, unsigned mode,
                                   const std::optional<std::string>& group);
  UnixListener(UnixListener&&) = default;
  ~UnixListener() override;

  Result<UniqueFd> accept(const Wake& wake, SteadyTime deadline) override;

 private:
  UnixListener(UniqueFd lock, Path path) : lock_(std::move(lock)), path_(std::move(path)) {}
  Result<void> bind(unsigned mode, const std::optional<std::string>& group);

  UniqueFd lock_;
  UniqueFd fd_;
  Path path_;
  unsigned long inode_ = 0;  // of the socket file, so that only the own one is removed
};

// kNotFound where there is no socket or nobody listens on it; kTransient where somebody does but
// takes no connection within the time-out.
Result<UniqueFd> connect_unix(const Path& path, Milliseconds timeout, std::stop_token stop);

}  // namespace pitr::http
