#include "codec/frame_seal.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

namespace pitr::container {

static constexpr std::string_view kKeyInfo = "pitr container 1";
static constexpr std::size_t kDerivedSize = 40;
static constexpr std::size_t kKeySize = 32;

namespace {
struct ContainerKey {
  Secret256 key;
  Check check;
};

struct AssociatedData {
  std::array<std::uint8_t, 32 + kFrameHeaderSealedSize + 32> bytes{};
  std::size_t size = 0;

  AssociatedData(const Sha256Digest& context, const std::uint8_t* frame,
                 const std::optional<Sha256Digest>& table_digest) {
    add(context);
    add(ByteView(frame, kFrameHeaderSealedSize));
    if (table_digest) add(*table_digest);
  }
  ByteView view() const { return ByteView(bytes).first(size); }

 private:
  void add(ByteView part) {
    std::ranges::copy(part, bytes.begin() + static_cast<std::ptrdiff_t>(size));
    size += part.size();
  }
};
}  // namespace

static Result<ContainerKey> derive(const DataKey& key, const ContainerId& id) {
  std::array<std::uint8_t, kDerivedSize> derived;
  TRY(hkdf_sha256(key.secret, id, kKeyInfo, derived));
  auto secret = Secret256::from_bytes(ByteView(derived).first(kKeySize));
  Check check;
  std::copy_n(derived.begin() + kKeySize, check.size(), check.begin());
  wipe(derived);
  auto container_key = TRY(std::move(secret));
  return ContainerKey{std::move(container_key), check};
}

static FrameSecrets with_context_of(const Header& header, const ContainerIdentity& identity) {
  static std::atomic<std::uint64_t> serials{0};
  return {std::nullopt, context_of(header, identity), frame_seed(header.id), ++serials};
}

Result<FrameSecrets> make_secrets(Header& header, const ContainerIdentity& identity,
                                  const DataKey* key) {
  TRY(fill_random(header.id));
  if (key == nullptr) return with_context_of(header, identity);
  if (key->epoch == 0) return Error::internal("a data key of epoch 0");
  header.cipher = Cipher::kAes256Gcm;
  header.epoch = key->epoch;
  auto derived = TRY(derive(*key, header.id));
  header.key_check = derived.check;
  auto secrets = with_context_of(header, identity);
  secrets.key = std::move(derived.key);
  return secrets;
}

static Error unknown_epoch(const Header& header, const std::string& object) {
  return Error::denied(fmt::format("{} is sealed with the data key of epoch {}, which is not among "
                                   "the keys that this program has read",
                                   object, header.epoch))
      .with_hint(
          "if the keys were rotated since an agent started, make it read them again (systemctl "
          "reload pitr-agent); \"pitr keys list\" shows which key opens what");
}

static Error wrong_key(const Header& header, const std::string& object) {
  return Error::denied(
             fmt::format("{} is sealed with another data key of epoch {}", object, header.epoch))
      .with_hint("the keyring is not the one of the repository that this object was written to");
}

Result<FrameSecrets> open_secrets(const Header& header, const ContainerIdentity& identity,
                                  const Keyring& keyring) {
  const auto& object = identity.object_name;
  auto secrets = with_context_of(header, identity);
  const bool same_identity = std::ranges::equal(
      header.identity_check, ByteView(secrets.context).first(header.identity_check.size()));
  if (header.kind != identity.kind || !same_identity) {
    return Error::corrupt(object + " holds another object: it was moved, or exchanged");
  }
  if (header.cipher == Cipher::kNone) {
    if (keyring.empty()) return secrets;
    return Error::denied(object + " is not encrypted, in a repository that is")
        .with_hint("pitr did not write it there; find out who did");
  }
  if (keyring.empty()) {
    return Error::denied(object + " is encrypted, and there is no key")
        .with_hint("configure the repository's key");
  }
  const auto* key = keyring.find(header.epoch);
  if (key == nullptr) return unknown_epoch(header, object);
  auto derived = TRY(derive(*key, header.id));
  if (derived.check != header.key_check) return wrong_key(header, object);
  secrets.key = std::move(derived.key);
  return secrets;
}

static GcmNonce nonce_of(std::uint64_t number) {
  GcmNonce nonce{};
  store(nonce.data(), number);
  return nonce;
}

static GcmTag unkeyed_tag(ByteView associated, ByteView payload) {
  thread_local Sha256Stream stream;
  stream.update(associated);
  stream.update(payload);
  const auto digest = stream.finish();
  GcmTag tag;
  std::copy_n(digest.begin(), tag.size(), tag.begin());
  return tag;
}

Result<FrameSealer> FrameSealer::create(const FrameSecrets& secrets) {
  if (!secrets.key) return FrameSealer(secrets, std::nullopt);
  auto cipher = TRY(AesGcm::create(AesGcm::Direction::kSeal));
  TRY(cipher.set_key(*secrets.key));
  return FrameSealer(secrets, std::move(cipher));
}

Result<void> FrameSealer::seal(const FrameHeader& header, ByteView payload,
                               const std::optional<Sha256Digest>& table_digest,
                               std::uint8_t* frame) {
  encode_frame_header(header, secrets_.seed, frame);
  const AssociatedData associated(secrets_.context, frame, table_digest);
  auto* sealed = frame + kFrameHeaderSize;
  GcmTag tag;
  if (cipher_) {
    tag = TRY(cipher_->seal(nonce_of(header.number), associated.view(), payload, sealed));
  } else {
    if (payload.data() != sealed) std::copy_n(payload.data(), payload.size(), sealed);
    tag = unkeyed_tag(associated.view(), payload);
  }
  std::ranges::copy(tag, sealed + header.payload_size);
  return {};
}

// This thread's cipher, with this container's key.
static Result<AesGcm*> opening_cipher(const FrameSecrets& secrets) {
  thread_local std::optional<AesGcm> cipher;
  thread_local std::uint64_t serial = 0;
  if (serial == secrets.serial) return &*cipher;
  if (!cipher) cipher = TRY(AesGcm::create(AesGcm::Direction::kOpen));
  serial = 0;
  TRY(cipher->set_key(*secrets.key));
  serial = secrets.serial;
  return &*cipher;
}

static Result<bool> open_without_cipher(const FrameHeader& header, ByteView associated,
                                        ByteView payload, ByteView tag, MutableByteView into) {
  if (!std::ranges::equal(unkeyed_tag(associated, payload), tag)) return false;
  TRY(decompress(header.compression, payload, into));
  return true;
}

Result<bool> open_sealed_frame(const FrameSecrets& secrets, const FrameHeader& header,
                               ByteView frame, const std::optional<Sha256Digest>& table_digest,
                               MutableByteView into) {
  if (frame.size() != header.stored_size() || into.size() != header.plain_size) {
    return Error::internal("a frame and the room for its bytes have the wrong size");
  }
  const AssociatedData associated(secrets.context, frame.data(), table_digest);
  const auto payload = frame.subspan(kFrameHeaderSize, header.payload_size);
  const auto tag = frame.last(kTagSize);
  if (!secrets.key) {
    return open_without_cipher(header, associated.view(), payload, tag, into);
  }
  auto* cipher = TRY(opening_cipher(secrets));
  const auto nonce = nonce_of(header.number);
  if (header.compression == Compression::kNone) {
    const auto authentic = TRY(cipher->open(nonce, associated.view(), payload, tag, into.data()));
    if (!authentic) std::ranges::fill(into, 0);  // nobody gets to see what was forged
    return authentic;
  }
  thread_local std::array<std::uint8_t, kFrameSize> room;
  Bytes large;  // footers only
  if (payload.size() > room.size()) large.resize(payload.size());
  const auto opened =
      (large.empty() ? MutableByteView(room) : MutableByteView(large)).first(payload.size());
  const auto authentic = TRY(cipher->open(nonce, associated.view(), payload, tag, opened.data()));
  if (!authentic) return false;
  TRY(decompress(header.compression, opened, into));
  return true;
}

Result<Bytes> open_footer(const FrameSecrets& secrets, ByteView footer, ByteView table,
                          std::uint32_t number) {
  const auto header = parse_frame_header(footer, secrets.seed);
  if (!header || !header->last || header->number != number ||
      header->stored_size() != footer.size() || header->plain_size < kFooterPrefixSize) {
    return Error::corrupt("the container's footer makes no sense");
  }
  Bytes plain(header->plain_size);
  const auto authentic = TRY(open_sealed_frame(secrets, *header, footer, sha256(table), plain));
  if (!authentic) return Error::corrupt("the container's footer is not authentic");
  return plain;
}

}  // namespace pitr::container
