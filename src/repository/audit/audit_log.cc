#include "repository/audit/audit_log.h"

#include <fmt/format.h>

namespace pitr {

static constexpr std::uint64_t kLongestEntry = 256 << 10;
static constexpr std::uint64_t kLongestStored = kLongestEntry + (128 << 10);

bool AuditFilter::matches(const AuditEntry& entry) const {
  return (!from || entry.time >= *from) && (!until || entry.time < *until) &&
         (cluster.empty() || entry.cluster == cluster) &&
         (user.empty() || entry.actor.user == user) &&
         (!operation || entry.operation == *operation) && (!failures_only || !entry.succeeded());
}

ContainerIdentity AuditLog::identity(const ObjectKey& key) const {
  return {repository_.id(), "", ContainerKind::kAudit, key.text()};
}

Result<void> AuditLog::append(const AuditEntry& entry) const {
  const auto line = to_json_line(entry);
  if (line.size() > kLongestEntry) {
    return Error::invalid(fmt::format("an audit entry has {} bytes, and at most {} are stored",
                                      line.size(), kLongestEntry));
  }
  const auto key = layout::audit_entry(entry.time, random_name());
  ContainerOptions options;
  options.key = repository_.encrypted() ? repository_.keyring().newest() : nullptr;
  const auto sealed =
      TRY(with_context(seal_object(identity(key), options, as_bytes(line)), key.text()));
  return repository_.storage().put_if_absent(key, sealed);
}

Result<AuditEntry> AuditLog::read_one(const ObjectKey& key) const {
  const auto stored = TRY(repository_.storage().get(key, kLongestStored));
  const auto line = TRY(open_object(stored, identity(key), repository_.keyring(), kLongestEntry));
  return with_context(parse_json_line(as_text(line)), key.text());
}

Result<void> AuditLog::read(const AuditFilter& filter,
                            const std::function<void(const AuditEntry&)>& take) const {
  const auto months = TRY(repository_.storage().list_folders(layout::kAuditPrefix));
  const auto first = filter.from ? layout::audit_month(*filter.from) : std::string();
  const auto last = filter.until ? layout::audit_month(*filter.until) : std::string();
  // Names begin with the time, so what is too old need not be read.
  const auto first_name = filter.from ? layout::audit_entry(*filter.from, 0).text() : std::string();
  for (const auto& month : months) {
    if (month < first || (!last.empty() && month > last)) continue;
    const auto prefix = std::string(layout::kAuditPrefix) + month + "/";
    const auto objects = TRY(list_all(repository_.storage(), prefix));
    for (const auto& object : objects) {
      if (object.key.text() < first_name) continue;
      const auto entry = TRY(read_one(object.key));
      if (filter.matches(entry)) take(entry);
    }
  }
  return {};
}

}  // namespace pitr
