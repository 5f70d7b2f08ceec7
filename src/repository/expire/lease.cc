#include "repository/expire/lease.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>

#include "common/log.h"
#include "common/retry.h"

namespace pitr {

static constexpr std::uint8_t kVersion = 1;
static constexpr std::uint64_t kLongestLease = 16 << 20;
static constexpr std::size_t kLongestText = 4096;
// A renewal that fails can be tried again some times.
static constexpr int kRenewalsPerLease = 6;
static constexpr int kMostReadings = 100;

static Bytes encode(const LeaseNeeds& needs, Microseconds lasts) {
  ByteWriter out;
  out.u8(kVersion);
  out.varint(static_cast<std::uint64_t>(lasts.count()));
  out.varint(needs.backups.size());
  for (const auto& backup : needs.backups) out.string(backup.text());
  out.varint(needs.wal.size());
  for (const auto& wal : needs.wal) {
    out.varint(wal.timeline.value());
    out.varint(wal.first);
    out.varint(wal.last);
  }
  out.string(std::string_view(needs.holder).substr(0, kLongestText));
  return out.take();
}

static Result<void> decode(ByteView bytes, Timestamp written, StoredLease& into) {
  ByteReader in(bytes);
  const auto version = TRY(in.u8());
  if (version != kVersion) {
    return Error::invalid(fmt::format("version {} of leases is not known", version))
        .with_hint("a newer pitr wrote it: upgrade this one");
  }
  into.until = written + Microseconds(static_cast<std::int64_t>(TRY(in.varint())));
  for (auto count = TRY(in.varint()); count > 0; --count) {
    const auto text = TRY(in.string(kLongestText));
    auto backup = BackupId::parse(text);
    if (!backup) return Error::corrupt("it names a backup that can't be one");
    into.needs.backups.push_back(std::move(*backup));
  }
  for (auto count = TRY(in.varint()); count > 0; --count) {
    LeasedWal wal;
    wal.timeline = TimelineId(static_cast<std::uint32_t>(TRY(in.varint())));
    wal.first = TRY(in.varint());
    wal.last = TRY(in.varint());
    into.needs.wal.push_back(wal);
  }
  into.needs.holder = TRY(in.string(kLongestText));
  if (!in.at_end()) return Error::corrupt("bytes follow a lease");
  return {};
}

Lease::Lease(const IncarnationStore& store, LeaseNeeds needs, Microseconds lasts)
    : store_(store), needs_(std::move(needs)), lasts_(lasts), holder_(random_name()) {}

Result<std::unique_ptr<Lease>> Lease::take(const IncarnationStore& store, LeaseNeeds needs,
                                           Microseconds lasts) {
  std::unique_ptr<Lease> lease(new Lease(store, std::move(needs), lasts));
  TRY(lease->put_next(lasts));
  // After it is stored: whoever deletes looks at leases after he has said so.
  auto checked = lease->check_needs(lease->until_ - lasts);
  if (checked) return lease;
  (void)lease->release().has_value();  // it runs out by itself
  return std::move(checked).error();
}

// Of a put that failed the object may be there all the same: each takes a name of its own.
Result<void> Lease::put_next(Microseconds lasts) {
  const auto key = store_.names().lease(holder_, number_++);
  stored_.push_back(key);
  TRY(store_.put_sealed(ContainerKind::kLease, key, encode(needs_, lasts)));
  const auto stored = TRY(store_.storage().stat(key));
  until_ = stored.modified + lasts;
  while (stored_.size() > 1) {
    TRY(store_.storage().remove(stored_.front()));
    stored_.erase(stored_.begin());
  }
  return {};
}

Result<void> Lease::check_needs(Timestamp now) const {
  const auto records = TRY(read_trash(store_));
  const auto trash = trash_at(store_, records, now);
  for (const auto& backup : needs_.backups) TRY(check_not_dropped(store_, backup, trash));
  for (const auto& wal : needs_.wal) {
    for (const auto& object : trash.objects) {
      const auto segment = store_.names().segment_of(ObjectKey::from_parts(object));
      if (!segment || segment->timeline != wal.timeline || segment->number < wal.first ||
          segment->number > wal.last) {
        continue;
      }
      return Error::conflict(object + " is being expired")
          .with_hint("restore to a moment inside the recovery window: pitr status shows it");
    }
  }
  return {};
}

Result<void> Lease::renew() {
  const auto before = until_;
  TRY(put_next(lasts_));
  const auto now = until_ - lasts_;
  if (now <= before) return {};
  return check_needs(now);
}

Result<void> Lease::leave_for(Microseconds lasts) {
  return put_next(lasts);
}

Result<void> Lease::release() {
  for (; !stored_.empty(); stored_.pop_back()) TRY(store_.storage().remove(stored_.back()));
  return {};
}

// nullopt where one was renewed or given back since they were listed: its next one is not in this
// list.
static Result<std::optional<std::vector<StoredLease>>> try_to_read(const IncarnationStore& store) {
  const auto stored = TRY(list_all(store.storage(), store.names().lease_prefix()));
  std::vector<StoredLease> leases;
  for (const auto& object : stored) {
    const auto bytes = store.get_sealed(ContainerKind::kLease, object.key, kLongestLease);
    if (!bytes) {
      if (bytes.error().kind() != ErrorKind::kNotFound) return bytes.error();
      return std::optional<std::vector<StoredLease>>();
    }
    StoredLease lease{object.key, {}, {}};
    TRY(with_context(decode(*bytes, object.modified, lease), object.key.text()));
    leases.push_back(std::move(lease));
  }
  return std::optional(std::move(leases));
}

Result<std::vector<StoredLease>> read_leases(const IncarnationStore& store) {
  for (int i = 0; i < kMostReadings; ++i) {
    auto leases = TRY(try_to_read(store));
    if (leases) return std::move(*leases);
  }
  return Error::transient("leases come and go too quickly to be read").with_hint("try again");
}

LeaseKeeper::LeaseKeeper(std::unique_ptr<Lease> lease)
    : lease_(std::move(lease)), thread_([this](std::stop_token stop) { run(std::move(stop)); }) {}

// Signals go to the threads that wait for them, which this one would take them from.
static void leave_signals_to_others() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

void LeaseKeeper::run(std::stop_token stop) {
  leave_signals_to_others();
  const auto pause = std::chrono::duration_cast<Milliseconds>(lease_->lasts() / kRenewalsPerLease);
  while (sleep_for(pause, stop)) {
    const auto renewed = lease_->renew();
    if (!renewed) log::warning("renewing the lease: {}", renewed.error().message());
  }
}

void LeaseKeeper::leave_for(Microseconds lasts) {
  left_for_ = lasts;
}

LeaseKeeper::~LeaseKeeper() {
  thread_.request_stop();
  thread_.join();
  const auto ended = left_for_ ? lease_->leave_for(*left_for_) : lease_->release();
  if (!ended) log::warning("giving back the lease: {}", ended.error().message());
}

}  // namespace pitr
