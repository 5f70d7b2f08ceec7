// One cluster with made-up backups and WAL in memory, on a clock of its own: for tests of expire.
#pragma once

#include <fmt/format.h>

#include <set>

#include "repository/backup/backup_fixture.h"
#include "repository/expire/expire.h"
#include "repository/expire/lease.h"
#include "repository/expire/stepped_storage.h"
#include "repository/incarnations.h"

namespace pitr::test {

inline constexpr Microseconds kGrace = std::chrono::hours(72);

// It keeps its newest backup only.
class ExpireTest : public ::testing::Test {
 protected:
  ExpireTest() {
    repository = must(Repository::init(memory, std::nullopt));
    must(register_incarnation(*repository, id, segment_size, clock));
    options.policy.keep_last = 1;
    options.policy.keep_daily = options.policy.keep_weekly = 0;
    options.policy.keep_monthly = options.policy.keep_yearly = 0;
    options.policy.keep_verified = 0;
    options.policy.keep_within = Microseconds(0);
    options.grace = kGrace;
  }

  IncarnationStore store() { return {*repository, id, segment_size}; }
  BackupIntent intent() {
    BackupIntent made{.id = BackupId::make(clock.now(), ++backups_made), .started = clock.now()};
    made.start_lsn = segment_size.start_of(segment) + 40;
    return made;
  }
  std::unique_ptr<BackupWriter> start(const BackupIntent& made,
                                      std::optional<BackupManifest> parent = {}) {
    std::optional<ParentBackup> builds_on;
    if (parent) builds_on = ParentBackup{*parent, {}};
    auto writer = must(BackupWriter::start(store(), made, {}, std::move(builds_on), clock));
    auto packs = must(writer->new_pack_writer());
    must(packs->add("PG_VERSION", 0, as_bytes("15\n")));
    writer->add_file(backup_test::file_row("PG_VERSION", 3));
    must(packs->finish());
    return writer;
  }
  BackupManifest describe(BackupWriter& writer, const BackupIntent& made) {
    auto manifest = backup_test::manifest_of(store(), made.id);
    manifest.start_lsn = made.start_lsn;
    manifest.stop_lsn = made.start_lsn + 100;
    manifest.start_time = manifest.stop_time = clock.now();
    return must(writer.store_manifest(std::move(manifest)));
  }
  // With its WAL; some hours and segments later.
  BackupManifest backup(std::optional<BackupManifest> parent = {}) {
    auto made = intent();
    if (parent) made.parent = parent->id;
    const auto writer = start(made, std::move(parent));
    const auto manifest = describe(*writer, made);
    put_wal(segment);
    must(writer->publish(manifest));
    clock.advance(std::chrono::hours(5));
    put_wal(++segment);
    put_wal(++segment);
    return manifest;
  }
  ObjectKey wal(std::uint64_t number) { return store().names().segment({TimelineId(1), number}); }
  void put_wal(std::uint64_t number) {
    (void)memory.put_if_absent(wal(number), as_bytes("wal")).has_value();
    (void)memory.put_if_absent(store().names().facts({TimelineId(1), number}), as_bytes("facts"))
        .has_value();
  }
  ExpireReport expire() { return must(expire_cluster(*repository, "main", options, clock)); }
  std::set<std::string> names() {
    std::set<std::string> found;
    for (const auto& object : must(list_all(memory, ""))) found.insert(object.key.text());
    return found;
  }
  bool exists(const ObjectKey& key) { return memory.stat(key).has_value(); }
  bool is_published(const BackupId& backup) { return exists(store().names().backup_json(backup)); }
  bool is_needed(const ObjectKey& key, const BackupManifest& manifest) {
    std::set<std::string> contents;
    add_contents(store(), manifest, contents);
    return contents.contains(key.text());
  }
  void expect_whole(const BackupManifest& manifest) {
    std::set<std::string> contents;
    add_contents(store(), manifest, contents);
    for (const auto& name : contents) EXPECT_TRUE(names().contains(name)) << name;
    EXPECT_TRUE(is_published(manifest.id));
    EXPECT_TRUE(exists(wal(segment_size.number_of(manifest.start_lsn))));
  }

  const IncarnationId id{"main", 7'301'234'567'890'123'456, 15};
  const SegmentSize segment_size = must(SegmentSize::from_bytes(1 << 20));
  SimulatedClock clock{Timestamp::from_unix_us(1'772'356'500'000'000)};
  MemoryStorage memory{clock};
  std::unique_ptr<Repository> repository;
  ExpireOptions options;
  std::uint64_t segment = 10, backups_made = 0;
};

}  // namespace pitr::test
