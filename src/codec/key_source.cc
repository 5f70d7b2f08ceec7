// Keys as text, and from where that text comes.
#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <array>

#include "codec/keyring.h"
#include "codec/secret_source.h"

namespace pitr {

static constexpr std::size_t kHexLength = 64;
static constexpr std::size_t kBase64Length = 44;
static constexpr std::string_view kKeyHint =
    "a key is 32 bytes, as 64 hexadecimal digits or in base64; \"pitr init\" makes one";

static Result<Secret256> parse_base64(std::string_view digits) {
  SecretText padded{std::string(digits)};
  if (padded.text().size() == kBase64Length - 1) padded.text() += '=';
  std::array<std::uint8_t, kBase64Length / 4 * 3> bytes{};
  const bool is_key =
      padded.text().size() == kBase64Length && padded.text().find('=') == kBase64Length - 1 &&
      EVP_DecodeBlock(bytes.data(), reinterpret_cast<const unsigned char*>(padded.text().data()),
                      kBase64Length) == static_cast<int>(bytes.size());
  auto secret = Secret256::from_bytes(ByteView(bytes).first(32));
  wipe(bytes);
  if (is_key) return secret;
  return Error::invalid("the text given as key is not a key").with_hint(std::string(kKeyHint));
}

Result<KeyEncryptionKey> KeyEncryptionKey::parse(std::string_view text) {
  const auto digits = without_white_space_around(text);
  if (digits.size() != kHexLength) {
    auto secret = TRY(parse_base64(digits));
    return KeyEncryptionKey(std::move(secret));
  }
  auto bytes = from_hex(digits);
  if (!bytes.has_value()) {
    return Error::invalid("the text given as key is not a key").with_hint(std::string(kKeyHint));
  }
  auto secret = Secret256::from_bytes(*bytes);
  wipe(*bytes);
  auto valid = TRY(std::move(secret));
  return KeyEncryptionKey(std::move(valid));
}

std::string KeyEncryptionKey::to_text() const {
  std::array<unsigned char, kBase64Length + 1> text{};
  EVP_EncodeBlock(text.data(), secret_.bytes().data(), 32);
  std::string result(reinterpret_cast<const char*>(text.data()), kBase64Length);
  wipe(text);
  return result + "\n";
}

static Result<KeyEncryptionKey> read_key(const SecretSource& source, const std::string& where,
                                         Seconds timeout = Seconds(30)) {
  auto text = read_secret(source, "key", timeout);
  if (!text && text.error().kind() == ErrorKind::kInvalid) {
    return std::move(text).error().with_context(where);
  }
  const auto secret = TRY(std::move(text));
  return with_context(KeyEncryptionKey::parse(secret.text()), where);
}

Result<KeyEncryptionKey> read_key_file(const Path& path) {
  auto key = read_key({SecretSource::Kind::kFile, path.string()}, "key file " + path.string());
  const bool is_missing = !key && key.error().message().starts_with("there is no key");
  if (!is_missing) return key;
  return std::move(key).error().with_hint(
      "put the repository's key there (\"pitr init\" makes one for a new repository) and let the "
      "user that runs pitr read it");
}

Result<KeyEncryptionKey> read_key_environment(const std::string& variable) {
  return read_key({SecretSource::Kind::kEnvironment, variable}, "environment variable " + variable);
}

Result<KeyEncryptionKey> run_key_command(const std::string& command, Seconds timeout) {
  return read_key({SecretSource::Kind::kCommand, command}, "output of the key command", timeout);
}

Result<void> create_key_file(const Path& path, const KeyEncryptionKey& key) {
  const SecretText text(key.to_text());
  // Whole under its name, or not there: a crash leaves no half of a key.
  const Path own = fmt::format("{}.{}", path.native(), ::getpid());
  TRY(write_file_durably(own, as_bytes(text.text()), 0600));
  const bool is_first = ::link(own.c_str(), path.c_str()) == 0;
  const int failure = errno;
  ::unlink(own.c_str());
  if (!is_first) return Error::from_errno(failure, "making the key file " + path.native());
  return sync_directory(path.parent_path().empty() ? Path(".") : path.parent_path());
}

}  // namespace pitr
