#include "codec/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <new>

#include "codec/xxh3.h"

namespace pitr {

// The first call, while there is one thread. Short input (up to 240 bytes) leaves the choice open.
static constexpr std::array<std::uint8_t, 256> kLongInput{};
[[maybe_unused]] static const auto chosen = XXH3_64bits(kLongInput.data(), kLongInput.size());

static Digest128 canonical(XXH128_hash_t hash) {
  Digest128 digest;
  store_big_endian(digest.data(), hash.high64);
  store_big_endian(digest.data() + 8, hash.low64);
  return digest;
}

std::uint64_t xxh3_64(ByteView bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::uint64_t xxh3_64(ByteView bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

Digest128 xxh3_128(ByteView bytes) {
  return canonical(XXH3_128bits(bytes.data(), bytes.size()));
}

struct Xxh3Stream::State {
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> xxh3{XXH3_createState()};
};

Xxh3Stream::Xxh3Stream() : state_(std::make_unique<State>()) {
  if (state_->xxh3 == nullptr) throw std::bad_alloc();
  XXH3_128bits_reset(state_->xxh3.get());
}
Xxh3Stream::Xxh3Stream(Xxh3Stream&&) noexcept = default;
Xxh3Stream& Xxh3Stream::operator=(Xxh3Stream&&) noexcept = default;
Xxh3Stream::~Xxh3Stream() = default;

void Xxh3Stream::update(ByteView bytes) {
  XXH3_128bits_update(state_->xxh3.get(), bytes.data(), bytes.size());
}

Digest128 Xxh3Stream::digest() const {
  return canonical(XXH3_128bits_digest(state_->xxh3.get()));
}

struct Sha256Stream::State {
  struct Free {
    void operator()(EVP_MD_CTX* evp) const { EVP_MD_CTX_free(evp); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context{EVP_MD_CTX_new()};
  // Fetched once: EVP_sha256() would be looked up in the provider at every reset.
  static const EVP_MD* algorithm() {
    static const EVP_MD* const fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    return fetched;
  }
  void reset() {
    if (context == nullptr || EVP_DigestInit_ex2(context.get(), algorithm(), nullptr) != 1) {
      throw std::bad_alloc();  // the only way for it to fail: SHA-256 is always there
    }
  }
};

Sha256Stream::Sha256Stream() : state_(std::make_unique<State>()) {
  state_->reset();
}
Sha256Stream::Sha256Stream(Sha256Stream&&) noexcept = default;
Sha256Stream& Sha256Stream::operator=(Sha256Stream&&) noexcept = default;
Sha256Stream::~Sha256Stream() = default;

void Sha256Stream::update(ByteView bytes) {
  EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size());
}

Sha256Digest Sha256Stream::finish() {
  Sha256Digest digest{};
  EVP_DigestFinal_ex(state_->context.get(), digest.data(), nullptr);
  state_->reset();
  return digest;
}

Sha256Digest hmac_sha256(ByteView key, ByteView bytes) {
  Sha256Digest digest{};
  unsigned size = 0;
  // Without a key there is still one, of no bytes.
  static constexpr std::uint8_t kNoKey = 0;
  const auto* done =
      HMAC(EVP_sha256(), key.empty() ? &kNoKey : key.data(), static_cast<int>(key.size()),
           bytes.data(), bytes.size(), digest.data(), &size);
  if (done == nullptr) throw std::bad_alloc();
  return digest;
}

Sha256Digest sha256(ByteView bytes) {
  Sha256Stream stream;
  stream.update(bytes);
  return stream.finish();
}

}  // namespace pitr
