#include "repository/wal/facts_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace pitr {

static constexpr std::uint8_t kRollupVersion = 1;
static constexpr std::uint8_t kWatermarkVersion = 1;
static constexpr std::uint64_t kLongestFacts = 16 << 20;
static constexpr std::uint64_t kLongestRollup = 1ull << 30;
static constexpr std::uint64_t kLongestWatermark = 4096;
static constexpr std::size_t kMostWatermarks = 100'000;

using FactsByNumber = std::map<std::uint64_t, wal::SegmentFacts>;

// nullopt where nothing is stored under the name.
static Result<std::optional<Bytes>> find_sealed(const IncarnationStore& store, ContainerKind kind,
                                                const ObjectKey& key, std::uint64_t limit_bytes) {
  auto bytes = store.get_sealed(kind, key, limit_bytes);
  if (bytes.has_value()) return std::optional(std::move(bytes).value());
  if (bytes.error().kind() == ErrorKind::kNotFound) return std::nullopt;
  return std::move(bytes).error();
}

static Result<std::optional<wal::SegmentFacts>> find_single(const IncarnationStore& store,
                                                            SegmentId segment,
                                                            wal::WithChanges with) {
  const auto key = store.names().facts(segment);
  const auto bytes = TRY(find_sealed(store, ContainerKind::kFacts, key, kLongestFacts));
  if (!bytes) return std::nullopt;
  auto facts = TRY(with_context(wal::decode_facts(*bytes, with), key.text()));
  if (facts.segment != segment) {
    return Error::corrupt(key.text() + " holds the facts of another segment");
  }
  return std::optional(std::move(facts));
}

static Bytes encode_rollup(const FactsByNumber& all) {
  ByteWriter out;
  out.u8(kRollupVersion);
  out.varint(all.size());
  for (const auto& [number, facts] : all) {
    const auto encoded = wal::encode_facts(facts);
    out.varint(encoded.size());
    out.raw(encoded);
  }
  return out.take();
}

static Result<FactsByNumber> decode_rollup(ByteView bytes, const IncarnationStore& store,
                                           TimelineId timeline, std::uint64_t log,
                                           wal::WithChanges with) {
  const auto per_log = store.segment_size().segments_per_log();
  ByteReader in(bytes);
  const auto version = TRY(in.u8());
  if (version != kRollupVersion) {
    return Error::invalid(fmt::format("version {} of facts roll-ups is not known", version))
        .with_hint("a newer pitr wrote it: upgrade this one");
  }
  const auto count = TRY(in.varint());
  if (count > per_log) return Error::corrupt("more facts than a log has segments");
  FactsByNumber all;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto size_bytes = TRY(in.varint());
    if (size_bytes > in.remaining()) return Error::corrupt("facts are cut short");
    const auto encoded = TRY(in.raw(size_bytes));
    auto facts = TRY(wal::decode_facts(encoded, with));
    const auto number = facts.segment.number;
    if (facts.segment.timeline != timeline || number / per_log != log ||
        (!all.empty() && number <= all.rbegin()->first)) {
      return Error::corrupt("facts of segments that do not belong here");
    }
    all.emplace_hint(all.end(), number, std::move(facts));
  }
  if (!in.at_end()) return Error::corrupt("bytes follow the facts");
  return all;
}

static Result<std::optional<FactsByNumber>> find_rollup(const IncarnationStore& store,
                                                        TimelineId timeline, std::uint64_t log,
                                                        wal::WithChanges with) {
  const auto key = store.names().facts_rollup(timeline, log);
  const auto bytes = TRY(find_sealed(store, ContainerKind::kFacts, key, kLongestRollup));
  if (!bytes) return std::nullopt;
  auto all = TRY(with_context(decode_rollup(*bytes, store, timeline, log, with), key.text()));
  return std::optional(std::move(all));
}

// The segments of a log that have facts of their own, ascending.
static Result<std::vector<SegmentId>> list_singles(const IncarnationStore& store,
                                                   TimelineId timeline, std::uint64_t log) {
  const auto prefix = store.names().facts_log_prefix(timeline, log);
  const auto objects = TRY(list_all(store.storage(), prefix));
  std::vector<SegmentId> segments;
  for (const auto& object : objects) {
    const auto name = std::string_view(object.key.text()).substr(prefix.size());
    auto segment = parse_segment_file_name(name, store.segment_size());
    if (segment.has_value()) segments.push_back(segment.value());
  }
  return segments;
}

// Everything known of a log, within [from, to]. Singles are listed before the roll-up is read: one
// that vanishes in between is in it.
static Result<FactsByNumber> read_log(const IncarnationStore& store, TimelineId timeline,
                                      std::uint64_t log, std::uint64_t from, std::uint64_t to,
                                      wal::WithChanges with) {
  FactsByNumber all;
  const auto singles = TRY(list_singles(store, timeline, log));
  for (const auto segment : singles) {
    if (segment.number < from || segment.number > to) continue;
    auto facts = TRY(find_single(store, segment, with));
    if (facts) all.emplace(segment.number, std::move(*facts));
  }
  auto rollup = TRY(find_rollup(store, timeline, log, with));
  if (!rollup) return all;
  // emplace keeps the single, which came later.
  for (auto& [number, facts] : *rollup) {
    if (number >= from && number <= to) all.emplace(number, std::move(facts));
  }
  return all;
}

static int knowledge(const wal::SegmentFacts& facts) {
  return (facts.head == wal::Head::kUnresolved ? 0 : 4) + (facts.linked ? 2 : 0) +
         (facts.changes ? 1 : 0);
}

Result<void> FactsStore::put(const wal::SegmentFacts& facts) {
  const auto encoded = wal::encode_facts(facts);
  auto stored = get(facts.segment);
  // Damaged facts are replaced: these here were just made from the segment itself.
  if (!stored.has_value() && stored.error().kind() != ErrorKind::kCorrupt) {
    return std::move(stored).error();
  }
  const auto key = store_.names().facts(facts.segment);
  if (stored.has_value() && stored.value()) {
    const auto& old = *stored.value();
    if (knowledge(old) > knowledge(facts) || wal::encode_facts(old) == encoded) {
      return ensure_durable(facts.segment);
    }
  }
  return store_.put_sealed(ContainerKind::kFacts, key, encoded);
}

Result<void> FactsStore::ensure_durable(SegmentId segment) {
  auto single = store_.storage().ensure_durable(store_.names().facts(segment));
  if (single.has_value() || single.error().kind() != ErrorKind::kNotFound) return single;
  const auto log = segment.number / store_.segment_size().segments_per_log();
  return store_.storage().ensure_durable(store_.names().facts_rollup(segment.timeline, log));
}

Result<bool> FactsStore::replace(const wal::SegmentFacts& facts) {
  const auto encoded = wal::encode_facts(facts);
  const auto stored = get(facts.segment);
  if (!stored.has_value() && stored.error().kind() != ErrorKind::kCorrupt) return stored.error();
  if (stored.has_value() && *stored && wal::encode_facts(**stored) == encoded) {
    TRY(ensure_durable(facts.segment));
    return false;
  }
  TRY(store_.put_sealed(ContainerKind::kFacts, store_.names().facts(facts.segment), encoded));
  return true;
}

Result<std::optional<wal::SegmentFacts>> FactsStore::get(SegmentId segment) const {
  auto single = TRY(find_single(store_, segment, wal::WithChanges::kYes));
  if (single) return single;
  const auto log = segment.number / store_.segment_size().segments_per_log();
  auto rollup = TRY(find_rollup(store_, segment.timeline, log, wal::WithChanges::kYes));
  if (!rollup) return std::nullopt;
  const auto found = rollup->find(segment.number);
  if (found == rollup->end()) return std::nullopt;
  return std::optional(std::move(found->second));
}

Result<std::vector<wal::SegmentFacts>> FactsStore::range(TimelineId timeline, std::uint64_t from,
                                                         std::uint64_t to,
                                                         wal::WithChanges with) const {
  const auto per_log = store_.segment_size().segments_per_log();
  const auto folders = TRY(store_.storage().list_folders(store_.names().facts_prefix(timeline)));
  std::vector<wal::SegmentFacts> found;
  for (const auto& folder : folders) {
    const auto log = layout::parse_log(folder);
    if (!log.has_value() || log.value() < from / per_log || log.value() > to / per_log) continue;
    auto all = TRY(read_log(store_, timeline, log.value(), from, to, with));
    for (auto& [number, facts] : all) found.push_back(std::move(facts));
  }
  return found;
}

Result<bool> FactsStore::roll_up(TimelineId timeline, std::uint64_t log) {
  const auto per_log = store_.segment_size().segments_per_log();
  const auto singles = TRY(list_singles(store_, timeline, log));
  if (singles.empty()) {
    const auto rollup = TRY(find_rollup(store_, timeline, log, wal::WithChanges::kNo));
    return rollup.has_value();
  }
  const auto all = TRY(read_log(store_, timeline, log, 0, UINT64_MAX, wal::WithChanges::kYes));
  const auto last = (log + 1) * per_log - 1;
  if (all.empty() || all.size() != last - all.begin()->first + 1) return false;

  const auto key = store_.names().facts_rollup(timeline, log);
  const auto encoded = encode_rollup(all);
  TRY(store_.put_sealed(ContainerKind::kFacts, key, encoded));
  const auto read_back = TRY(store_.get_sealed(ContainerKind::kFacts, key, kLongestRollup));
  if (read_back != encoded) return Error::corrupt(key.text() + " is not what was just written");
  for (const auto segment : singles) {
    TRY(store_.storage().remove(store_.names().facts(segment)));
  }
  return true;
}

Result<void> FactsStore::put_watermark(const Watermark& watermark) {
  ByteWriter out;
  out.u8(kWatermarkVersion);
  out.u32(watermark.timeline.value());
  out.u64(watermark.lsn.value());
  out.u64(static_cast<std::uint64_t>(watermark.time.unix_us()));
  const auto key = store_.names().watermark(watermark.timeline, watermark.time, watermark.lsn);
  TRY(store_.put_sealed(ContainerKind::kWatermark, key, out.bytes()));

  const auto prefix = store_.names().watermark_prefix(watermark.timeline);
  const auto objects = TRY(list_all(store_.storage(), prefix, kMostWatermarks));
  for (const auto& object : objects) {
    const auto lsn = store_.names().parse_watermark(watermark.timeline, object.key);
    if (!lsn.has_value() || object.key == key || lsn.value() > watermark.lsn) continue;
    TRY(store_.storage().remove(object.key));
  }
  return {};
}

static Result<Watermark> decode_watermark(ByteView bytes) {
  ByteReader in(bytes);
  const auto version = TRY(in.u8());
  if (version != kWatermarkVersion) {
    return Error::invalid(fmt::format("version {} of watermarks is not known", version))
        .with_hint("a newer pitr wrote it: upgrade this one");
  }
  Watermark watermark;
  watermark.timeline = TimelineId(TRY(in.u32()));
  watermark.lsn = Lsn(TRY(in.u64()));
  watermark.time = Timestamp::from_unix_us(static_cast<std::int64_t>(TRY(in.u64())));
  if (!in.at_end()) return Error::corrupt("bytes follow the watermark");
  return watermark;
}

Result<std::optional<Watermark>> FactsStore::watermark(TimelineId timeline) const {
  static constexpr int kMostAttempts = 10;
  const auto prefix = store_.names().watermark_prefix(timeline);
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    const auto objects = TRY(list_all(store_.storage(), prefix, kMostWatermarks));
    const ObjectKey* newest = nullptr;
    Lsn newest_lsn;
    for (const auto& object : objects) {  // ascending by time
      const auto lsn = TRY(store_.names().parse_watermark(timeline, object.key));
      if (newest && lsn < newest_lsn) continue;
      newest = &object.key;
      newest_lsn = lsn;
    }
    if (!newest) return std::nullopt;
    const auto bytes =
        TRY(find_sealed(store_, ContainerKind::kWatermark, *newest, kLongestWatermark));
    if (!bytes) continue;  // a newer one has just taken its place
    auto watermark = TRY(with_context(decode_watermark(*bytes), newest->text()));
    if (store_.names().watermark(timeline, watermark.time, watermark.lsn) != *newest ||
        watermark.timeline != timeline) {
      return Error::corrupt(newest->text() + " holds another watermark than its name says");
    }
    return std::optional(watermark);
  }
  return Error::transient("the watermark changes all the time");
}

}  // namespace pitr
