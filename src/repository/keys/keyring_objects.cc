#include "repository/keys/keyring_objects.h"

#include <fmt/format.h>

#include <charconv>

namespace pitr {

static constexpr std::uint64_t kLongestObject = 64 << 10;
static constexpr std::size_t kMostObjects = 10'000;

static std::optional<KeyringObject> parse_name(const ObjectInfo& info) {
  const auto name = std::string_view(info.key.text()).substr(layout::kKeyringPrefix.size());
  const auto dot = name.find('.');
  if (dot == std::string_view::npos || dot + 1 == name.size()) return std::nullopt;
  KeyringObject object{info.key, 0, std::string(name.substr(dot + 1)), info.modified};
  const auto* end = name.data() + dot;
  const auto parsed = std::from_chars(name.data(), end, object.epoch);
  const bool is_number = parsed.ec == std::errc() && parsed.ptr == end && object.epoch > 0;
  if (!is_number) return std::nullopt;
  return object;
}

Result<std::vector<KeyringObject>> list_keyring(Storage& storage) {
  const auto listed = TRY(list_all(storage, layout::kKeyringPrefix, kMostObjects));
  std::vector<KeyringObject> objects;
  for (const auto& info : listed) {
    auto object = parse_name(info);
    if (!object) return Error::corrupt(info.key.text() + " is not the name of a wrapped key");
    objects.push_back(std::move(*object));
  }
  return objects;
}

Result<Bytes> get_keyring_object(Storage& storage, const KeyringObject& object) {
  return storage.get(object.key, kLongestObject);
}

Result<DataKey> open_keyring_object(Storage& storage, const KeyringObject& object,
                                    const KeyEncryptionKey& kek, std::string_view repository_id) {
  const auto wrapped = TRY(get_keyring_object(storage, object));
  auto data_key = TRY(with_context(kek.unwrap(wrapped, repository_id), object.key.text()));
  if (layout::keyring_entry(data_key.epoch, kek.id()) == object.key) return data_key;
  return Error::corrupt(
      fmt::format("{} holds the key of epoch {}", object.key.text(), data_key.epoch));
}

std::string kek_ids(const std::vector<KeyringObject>& objects) {
  std::string ids;
  for (const auto& object : objects) {
    if (ids.contains(object.kek_id)) continue;
    ids += (ids.empty() ? "" : " or ") + object.kek_id;
  }
  return ids;
}

}  // namespace pitr
