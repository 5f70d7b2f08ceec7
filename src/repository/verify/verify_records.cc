#include "repository/verify/verify_records.h"

#include <fmt/format.h>

#include "repository/layout.h"

namespace pitr {

static constexpr std::uint8_t kVersion = 1;
static constexpr std::uint64_t kLongestRecord = 64 << 10;
static constexpr std::size_t kLongestProblem = 4096;

static Result<void> check_version(ByteReader& in) {
  const auto version = TRY(in.u8());
  if (version == kVersion) return {};
  return Error::invalid(fmt::format("version {} of verification records is not known", version))
      .with_hint("a newer pitr wrote it: upgrade this one");
}

Result<void> put_verification(const IncarnationStore& store, const BackupId& backup,
                              const BackupVerification& verification) {
  const auto prefix = store.names().backup_verified_prefix(backup);
  const auto before = TRY(list_all(store.storage(), prefix));
  ByteWriter out;
  out.u8(kVersion);
  out.u64(static_cast<std::uint64_t>(verification.time.unix_us()));
  out.u8(static_cast<std::uint8_t>(verification.how));
  out.varint(verification.objects);
  const auto key = ObjectKey::from_parts(fmt::format("{}{:016x}", prefix, random_name()));
  TRY(store.put_sealed(ContainerKind::kVerified, key, out.bytes()));
  // Expire removes backup.json first, and lists what else there is then.
  const auto published = store.storage().stat(store.names().backup_json(backup));
  if (!published) {
    if (published.error().kind() == ErrorKind::kNotFound) return store.storage().remove(key);
    return published.error();
  }
  for (const auto& object : before) TRY(store.storage().remove(object.key));
  return {};
}

Result<void> remove_verifications(const IncarnationStore& store, const BackupId& backup) {
  const auto stored = TRY(list_all(store.storage(), store.names().backup_verified_prefix(backup)));
  for (const auto& object : stored) TRY(store.storage().remove(object.key));
  return {};
}

Result<std::optional<BackupVerification>> last_verification(const IncarnationStore& store,
                                                            const BackupId& backup) {
  const auto stored = TRY(list_all(store.storage(), store.names().backup_verified_prefix(backup)));
  std::optional<BackupVerification> last;
  for (const auto& object : stored) {
    const auto bytes = store.get_sealed(ContainerKind::kVerified, object.key, kLongestRecord);
    if (!bytes && bytes.error().kind() == ErrorKind::kNotFound) continue;  // replaced meanwhile
    if (!bytes) return bytes.error();
    ByteReader in(*bytes);
    TRY(with_context(check_version(in), object.key.text()));
    BackupVerification found;
    found.time = Timestamp::from_unix_us(static_cast<std::int64_t>(TRY(in.u64())));
    found.how = static_cast<VerifiedHow>(TRY(in.u8()));
    found.objects = TRY(in.varint());
    if (!last || last->time < found.time) last = found;
  }
  return last;
}

static std::string damaged_prefix(const IncarnationStore& store) {
  return store.names().prefix() + "damaged/";
}

// Under the pack's own name.
static ObjectKey damaged_key(const IncarnationStore& store, const ObjectKey& pack) {
  return ObjectKey::from_parts(damaged_prefix(store) +
                               pack.text().substr(store.names().pack_prefix().size()));
}

Result<void> put_damaged_pack(const IncarnationStore& store, const DamagedPack& damaged) {
  ByteWriter out;
  out.u8(kVersion);
  out.u64(static_cast<std::uint64_t>(damaged.found.unix_us()));
  out.string(std::string_view(damaged.problem).substr(0, kLongestProblem));
  return store.put_sealed(ContainerKind::kDamagedPack, damaged_key(store, damaged.pack),
                          out.bytes());
}

Result<void> remove_damaged_pack(const IncarnationStore& store, const ObjectKey& pack) {
  return store.storage().remove(damaged_key(store, pack));
}

static Result<void> decode(ByteView bytes, DamagedPack& into) {
  ByteReader in(bytes);
  TRY(check_version(in));
  into.found = Timestamp::from_unix_us(static_cast<std::int64_t>(TRY(in.u64())));
  into.problem = TRY(in.string(kLongestProblem));
  return {};
}

Result<std::vector<DamagedPack>> damaged_packs(const IncarnationStore& store) {
  const auto prefix = damaged_prefix(store);
  const auto stored = TRY(list_all(store.storage(), prefix));
  std::vector<DamagedPack> found;
  for (const auto& object : stored) {
    const auto pack = store.names().pack_prefix() + object.key.text().substr(prefix.size());
    DamagedPack damaged{ObjectKey::from_parts(pack), object.modified, ""};
    const auto bytes = store.get_sealed(ContainerKind::kDamagedPack, object.key, kLongestRecord);
    if (!bytes && bytes.error().kind() == ErrorKind::kNotFound) continue;
    const auto decoded = bytes ? decode(*bytes, damaged) : Result<void>(bytes.error());
    if (!decoded && decoded.error().kind() == ErrorKind::kTransient) return decoded.error();
    if (!decoded) damaged.problem = decoded.error().message();
    found.push_back(std::move(damaged));
  }
  return found;
}

}  // namespace pitr
