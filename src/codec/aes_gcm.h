// AES-256-GCM and HKDF-SHA-256 on OpenSSL's EVP, for the rest of codec/. An AesGcm keeps its
// context and key schedule for many messages; it belongs to one thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "codec/keyring.h"
#include "common/bytes.h"
#include "common/result.h"

namespace pitr {

inline constexpr std::size_t kGcmTagSize = 16;
using GcmNonce = std::array<std::uint8_t, 12>;
using GcmTag = std::array<std::uint8_t, kGcmTagSize>;

class AesGcm {
 public:
  enum class Direction { kSeal, kOpen };
  static Result<AesGcm> create(Direction direction);
  AesGcm(AesGcm&&) noexcept;
  AesGcm& operator=(AesGcm&&) noexcept;
  ~AesGcm();

  Result<void> set_key(const Secret256& key);
  // `into` has the size of the input and may be the input.
  Result<GcmTag> seal(const GcmNonce& nonce, ByteView associated, ByteView plain,
                      std::uint8_t* into);
  // False where the tag does not match: then `into` holds nothing to be used.
  Result<bool> open(const GcmNonce& nonce, ByteView associated, ByteView sealed, ByteView tag,
                    std::uint8_t* into);

 private:
  struct Context;
  explicit AesGcm(std::unique_ptr<Context> context);
  std::unique_ptr<Context> context_;
};

Result<void> hkdf_sha256(const Secret256& key, ByteView salt, std::string_view info,
                         MutableByteView into);

}  // namespace pitr
