#include "common/error.h"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>

namespace pitr {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kTransient:
      return "transient";
    case ErrorKind::kNotFound:
      return "not-found";
    case ErrorKind::kConflict:
      return "conflict";
    case ErrorKind::kCorrupt:
      return "corrupt";
    case ErrorKind::kInvalid:
      return "invalid";
    case ErrorKind::kDenied:
      return "denied";
    case ErrorKind::kCancelled:
      return "cancelled";
    case ErrorKind::kInternal:
      return "internal";
  }
  return "unknown";
}

Error Error::with_context(std::string_view context) && {
  message_ = fmt::format("{}: {}", context, message_);
  return std::move(*this);
}

Error Error::with_hint(std::string hint) && {
  hint_ = std::move(hint);
  return std::move(*this);
}

static ErrorKind kind_of_errno(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      return ErrorKind::kNotFound;
    case EEXIST:
    case ENOTEMPTY:
      return ErrorKind::kConflict;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorKind::kDenied;
    case EINVAL:
    case ENAMETOOLONG:
    case EISDIR:
      return ErrorKind::kInvalid;
    case ECANCELED:
      return ErrorKind::kCancelled;
    default:
      return ErrorKind::kTransient;
  }
}

static std::string_view hint_of_errno(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return "free space there or raise the quota; it will be tried again";
    case EACCES:
    case EPERM:
      return "give the user that runs pitr permission to read and write there";
    case EROFS:
      return "the file system is mounted read-only: mount it for writing";
    default:
      return {};
  }
}

Error Error::from_errno(int error_number, std::string_view what) {
  Error error(kind_of_errno(error_number),
              fmt::format("{}: {}", what, std::generic_category().message(error_number)));
  error.hint_ = hint_of_errno(error_number);
  return error;
}

}  // namespace pitr
