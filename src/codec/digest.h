// Digests: XXH3 against accidents (fast, no protection from an attacker) and SHA-256. One-shot and
// streaming. The streaming ones belong to one thread each. CRC-32C, which is PostgreSQL's, is in
// postgres/.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <string>

#include "common/bytes.h"

struct XXH3_state_s;
struct evp_md_ctx_st;

namespace pitr {

struct Digest128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  friend auto operator<=>(const Digest128&, const Digest128&) = default;
};
std::string to_hex(const Digest128& digest);  // 32 digits, high half first, as xxhsum prints it

std::uint64_t xxh3_64(ByteView bytes, std::uint64_t seed = 0);
Digest128 xxh3_128(ByteView bytes);

namespace detail {
struct FreeXxh3State {
  void operator()(XXH3_state_s* state) const;
};
struct FreeDigestContext {
  void operator()(evp_md_ctx_st* context) const;
};
}  // namespace detail

class Xxh3Stream64 {
 public:
  Xxh3Stream64();
  void update(ByteView bytes);
  std::uint64_t digest() const;  // of everything so far
  void reset();

 private:
  std::unique_ptr<XXH3_state_s, detail::FreeXxh3State> state_;
};

class Xxh3Stream128 {
 public:
  Xxh3Stream128();
  void update(ByteView bytes);
  Digest128 digest() const;  // of everything so far
  void reset();

 private:
  std::unique_ptr<XXH3_state_s, detail::FreeXxh3State> state_;
};

using Sha256Digest = std::array<std::uint8_t, 32>;
Sha256Digest sha256(ByteView bytes);

class Sha256Stream {
 public:
  Sha256Stream();
  void update(ByteView bytes);
  Sha256Digest finish();  // and begins anew

 private:
  std::unique_ptr<evp_md_ctx_st, detail::FreeDigestContext> context_;
};

}  // namespace pitr
