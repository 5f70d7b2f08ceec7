// Unix sockets: a listener that owns its file, connecting, and the ByteStream over either end.
//
// Waiting ends when the Wake is set: reads give kCancelled at once, writes have a second left.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "common/file.h"
#include "common/result.h"
#include "http/byte_stream.h"

namespace pitr::http {

// A flag that poll(2) can wait for. Thread-safe; once set it stays set.
class Wake {
 public:
  static Result<Wake> create();
  void set() const;
  int fd() const { return fd_.get(); }

 private:
  explicit Wake(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

class UnixListener {
 public:
  // Replaces a socket file on which nobody answers. A lock beside it (<path>.lock) keeps two
  // processes from doing so at once; kConflict where another one listens.
  static Result<UnixListener> open(const Path& path, unsigned mode,
                                   const std::optional<std::string>& group);
  UnixListener(UnixListener&&) = default;
  ~UnixListener();

  // kCancelled once `wake` is set.
  Result<UniqueFd> accept(const Wake& wake);

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

// `wake` must outlive the stream.
std::unique_ptr<ByteStream> make_stream(UniqueFd socket, const Wake& wake);

}  // namespace pitr::http
