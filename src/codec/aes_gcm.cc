#include "codec/aes_gcm.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

namespace pitr {

static Error openssl_error(std::string_view what) {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  return Error::internal(std::string(what) + ": " + text.data());
}

struct AesGcm::Context {
  struct Free {
    void operator()(EVP_CIPHER_CTX* evp_context) const { EVP_CIPHER_CTX_free(evp_context); }
  };
  std::unique_ptr<EVP_CIPHER_CTX, Free> evp{EVP_CIPHER_CTX_new()};
  int encrypts = 0;

  // Nonce and associated data; then the message itself.
  bool run(const GcmNonce& nonce, ByteView associated, ByteView from, std::uint8_t* into) {
    int size = 0;
    return EVP_CipherInit_ex2(evp.get(), nullptr, nullptr, nonce.data(), encrypts, nullptr) == 1 &&
           EVP_CipherUpdate(evp.get(), nullptr, &size, associated.data(),
                            static_cast<int>(associated.size())) == 1 &&
           (from.empty() || EVP_CipherUpdate(evp.get(), into, &size, from.data(),
                                             static_cast<int>(from.size())) == 1);
  }
};

AesGcm::AesGcm(std::unique_ptr<Context> context) : context_(std::move(context)) {}
AesGcm::AesGcm(AesGcm&&) noexcept = default;
AesGcm& AesGcm::operator=(AesGcm&&) noexcept = default;
AesGcm::~AesGcm() = default;

Result<AesGcm> AesGcm::create(Direction direction) {
  static EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  auto context = std::make_unique<Context>();
  context->encrypts = direction == Direction::kSeal ? 1 : 0;
  if (cipher == nullptr || context->evp == nullptr ||
      EVP_CipherInit_ex2(context->evp.get(), cipher, nullptr, nullptr, context->encrypts,
                         nullptr) != 1) {
    return openssl_error("starting AES-256-GCM");
  }
  return AesGcm(std::move(context));
}

Result<void> AesGcm::set_key(const Secret256& key) {
  if (EVP_CipherInit_ex2(context_->evp.get(), nullptr, key.bytes().data(), nullptr,
                         context_->encrypts, nullptr) != 1) {
    return openssl_error("setting a key for AES-256-GCM");
  }
  return {};
}

Result<GcmTag> AesGcm::seal(const GcmNonce& nonce, ByteView associated, ByteView plain,
                            std::uint8_t* into) {
  GcmTag tag{};
  int size = 0;
  auto* evp = context_->evp.get();
  if (!context_->run(nonce, associated, plain, into) ||
      EVP_CipherFinal_ex(evp, tag.data(), &size) != 1 ||
      EVP_CIPHER_CTX_ctrl(evp, EVP_CTRL_AEAD_GET_TAG, kGcmTagSize, tag.data()) != 1) {
    return openssl_error("sealing with AES-256-GCM");
  }
  return tag;
}

Result<bool> AesGcm::open(const GcmNonce& nonce, ByteView associated, ByteView sealed, ByteView tag,
                          std::uint8_t* into) {
  GcmTag expected{};
  if (tag.size() != expected.size()) return false;
  std::copy(tag.begin(), tag.end(), expected.begin());
  int size = 0;
  auto* evp = context_->evp.get();
  if (!context_->run(nonce, associated, sealed, into) ||
      EVP_CIPHER_CTX_ctrl(evp, EVP_CTRL_AEAD_SET_TAG, kGcmTagSize, expected.data()) != 1) {
    return openssl_error("opening with AES-256-GCM");
  }
  std::array<std::uint8_t, kGcmTagSize> rest{};
  return EVP_CipherFinal_ex(evp, rest.data(), &size) == 1;
}

Result<void> hkdf_sha256(const Secret256& key, ByteView salt, std::string_view info,
                         MutableByteView into) {
  struct Free {
    void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
  };
  static EVP_KDF* const kdf = EVP_KDF_fetch(nullptr, "HKDF", nullptr);
  const std::unique_ptr<EVP_KDF_CTX, Free> context(kdf == nullptr ? nullptr : EVP_KDF_CTX_new(kdf));
  char digest[] = "SHA256";
  // OpenSSL takes pointers to non-const and does not write through them.
  const auto octets = [](const char* name, const void* data, std::size_t size) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<void*>(data), size);
  };
  const std::array parameters{OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
                              octets(OSSL_KDF_PARAM_KEY, key.bytes().data(), key.bytes().size()),
                              octets(OSSL_KDF_PARAM_SALT, salt.data(), salt.size()),
                              octets(OSSL_KDF_PARAM_INFO, info.data(), info.size()),
                              OSSL_PARAM_construct_end()};
  if (context == nullptr ||
      EVP_KDF_derive(context.get(), into.data(), into.size(), parameters.data()) != 1) {
    return openssl_error("deriving a key with HKDF-SHA-256");
  }
  return {};
}

}  // namespace pitr
