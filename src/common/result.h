// Result<T>: a value or an Error, and TRY to pass the error up.
//
//   Result<Bytes> read_all(const Path& path) {
//     auto file = TRY(File::open(path));
//     return TRY(file.read());
//   }
//
// TRY is used only as a whole initialiser, return or statement: inside an aggregate initialiser or
// an argument list GCC 12 leaks the members that were already built.
#pragma once

#include <expected>
#include <utility>

#include "common/error.h"

namespace pitr {

template <typename T>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using Base = std::expected<T, Error>;
  using Base::Base;
  Result(Error error) : Base(std::unexpect, std::move(error)) {}
};

template <>
class [[nodiscard]] Result<void> : public std::expected<void, Error> {
 public:
  using Base = std::expected<void, Error>;
  using Base::Base;
  Result(Error error) : Base(std::unexpect, std::move(error)) {}
};

// The result with "context: " before an error's message.
template <typename T>
Result<T> with_context(Result<T> result, std::string_view context) {
  if (result.has_value()) return result;
  return std::move(result).error().with_context(context);
}

namespace detail {
template <typename R>
auto take_value(R&& result) {
  if constexpr (std::is_void_v<typename std::remove_cvref_t<R>::value_type>) {
    return;
  } else {
    return std::forward<R>(result).value();
  }
}
}  // namespace detail

}  // namespace pitr

#define TRY(expression)                                     \
  ({                                                        \
    auto try_result_ = (expression);                        \
    if (!try_result_.has_value()) [[unlikely]]              \
      return ::pitr::Error(std::move(try_result_).error()); \
    ::pitr::detail::take_value(std::move(try_result_));     \
  })
