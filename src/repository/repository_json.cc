#include "repository/repository_json.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>

namespace pitr {

static constexpr std::string_view kFormat = "pitr-repository";
static constexpr std::int64_t kVersion = 1;
static constexpr std::string_view kAesGcm = "aes-256-gcm";
static constexpr std::string_view kNoCipher = "none";

Bytes encode_repository_json(const RepositoryDescription& description) {
  nlohmann::ordered_json json;
  json["format"] = kFormat;
  json["version"] = kVersion;
  json["id"] = description.id;
  json["cipher"] = description.encrypted ? kAesGcm : kNoCipher;
  json["created"] = description.created;
  const auto text = json.dump(2) + "\n";
  return {text.begin(), text.end()};
}

static std::string string_member(const nlohmann::json& json, const char* name) {
  const auto member = json.find(name);
  return member != json.end() && member->is_string() ? member->get<std::string>() : std::string();
}

static bool is_uuid(std::string_view text) {
  static constexpr std::string_view kShape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  if (text.size() != kShape.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_hex = std::string_view("0123456789abcdef").contains(text[i]);
    if (kShape[i] == '-' ? text[i] != '-' : !is_hex) return false;
  }
  return true;
}

Result<RepositoryDescription> parse_repository_json(ByteView bytes) {
  const auto json = nlohmann::json::parse(bytes.begin(), bytes.end(), nullptr,
                                          /*allow_exceptions=*/false);
  if (!json.is_object()) return Error::corrupt("repository.json is not a JSON object");
  if (string_member(json, "format") != kFormat) {
    return Error::invalid("repository.json does not describe a pitr repository");
  }
  const auto version = json.find("version");
  if (version == json.end() || !version->is_number_integer()) {
    return Error::corrupt("repository.json has no format version");
  }
  if (version->get<std::int64_t>() != kVersion) {
    return Error::invalid(fmt::format("the repository has format version {}, this program knows {}",
                                      version->get<std::int64_t>(), kVersion))
        .with_hint("upgrade pitr on this host");
  }
  RepositoryDescription description;
  description.id = string_member(json, "id");
  description.created = string_member(json, "created");
  const auto cipher = string_member(json, "cipher");
  description.encrypted = cipher != kNoCipher;
  if (description.encrypted && cipher != kAesGcm) {
    return Error::invalid(fmt::format("repository.json asks for the cipher \"{}\"", cipher))
        .with_hint("known are aes-256-gcm and none: upgrade pitr, or the file is damaged");
  }
  if (!is_uuid(description.id)) return Error::corrupt("repository.json has no valid id");
  return description;
}

Result<std::string> make_uuid() {
  std::array<std::uint8_t, 16> bytes;
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return Error::from_errno(errno, "reading random bytes");
  }
  bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3F) | 0x80);
  const auto hex = to_hex(bytes);
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4),
                     hex.substr(16, 4), hex.substr(20));
}

}  // namespace pitr
