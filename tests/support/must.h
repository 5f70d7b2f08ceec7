// Results in tests: must(...) gives the value or fails the test with the error and its place.
//
//   auto cluster = must(TestCluster::create());
//   must(cluster.start());
//
// It throws, which GoogleTest turns into a failure of the running test; in a thread of its own a
// test handles the Result itself.
#pragma once

#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>

#include "common/result.h"

namespace pitr::test {

[[noreturn]] void fail_test(const Error& error, const std::source_location& where);

template <typename T>
T must(Result<T> result, const std::source_location& where = std::source_location::current()) {
  if (!result.has_value()) fail_test(result.error(), where);
  if constexpr (!std::is_void_v<T>) return std::move(result).value();
}

}  // namespace pitr::test
