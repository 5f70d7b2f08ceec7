// The names of all objects in a repository, in one place. docs/repository-format.md draws the tree.
//
// Numbers in names have a fixed width, so that listings come in order. Names are bound into the
// seals of the objects that bear them: an object under another's name is not opened.
//
//   repository.json                      keyring/<epoch>.<kek-id>
//   audit/<year>-<month>/<time>-<id>     the audit trail of all clusters
//   <cluster>/<sysid>-<major>/           one incarnation:
//     identity                           what is known of it without its server
//     wal/<TLI>/<log>/<segment>          complete segments; also <segment>.partial, .backup
//     wal/<TLI>/<TLI>.history
//     wal/<TLI>/<log>/<segment>.tail-<offset>-<writer>
//     wal/<TLI>/<log>/<segment>.conflict-<digest>    refused bytes of another origin, kept aside
//     facts/<TLI>/<log>/<segment>        facts/<TLI>/<log>/rollup
//     watermark/<TLI>/<time>-<lsn>
//     timeline/<TLI>                     a timeline id reserved by a restore
//     pack/<backup-id>-NNNNNN            table/<id>
//     backup/<backup-id>/intent, manifest, backup.json, pin-<id>, verified-…
//     trash/<id>                         what is to be deleted
//     lease/<holder>-<number>            what must not be
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "postgres/lsn.h"
#include "storage/storage.h"

namespace pitr {

// One life of a cluster: pg_upgrade or a new initdb starts another, and nothing crosses.
struct IncarnationId {
  std::string cluster;  // the configured name, [a-z0-9][a-z0-9_-]*
  std::uint64_t system_identifier = 0;
  std::uint32_t major_version = 0;  // 13 to 18

  friend auto operator<=>(const IncarnationId&, const IncarnationId&) = default;
};
std::string to_string(const IncarnationId& incarnation);  // "main/7301234567890123456-15"
Result<IncarnationId> parse_incarnation(std::string_view text);

// UTC start and 64 random bits: "20260301T091500Z-89abcdef01234567". Sorts by start.
class BackupId {
 public:
  static BackupId make(Timestamp start, std::uint64_t random);
  static Result<BackupId> parse(std::string_view text);
  const std::string& text() const { return text_; }
  // When it began, by the clock of the machine that took it; in whole seconds.
  Timestamp start_time() const;
  friend auto operator<=>(const BackupId&, const BackupId&) = default;

 private:
  explicit BackupId(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

// 64 bits that nobody else has, for names.
std::uint64_t random_name();

namespace layout {

ObjectKey repository_json();
ObjectKey keyring_entry(std::uint32_t epoch, std::string_view kek_id);
inline constexpr std::string_view kKeyringPrefix = "keyring/";

// Sorted by time.
ObjectKey audit_entry(Timestamp time, std::uint64_t random);
inline constexpr std::string_view kAuditPrefix = "audit/";
std::string audit_month(Timestamp time);  // "2026-11", in UTC

// The <TLI> of names: "0000000A".
Result<TimelineId> parse_timeline(std::string_view hex8);
// The <log> of names: which 4 GiB of WAL.
Result<std::uint64_t> parse_log(std::string_view hex8);

// Names inside one incarnation.
class Incarnation {
 public:
  Incarnation(const IncarnationId& id, SegmentSize segment_size);

  std::string prefix() const { return prefix_; }  // ends in '/'
  ObjectKey identity() const;

  ObjectKey segment(SegmentId segment) const;
  ObjectKey tail(SegmentId segment, std::uint32_t offset, std::uint64_t writer) const;
  std::string tail_prefix(SegmentId segment) const;
  // The offset in a tail's name.
  Result<std::uint32_t> parse_tail(SegmentId segment, const ObjectKey& tail) const;
  // Where bytes are kept that were refused under the name of a segment or history file.
  ObjectKey conflict(const ObjectKey& refused, std::string_view digest_hex) const;
  // .history, .partial and .backup files, by PostgreSQL's name; kInvalid for other names.
  Result<ObjectKey> wal_file(std::string_view name) const;
  ObjectKey history(TimelineId timeline) const;
  std::string wal_prefix() const;
  std::string wal_prefix(TimelineId timeline) const;
  std::string wal_log_prefix(TimelineId timeline, std::uint64_t log) const;

  ObjectKey facts(SegmentId segment) const;
  ObjectKey facts_rollup(TimelineId timeline, std::uint64_t log) const;
  std::string facts_prefix(TimelineId timeline) const;
  std::string facts_log_prefix(TimelineId timeline, std::uint64_t log) const;
  ObjectKey watermark(TimelineId timeline, Timestamp time, Lsn lsn) const;
  std::string watermark_prefix(TimelineId timeline) const;
  Result<Lsn> parse_watermark(TimelineId timeline, const ObjectKey& watermark) const;
  ObjectKey timeline_reservation(TimelineId timeline) const;
  std::string timeline_reservation_prefix() const;

  ObjectKey pack(const BackupId& backup, std::uint32_t number) const;
  std::string pack_prefix(const BackupId& backup) const;
  ObjectKey table(std::string_view table_id) const;
  ObjectKey backup_intent(const BackupId& backup) const;
  ObjectKey backup_manifest(const BackupId& backup) const;
  ObjectKey backup_json(const BackupId& backup) const;
  std::string backup_prefix() const;
  std::string backup_prefix(const BackupId& backup) const;  // of everything that belongs to one
  ObjectKey backup_pin(const BackupId& backup, std::uint64_t pin) const;
  std::string backup_pin_prefix(const BackupId& backup) const;
  std::string backup_verified_prefix(const BackupId& backup) const;

  std::string pack_prefix() const;
  std::string table_prefix() const;
  std::string facts_prefix() const;
  std::string watermark_prefix() const;
  // Of which segment an object below wal/ or facts/ is: tails, refused bytes, .partial and .backup
  // files too. nullopt for all others, such as history files and roll-ups.
  std::optional<SegmentId> segment_of(const ObjectKey& key) const;
  // The timeline and log of a roll-up; nullopt for all others.
  std::optional<std::pair<TimelineId, std::uint64_t>> rollup_of(const ObjectKey& key) const;
  // The timeline of an object below wal/, facts/ or watermark/.
  std::optional<TimelineId> timeline_of(const ObjectKey& key) const;

  ObjectKey trash(Timestamp time, std::uint64_t random) const;
  std::string trash_prefix() const;
  ObjectKey lease(std::uint64_t holder, std::uint32_t number) const;
  std::string lease_prefix() const;

  SegmentSize segment_size() const { return segment_size_; }

 private:
  std::string prefix_;
  SegmentSize segment_size_;
};

}  // namespace layout
}  // namespace pitr
