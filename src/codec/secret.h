// Secret bytes that are wiped when they go, and the system's random generator.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "common/bytes.h"
#include "common/result.h"

namespace pitr {

// Overwrites in a way that the compiler doesn't leave out.
void wipe(MutableByteView bytes);
void wipe(std::string& text);

// 256 secret bits. Copies are wiped each on their own.
class Secret256 {
 public:
  static constexpr std::size_t kSizeBytes = 32;
  Secret256() = default;
  explicit Secret256(std::span<const std::uint8_t, kSizeBytes> bytes);
  Secret256(const Secret256&) = default;
  Secret256& operator=(const Secret256&) = default;
  ~Secret256() { wipe(bytes_); }

  ByteView view() const { return bytes_; }
  std::span<std::uint8_t, kSizeBytes> mutable_view() { return bytes_; }

 private:
  std::array<std::uint8_t, kSizeBytes> bytes_{};
};

// From a cryptographically secure generator. Fails only where the system has no randomness.
Result<void> fill_random(MutableByteView into);

}  // namespace pitr
