#include "codec/keyring.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>

#include "codec/aes_gcm.h"
#include "codec/constant_time.h"
#include "codec/digest.h"

namespace pitr {

// docs/repository-format.md, "Keyring object".
static constexpr std::string_view kMagic = "PITRKEYR";
static constexpr std::uint8_t kVersion = 1;
static constexpr std::size_t kMadeDayOffset = 9;
static constexpr std::uint32_t kLastDay = 0xFF'FFFF;
static constexpr std::size_t kEpochOffset = 12;
static constexpr std::size_t kKekIdOffset = 16;
static constexpr std::size_t kKekIdSize = 8;
static constexpr std::size_t kAssociatedSize = 24;
static constexpr std::size_t kNonceOffset = 24;
static constexpr std::size_t kSecretOffset = 36;
static constexpr std::size_t kTagOffset = 68;
static constexpr std::size_t kCheckOffset = 84;
static constexpr std::size_t kObjectSize = 92;
static constexpr std::string_view kKekIdLabel = "pitr kek id";
static constexpr std::int64_t kMicrosecondsPerDay = 86'400'000'000;

void wipe(MutableByteView bytes) {
  OPENSSL_cleanse(bytes.data(), bytes.size());
}

void wipe(std::string& text) {
  OPENSSL_cleanse(text.data(), text.size());
}

Result<void> fill_random(MutableByteView into) {
  if (RAND_bytes(into.data(), static_cast<int>(into.size())) == 1) return {};
  return Error::internal("the system gives no random bytes");
}

Secret256::~Secret256() {
  wipe(bytes_);
}

Result<Secret256> Secret256::random() {
  Secret256 secret{std::array<std::uint8_t, 32>()};
  TRY(fill_random(secret.bytes_));
  return secret;
}

Result<Secret256> Secret256::from_bytes(ByteView bytes) {
  Secret256 secret{std::array<std::uint8_t, 32>()};
  if (bytes.size() != secret.bytes_.size()) {
    return Error::invalid(fmt::format("a key has 32 bytes, not {}", bytes.size()));
  }
  std::ranges::copy(bytes, secret.bytes_.begin());
  return secret;
}

bool Secret256::same_as(const Secret256& other) const {
  return equal_in_constant_time(bytes_, other.bytes_);
}

std::uint32_t day_of(Timestamp time) {
  const auto day = time.unix_us() / kMicrosecondsPerDay;
  return day < 0 || day > kLastDay ? 0 : static_cast<std::uint32_t>(day);
}

Timestamp start_of_day(std::uint32_t day) {
  return Timestamp::from_unix_us(day * kMicrosecondsPerDay);
}

KeyEncryptionKey::KeyEncryptionKey(Secret256 secret) : secret_(std::move(secret)) {
  Sha256Stream stream;
  stream.update(as_bytes(kKekIdLabel));
  stream.update(secret_.bytes());
  const auto digest = stream.finish();
  id_ = to_hex(ByteView(digest).first(kKekIdSize));
}

Result<KeyEncryptionKey> KeyEncryptionKey::generate() {
  auto secret = TRY(Secret256::random());
  return KeyEncryptionKey(std::move(secret));
}

static Bytes wrapping_associated_data(ByteView object, std::string_view repository_id) {
  ByteWriter associated;
  associated.raw(object.first(kAssociatedSize));
  associated.raw(as_bytes(repository_id));
  return associated.take();
}

Result<Bytes> KeyEncryptionKey::wrap(const DataKey& key, std::string_view repository_id) const {
  if (key.epoch == 0) return Error::internal("a data key of epoch 0");
  if (key.made_day > kLastDay) return Error::internal("a data key made in a far future");
  GcmNonce nonce;
  TRY(fill_random(nonce));
  const auto id = TRY(from_hex(id_));
  ByteWriter object;
  object.raw(as_bytes(kMagic));
  object.u8(kVersion);
  object.raw(std::array{static_cast<std::uint8_t>(key.made_day),
                        static_cast<std::uint8_t>(key.made_day >> 8),
                        static_cast<std::uint8_t>(key.made_day >> 16)});
  object.u32(key.epoch);
  object.raw(id);
  const auto associated = wrapping_associated_data(object.bytes(), repository_id);
  auto cipher = TRY(AesGcm::create(AesGcm::Direction::kSeal));
  TRY(cipher.set_key(secret_));
  std::array<std::uint8_t, 32> wrapped;
  const auto tag = TRY(cipher.seal(nonce, associated, key.secret.bytes(), wrapped.data()));
  object.raw(nonce);
  object.raw(wrapped);
  object.raw(tag);
  object.u64(xxh3_64(object.bytes()));
  return object.take();
}

static Result<void> check_keyring_object(ByteView object) {
  if (object.size() != kObjectSize || as_text(object.first(kMagic.size())) != kMagic) {
    return Error::corrupt("this is no wrapped data key");
  }
  if (load<std::uint64_t>(object.data() + kCheckOffset) != xxh3_64(object.first(kCheckOffset))) {
    return Error::corrupt("the wrapped data key is damaged")
        .with_hint("bring the keyring object back from a copy of the repository");
  }
  if (object[kMagic.size()] != kVersion) {
    return Error::invalid(fmt::format("the wrapped data key has format version {}, known is {}",
                                      object[kMagic.size()], kVersion))
        .with_hint("use the version of pitr that wrote it, or a later one");
  }
  return {};
}

Result<KeyringObjectHeader> read_keyring_object(ByteView object) {
  TRY(check_keyring_object(object));
  KeyringObjectHeader header;
  header.made_day =
      object[kMadeDayOffset] | object[kMadeDayOffset + 1] << 8 | object[kMadeDayOffset + 2] << 16;
  header.epoch = load<std::uint32_t>(object.data() + kEpochOffset);
  header.kek_id = to_hex(object.subspan(kKekIdOffset, kKekIdSize));
  return header;
}

Result<DataKey> KeyEncryptionKey::unwrap(ByteView keyring_object,
                                         std::string_view repository_id) const {
  const auto header = TRY(read_keyring_object(keyring_object));
  if (header.kek_id != id_) {
    return Error::denied(
               fmt::format("the repository's data key is wrapped by key {}, but key {} is given",
                           header.kek_id, id_))
        .with_hint("pass the key with which this repository was made, or last rotated");
  }
  GcmNonce nonce;
  std::copy_n(keyring_object.begin() + kNonceOffset, nonce.size(), nonce.begin());
  const auto associated = wrapping_associated_data(keyring_object, repository_id);
  auto cipher = TRY(AesGcm::create(AesGcm::Direction::kOpen));
  TRY(cipher.set_key(secret_));
  std::array<std::uint8_t, 32> plain{};
  const auto authentic =
      cipher.open(nonce, associated, keyring_object.subspan(kSecretOffset, plain.size()),
                  keyring_object.subspan(kTagOffset, kGcmTagSize), plain.data());
  DataKey key{header.epoch, Secret256(plain), header.made_day};
  wipe(plain);
  if (!authentic.has_value()) return authentic.error();
  if (!*authentic || key.epoch == 0) {
    return Error::corrupt("the wrapped data key was changed, or belongs to another repository");
  }
  return key;
}

Keyring& Keyring::operator=(Keyring&& other) noexcept {
  keys_ = std::move(other.keys_);
  return *this;
}

Result<bool> Keyring::add(DataKey key) {
  const std::lock_guard lock(mutex_);
  const auto epoch = key.epoch;
  const auto [at, is_new] = keys_.try_emplace(epoch, std::move(key));
  if (is_new) return true;
  if (at->second.secret.same_as(key.secret)) return false;
  return Error::conflict(fmt::format("there are two data keys of epoch {}", epoch))
      .with_hint("keep every object below keyring/: what is sealed with one key needs that one");
}

bool Keyring::empty() const {
  const std::lock_guard lock(mutex_);
  return keys_.empty();
}

std::vector<std::uint32_t> Keyring::epochs() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::uint32_t> epochs;
  for (const auto& [epoch, key] : keys_) epochs.push_back(epoch);
  return epochs;
}

const DataKey* Keyring::newest() const {
  const std::lock_guard lock(mutex_);
  return keys_.empty() ? nullptr : &keys_.rbegin()->second;
}

const DataKey* Keyring::find(std::uint32_t epoch) const {
  const std::lock_guard lock(mutex_);
  const auto found = keys_.find(epoch);
  return found == keys_.end() ? nullptr : &found->second;
}

}  // namespace pitr
