#include "repository/expire/pins.h"

#include <fmt/format.h>

#include "repository/expire/trash.h"

namespace pitr {

static constexpr std::uint8_t kVersion = 1;
static constexpr std::uint64_t kLongestPin = 64 << 10;

static Bytes encode(const std::string& label, std::optional<Timestamp> expires) {
  ByteWriter out;
  out.u8(kVersion);
  out.string(label);
  out.u8(expires ? 1 : 0);
  if (expires) out.u64(static_cast<std::uint64_t>(expires->unix_us()));
  return out.take();
}

static Result<BackupPin> decode(const ObjectKey& key, ByteView bytes) {
  ByteReader in(bytes);
  const auto version = TRY(in.u8());
  if (version != kVersion) {
    return Error::invalid(fmt::format("version {} of pins is not known", version))
        .with_hint("a newer pitr wrote it: upgrade this one");
  }
  BackupPin pin{key, {}, {}};
  pin.label = TRY(in.string(kLongestPinLabel));
  const auto expires = TRY(in.u8());
  if (expires == 1) {
    pin.expires = Timestamp::from_unix_us(static_cast<std::int64_t>(TRY(in.u64())));
  }
  if (expires > 1 || !in.at_end()) return Error::corrupt("it is malformed");
  return pin;
}

Result<std::vector<BackupPin>> read_pins(const IncarnationStore& store, const BackupId& backup) {
  const auto stored = TRY(list_all(store.storage(), store.names().backup_pin_prefix(backup)));
  std::vector<BackupPin> pins;
  for (const auto& object : stored) {
    const auto bytes = store.get_sealed(ContainerKind::kPin, object.key, kLongestPin);
    if (!bytes) {
      if (bytes.error().kind() == ErrorKind::kNotFound) continue;  // taken away meanwhile
      return bytes.error();
    }
    auto pin = TRY(with_context(decode(object.key, *bytes), object.key.text()));
    pins.push_back(std::move(pin));
  }
  return pins;
}

Result<void> pin_backup(const IncarnationStore& store, const BackupId& backup,
                        const std::string& label, std::optional<Timestamp> expires) {
  if (label.empty() || label.size() > kLongestPinLabel) {
    return Error::invalid(fmt::format("a pin's label has 1 to {} bytes, and this one {}",
                                      kLongestPinLabel, label.size()));
  }
  const auto before = TRY(read_pins(store, backup));
  const auto key = store.names().backup_pin(backup, random_name());
  TRY(store.put_sealed(ContainerKind::kPin, key, encode(label, expires)));
  // Expire says what it drops before it looks at pins for the last time: one of us sees the other.
  const auto stored = TRY(store.storage().stat(key));
  const auto records = TRY(read_trash(store));
  auto kept = check_not_dropped(store, backup, trash_at(store, records, stored.modified));
  if (!kept) {
    TRY(store.storage().remove(key));
    return std::move(kept).error();
  }
  for (const auto& pin : before) {
    if (pin.label == label) TRY(store.storage().remove(pin.key));
  }
  return {};
}

Result<std::size_t> unpin_backup(const IncarnationStore& store, const BackupId& backup,
                                 const std::string& label) {
  const auto pins = TRY(read_pins(store, backup));
  std::size_t removed = 0;
  for (const auto& pin : pins) {
    if (!label.empty() && pin.label != label) continue;
    TRY(store.storage().remove(pin.key));
    ++removed;
  }
  return removed;
}

}  // namespace pitr
