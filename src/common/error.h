// What went wrong, in a form that a caller can act on (kind) and a person can read (message).
//
// A message says what happened and to which object; context is added on the way up ("backing up
// cluster main: reading base/5/16384: ..."); the hint says what to do next. Values are immutable
// apart from the with_…() functions; no thread-safety of their own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pitr {

enum class ErrorKind : std::uint8_t {
  kTransient,  // may succeed when tried again: network, busy, storage away
  kNotFound,   // proven absent; never used for "could not find out"
  kConflict,   // something else is already there, or somebody else holds it
  kCorrupt,    // bytes are not what was written
  kInvalid,    // the request, configuration or state cannot work
  kDenied,     // credentials, permissions, wrong key
  kCancelled,  // a stop was asked for
  kInternal,   // a bug in pitr
};

std::string_view to_string(ErrorKind kind);

class Error {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }
  const std::string& hint() const { return hint_; }

  // Puts "context: " before the message.
  Error with_context(std::string_view context) &&;
  Error with_hint(std::string hint) &&;

  static Error transient(std::string message) {
    return {ErrorKind::kTransient, std::move(message)};
  }
  static Error not_found(std::string message) { return {ErrorKind::kNotFound, std::move(message)}; }
  static Error conflict(std::string message) { return {ErrorKind::kConflict, std::move(message)}; }
  static Error corrupt(std::string message) { return {ErrorKind::kCorrupt, std::move(message)}; }
  static Error invalid(std::string message) { return {ErrorKind::kInvalid, std::move(message)}; }
  static Error denied(std::string message) { return {ErrorKind::kDenied, std::move(message)}; }
  static Error cancelled(std::string message) {
    return {ErrorKind::kCancelled, std::move(message)};
  }
  static Error internal(std::string message) { return {ErrorKind::kInternal, std::move(message)}; }

  // From errno. EAGAIN, EINTR, EIO, ENOSPC and time-outs are transient; ENOENT is not found;
  // EACCES, EPERM and EROFS are denied; EEXIST is a conflict. A full or read-only file system and
  // missing permissions come with a hint.
  static Error from_errno(int error_number, std::string_view what);

 private:
  ErrorKind kind_;
  std::string message_;
  std::string hint_;
};

}  // namespace pitr
