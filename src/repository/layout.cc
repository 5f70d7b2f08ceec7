#include "repository/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <random>

namespace pitr {

static constexpr std::uint32_t kOldestMajorVersion = 13;
static constexpr std::uint32_t kNewestMajorVersion = 99;  // so that a newer server can be named
static constexpr std::size_t kLongestClusterName = 63;
// Folders beside those of the clusters.
static constexpr std::array<std::string_view, 2> kTakenNames{"keyring", "audit"};

template <typename T>
static bool parse_decimal(std::string_view text, T& value) {
  const auto* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value, 10);
  // Only the one way in which names are written: no leading zero.
  return error == std::errc() && stopped == end && !text.starts_with('0');
}

static bool consists_of(std::string_view text, std::string_view characters) {
  return text.find_first_not_of(characters) == std::string_view::npos;
}

static constexpr std::string_view kUpperHex = "0123456789ABCDEF";
static constexpr std::string_view kLowerHex = "0123456789abcdef";

// The caller has checked the length, which fits T.
template <typename T>
static bool parse_hex(std::string_view text, std::string_view digits, T& value) {
  const auto* end = text.data() + text.size();
  return consists_of(text, digits) && std::from_chars(text.data(), end, value, 16).ptr == end;
}

static bool is_cluster_name(std::string_view name) {
  static constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789_-";
  return !name.empty() && name.size() <= kLongestClusterName && consists_of(name, kAllowed) &&
         name.front() != '_' && name.front() != '-' &&
         std::ranges::find(kTakenNames, name) == kTakenNames.end();
}

std::string to_string(const IncarnationId& incarnation) {
  return fmt::format("{}/{}-{}", incarnation.cluster, incarnation.system_identifier,
                     incarnation.major_version);
}

Result<IncarnationId> parse_incarnation(std::string_view text) {
  const auto slash = text.find('/');
  const auto dash = text.find('-', slash == std::string_view::npos ? text.size() : slash);
  IncarnationId id;
  const bool parsed =
      slash != std::string_view::npos && dash != std::string_view::npos &&
      is_cluster_name(text.substr(0, slash)) &&
      parse_decimal(text.substr(slash + 1, dash - slash - 1), id.system_identifier) &&
      parse_decimal(text.substr(dash + 1), id.major_version) &&
      id.major_version >= kOldestMajorVersion && id.major_version <= kNewestMajorVersion;
  if (!parsed) {
    return Error::invalid(fmt::format("\"{}\" does not name an incarnation of a cluster", text))
        .with_hint(
            "it is <cluster>/<system identifier>-<major version>, and a cluster is named "
            "with lower-case letters, digits, - and _; \"keyring\" is taken");
  }
  id.cluster = text.substr(0, slash);
  return id;
}

BackupId BackupId::make(Timestamp start, std::uint64_t random) {
  return BackupId(fmt::format("{}-{:016x}", to_compact_string(start), random));
}

Result<BackupId> BackupId::parse(std::string_view text) {
  static constexpr std::string_view kShape =
      "dddddddd"
      "T"
      "dddddd"
      "Z"
      "-"
      "xxxxxxxxxxxxxxxx";
  bool valid = text.size() == kShape.size();
  for (std::size_t i = 0; valid && i < text.size(); ++i) {
    const auto c = text.substr(i, 1);
    if (kShape[i] == 'd') {
      valid = consists_of(c, "0123456789");
    } else if (kShape[i] == 'x') {
      valid = consists_of(c, "0123456789abcdef");
    } else {
      valid = text[i] == kShape[i];
    }
  }
  if (!valid) {
    return Error::invalid(fmt::format("\"{}\" is not a backup id", text))
        .with_hint(
            "a backup id looks like 20260301T091500Z-89abcdef01234567; "
            "\"pitr list\" shows all");
  }
  return BackupId(std::string(text));
}

std::uint64_t random_name() {
  std::random_device random;
  return (static_cast<std::uint64_t>(random()) << 32) | random();
}

Timestamp BackupId::start_time() const {
  const auto number = [&](std::size_t at, std::size_t size) {
    int value = 0;
    std::from_chars(text_.data() + at, text_.data() + at + size, value);
    return value;
  };
  const std::chrono::sys_days date = std::chrono::year(number(0, 4)) / number(4, 2) / number(6, 2);
  const std::chrono::sys_seconds time = date + std::chrono::hours(number(9, 2)) +
                                        std::chrono::minutes(number(11, 2)) +
                                        std::chrono::seconds(number(13, 2));
  return Timestamp::from_unix_us(Microseconds(time.time_since_epoch()).count());
}

namespace layout {

ObjectKey repository_json() {
  return ObjectKey::from_parts("repository.json");
}

ObjectKey keyring_entry(std::uint32_t epoch, std::string_view kek_id) {
  return ObjectKey::from_parts(fmt::format("{}{:08}.{}", kKeyringPrefix, epoch, kek_id));
}

std::string audit_month(Timestamp time) {
  return to_string(time).substr(0, 7);
}

ObjectKey audit_entry(Timestamp time, std::uint64_t random) {
  return ObjectKey::from_parts(fmt::format("{}{}/{}-{:016x}", kAuditPrefix, audit_month(time),
                                           to_compact_string(time), random));
}

Result<TimelineId> parse_timeline(std::string_view hex8) {
  std::uint32_t value = 0;
  if (hex8.size() != 8 || !parse_hex(hex8, kUpperHex, value) || value == 0) {
    return Error::corrupt(fmt::format("\"{}\" does not name a timeline", hex8));
  }
  return TimelineId(value);
}

Result<std::uint64_t> parse_log(std::string_view hex8) {
  std::uint32_t value = 0;
  if (hex8.size() != 8 || !parse_hex(hex8, kUpperHex, value)) {
    return Error::corrupt(fmt::format("\"{}\" does not name 4 GiB of WAL", hex8));
  }
  return value;
}

Incarnation::Incarnation(const IncarnationId& id, SegmentSize segment_size)
    : prefix_(to_string(id) + "/"), segment_size_(segment_size) {}

ObjectKey Incarnation::identity() const {
  return ObjectKey::from_parts(prefix_ + "identity");
}

ObjectKey Incarnation::segment(SegmentId segment) const {
  const auto log = segment.number / segment_size_.segments_per_log();
  return ObjectKey::from_parts(wal_log_prefix(segment.timeline, log) +
                               segment_file_name(segment, segment_size_));
}

ObjectKey Incarnation::tail(SegmentId segment, std::uint32_t offset, std::uint64_t writer) const {
  return ObjectKey::from_parts(
      fmt::format("{}{:08x}-{:016x}", tail_prefix(segment), offset, writer));
}

std::string Incarnation::tail_prefix(SegmentId segment) const {
  return this->segment(segment).text() + ".tail-";
}

Result<std::uint32_t> Incarnation::parse_tail(SegmentId segment, const ObjectKey& tail) const {
  static constexpr std::size_t kNameLength = 8 + 1 + 16;
  const auto prefix = tail_prefix(segment);
  std::string_view name = tail.text();
  std::uint32_t offset = 0;
  const bool parsed = name.starts_with(prefix) && name.size() == prefix.size() + kNameLength &&
                      name[prefix.size() + 8] == '-' &&
                      parse_hex(name.substr(prefix.size(), 8), kLowerHex, offset);
  if (!parsed) return Error::corrupt(fmt::format("{} is not the name of a tail", name));
  return offset;
}

ObjectKey Incarnation::conflict(const ObjectKey& refused, std::string_view digest_hex) const {
  return ObjectKey::from_parts(fmt::format("{}.conflict-{}", refused.text(), digest_hex));
}

Result<ObjectKey> Incarnation::wal_file(std::string_view name) const {
  const auto kind = TRY(classify_wal_file(name));
  if (kind == WalFileKind::kSegment) {
    return Error::invalid(
        fmt::format("{} is a segment, not a .history, .partial or .backup file", name));
  }
  if (kind == WalFileKind::kTimelineHistory) {
    std::uint32_t timeline = 0;
    parse_hex(name.substr(0, 8), kUpperHex, timeline);
    if (timeline == 0) return Error::invalid(fmt::format("{}: no timeline has this number", name));
    return history(TimelineId(timeline));
  }
  const auto segment = TRY(parse_segment_file_name(name.substr(0, 24), segment_size_));
  const auto suffix = name.substr(24);
  return ObjectKey::from_parts(this->segment(segment).text() + std::string(suffix));
}

ObjectKey Incarnation::history(TimelineId timeline) const {
  return ObjectKey::from_parts(wal_prefix(timeline) + history_file_name(timeline));
}

std::string Incarnation::wal_prefix() const {
  return prefix_ + "wal/";
}

std::string Incarnation::wal_prefix(TimelineId timeline) const {
  return fmt::format("{}wal/{}/", prefix_, to_hex8(timeline));
}

std::string Incarnation::wal_log_prefix(TimelineId timeline, std::uint64_t log) const {
  return fmt::format("{}{:08X}/", wal_prefix(timeline), log);
}

ObjectKey Incarnation::facts(SegmentId segment) const {
  const auto log = segment.number / segment_size_.segments_per_log();
  return ObjectKey::from_parts(facts_log_prefix(segment.timeline, log) +
                               segment_file_name(segment, segment_size_));
}

ObjectKey Incarnation::facts_rollup(TimelineId timeline, std::uint64_t log) const {
  return ObjectKey::from_parts(facts_log_prefix(timeline, log) + "rollup");
}

std::string Incarnation::facts_prefix(TimelineId timeline) const {
  return fmt::format("{}facts/{}/", prefix_, to_hex8(timeline));
}

std::string Incarnation::facts_log_prefix(TimelineId timeline, std::uint64_t log) const {
  return fmt::format("{}{:08X}/", facts_prefix(timeline), log);
}

ObjectKey Incarnation::watermark(TimelineId timeline, Timestamp time, Lsn lsn) const {
  return ObjectKey::from_parts(
      fmt::format("{}{:020}-{:016X}", watermark_prefix(timeline), time.unix_us(), lsn.value()));
}

std::string Incarnation::watermark_prefix(TimelineId timeline) const {
  return fmt::format("{}watermark/{}/", prefix_, to_hex8(timeline));
}

Result<Lsn> Incarnation::parse_watermark(TimelineId timeline, const ObjectKey& watermark) const {
  static constexpr std::size_t kTimeLength = 20;
  const auto prefix = watermark_prefix(timeline);
  std::string_view name = watermark.text();
  std::uint64_t lsn = 0;
  const bool parsed = name.starts_with(prefix) && name.size() == prefix.size() + kTimeLength + 17 &&
                      name[prefix.size() + kTimeLength] == '-' &&
                      parse_hex(name.substr(prefix.size() + kTimeLength + 1), kUpperHex, lsn);
  if (!parsed) return Error::corrupt(fmt::format("{} is not the name of a watermark", name));
  return Lsn(lsn);
}

ObjectKey Incarnation::timeline_reservation(TimelineId timeline) const {
  return ObjectKey::from_parts(timeline_reservation_prefix() + to_hex8(timeline));
}

std::string Incarnation::timeline_reservation_prefix() const {
  return prefix_ + "timeline/";
}

ObjectKey Incarnation::pack(const BackupId& backup, std::uint32_t number) const {
  return ObjectKey::from_parts(fmt::format("{}{:06}", pack_prefix(backup), number));
}

std::string Incarnation::pack_prefix(const BackupId& backup) const {
  return fmt::format("{}pack/{}-", prefix_, backup.text());
}

ObjectKey Incarnation::table(std::string_view table_id) const {
  return ObjectKey::from_parts(fmt::format("{}table/{}", prefix_, table_id));
}

ObjectKey Incarnation::backup_intent(const BackupId& backup) const {
  return ObjectKey::from_parts(fmt::format("{}{}/intent", backup_prefix(), backup.text()));
}

ObjectKey Incarnation::backup_manifest(const BackupId& backup) const {
  return ObjectKey::from_parts(fmt::format("{}{}/manifest", backup_prefix(), backup.text()));
}

ObjectKey Incarnation::backup_json(const BackupId& backup) const {
  return ObjectKey::from_parts(fmt::format("{}{}/backup.json", backup_prefix(), backup.text()));
}

std::string Incarnation::backup_prefix() const {
  return prefix_ + "backup/";
}

std::string Incarnation::backup_prefix(const BackupId& backup) const {
  return fmt::format("{}{}/", backup_prefix(), backup.text());
}

ObjectKey Incarnation::backup_pin(const BackupId& backup, std::uint64_t pin) const {
  return ObjectKey::from_parts(fmt::format("{}{:016x}", backup_pin_prefix(backup), pin));
}

std::string Incarnation::backup_pin_prefix(const BackupId& backup) const {
  return backup_prefix(backup) + "pin-";
}

std::string Incarnation::backup_verified_prefix(const BackupId& backup) const {
  return backup_prefix(backup) + "verified-";
}

std::string Incarnation::pack_prefix() const {
  return prefix_ + "pack/";
}

std::string Incarnation::table_prefix() const {
  return prefix_ + "table/";
}

std::string Incarnation::facts_prefix() const {
  return prefix_ + "facts/";
}

std::string Incarnation::watermark_prefix() const {
  return prefix_ + "watermark/";
}

std::optional<TimelineId> Incarnation::timeline_of(const ObjectKey& key) const {
  const std::string_view name = key.text();
  for (const auto& prefix : {wal_prefix(), facts_prefix(), watermark_prefix()}) {
    if (!name.starts_with(prefix) || name.size() < prefix.size() + 8) continue;
    const auto timeline = parse_timeline(name.substr(prefix.size(), 8));
    if (timeline) return *timeline;
  }
  return std::nullopt;
}

std::optional<SegmentId> Incarnation::segment_of(const ObjectKey& key) const {
  static constexpr std::size_t kSegmentName = 24;
  const std::string_view name = key.text();
  if (!name.starts_with(wal_prefix()) && !name.starts_with(facts_prefix())) return std::nullopt;
  const auto last = name.substr(name.rfind('/') + 1);
  if (last.size() < kSegmentName) return std::nullopt;
  const auto segment = parse_segment_file_name(last.substr(0, kSegmentName), segment_size_);
  if (!segment) return std::nullopt;
  return *segment;
}

std::optional<std::pair<TimelineId, std::uint64_t>> Incarnation::rollup_of(
    const ObjectKey& key) const {
  const std::string_view name = key.text();
  const auto timeline = timeline_of(key);
  const auto prefix = timeline ? facts_prefix(*timeline) : std::string();
  if (!timeline || !name.starts_with(prefix) || name.size() < prefix.size() + 8) {
    return std::nullopt;
  }
  const auto log = parse_log(name.substr(prefix.size(), 8));
  if (!log || facts_rollup(*timeline, *log) != key) return std::nullopt;
  return std::pair(*timeline, *log);
}

ObjectKey Incarnation::trash(Timestamp time, std::uint64_t random) const {
  return ObjectKey::from_parts(
      fmt::format("{}{}-{:016x}", trash_prefix(), to_compact_string(time), random));
}

std::string Incarnation::trash_prefix() const {
  return prefix_ + "trash/";
}

ObjectKey Incarnation::lease(std::uint64_t holder, std::uint32_t number) const {
  return ObjectKey::from_parts(fmt::format("{}{:016x}-{:08}", lease_prefix(), holder, number));
}

std::string Incarnation::lease_prefix() const {
  return prefix_ + "lease/";
}

}  // namespace layout
}  // namespace pitr
