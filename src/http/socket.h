// What the server's sockets have in common, whatever their family: being woken, waiting for
// connections, and the ByteStream over one.
//
// Waiting ends when the Wake is set: reads give kCancelled at once, writes have a second left.
#pragma once

#include <memory>
#include <string>

#include "common/clock.h"
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

// Where connections come in. Used by one thread; destroying it ends listening.
class Listener {
 public:
  virtual ~Listener() = default;
  // kTransient at the deadline, kCancelled once `wake` is set.
  virtual Result<UniqueFd> accept(const Wake& wake, SteadyTime deadline) = 0;
};

// accept() for a listening socket that doesn't block; `name` is for messages.
Result<UniqueFd> accept_from(int listening_fd, const Wake& wake, SteadyTime deadline,
                             const std::string& name);

// `wake` must outlive the stream.
std::unique_ptr<ByteStream> make_stream(UniqueFd socket, const Wake& wake);

}  // namespace pitr::http
