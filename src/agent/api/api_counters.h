// How requests to the API over TCP ended, since the agent started. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

namespace pitr {

enum class ApiOutcome : std::uint8_t {
  kSuccess,
  kFailure,          // the request was wrong, or what it asked for failed
  kUnauthenticated,  // no token, or none that counts
  kForbidden,        // the role does not suffice
  kLimited,          // too many requests
};

class ApiCounters {
 public:
  static constexpr std::array<std::string_view, 5> kNames{"success", "failure", "unauthenticated",
                                                          "forbidden", "limited"};
  void count(ApiOutcome outcome) { ++counts_[static_cast<std::size_t>(outcome)]; }
  std::uint64_t of(std::size_t outcome) const { return counts_[outcome]; }

 private:
  std::array<std::atomic<std::uint64_t>, kNames.size()> counts_{};
};

}  // namespace pitr
