#include "repository/wal/timelines.h"

#include <fmt/format.h>

#include <algorithm>

#include "repository/wal/wal_archive.h"

namespace pitr {

static constexpr std::uint8_t kVersion = 1;
static constexpr std::uint64_t kLongestReservation = 64 << 10;
static constexpr std::size_t kLongestText = 4096;
static constexpr int kMostRaces = 1000;

static Bytes encode(const TimelineReservation& reservation) {
  ByteWriter out;
  out.u8(kVersion);
  out.u32(reservation.timeline.value());
  out.u32(reservation.parent.value());
  out.u64(static_cast<std::uint64_t>(reservation.time.unix_us()));
  out.string(std::string_view(reservation.host).substr(0, kLongestText));
  out.string(std::string_view(reservation.purpose).substr(0, kLongestText));
  return out.take();
}

static Result<TimelineReservation> decode(ByteView bytes) {
  ByteReader in(bytes);
  const auto version = TRY(in.u8());
  if (version != kVersion) {
    return Error::invalid(fmt::format("version {} of timeline reservations is not known", version))
        .with_hint("a newer pitr wrote it: upgrade this one");
  }
  TimelineReservation reservation;
  reservation.timeline = TimelineId(TRY(in.u32()));
  reservation.parent = TimelineId(TRY(in.u32()));
  reservation.time = Timestamp::from_unix_us(static_cast<std::int64_t>(TRY(in.u64())));
  reservation.host = TRY(in.string(kLongestText));
  reservation.purpose = TRY(in.string(kLongestText));
  if (!in.at_end()) return Error::corrupt("bytes follow a timeline reservation");
  return reservation;
}

// Higher than everything that was ever reserved or written.
static Result<std::uint32_t> first_free(const IncarnationStore& store, std::uint32_t at_least) {
  std::uint32_t highest = at_least - 1;
  const auto stored = TRY(WalArchive(store).timelines());
  if (!stored.empty()) highest = std::max(highest, stored.back().value());
  const auto prefix = store.names().timeline_reservation_prefix();
  const auto reserved = TRY(list_all(store.storage(), prefix));
  for (const auto& object : reserved) {
    const auto timeline = TRY(layout::parse_timeline(object.key.text().substr(prefix.size())));
    highest = std::max(highest, timeline.value());
  }
  if (highest == UINT32_MAX) return Error::invalid("no timeline id is left");
  return highest + 1;
}

Result<TimelineReservation> reserve_timeline(const IncarnationStore& store, TimelineId parent,
                                             TimelineId minimum, const std::string& host,
                                             const std::string& purpose, const Clock& clock) {
  const auto at_least = std::max({minimum.value(), parent.value() + 1, 2u});
  auto candidate = TRY(first_free(store, at_least));
  for (int race = 0; race < kMostRaces; ++race, ++candidate) {
    TimelineReservation reservation{TimelineId(candidate), parent, clock.now(), host, purpose};
    const auto key = store.names().timeline_reservation(reservation.timeline);
    auto taken = store.put_sealed_if_absent(ContainerKind::kReservation, key, encode(reservation));
    if (taken.has_value()) return reservation;
    if (taken.error().kind() != ErrorKind::kConflict) {
      return std::move(taken).error().with_context("reserving timeline " +
                                                   to_string(reservation.timeline));
    }
  }
  return Error::transient("no timeline id could be reserved: others were always faster");
}

Result<std::optional<TimelineReservation>> timeline_reservation(const IncarnationStore& store,
                                                                TimelineId timeline) {
  const auto key = store.names().timeline_reservation(timeline);
  auto bytes = store.get_sealed(ContainerKind::kReservation, key, kLongestReservation);
  if (!bytes.has_value()) {
    if (bytes.error().kind() == ErrorKind::kNotFound) return std::nullopt;
    return std::move(bytes).error();
  }
  auto reservation = TRY(with_context(decode(bytes.value()), key.text()));
  return std::optional(std::move(reservation));
}

}  // namespace pitr
