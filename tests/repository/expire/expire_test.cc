#include "repository/expire/expire.h"

#include "repository/expire/expire_fixture.h"
#include "repository/expire/pins.h"

namespace pitr::test {
namespace {

using backup_test::file_row;
using std::chrono::hours;
using testing::HasSubstr;

TEST_F(ExpireTest, WhatGoesIsInTrashForTheGrace) {
  const auto first = backup();
  const auto second = backup();
  const auto pack = first.packs.front().key;
  const auto report = expire();
  EXPECT_EQ(report.dropped_backups, 1u);
  EXPECT_FALSE(is_published(first.id));
  EXPECT_GT(report.unneeded_files.bytes, 0u);
  EXPECT_EQ(report.unneeded_wal.objects, 4u);  // segments 10 and 11, and their facts
  EXPECT_EQ(report.leaked.objects, 0u);
  EXPECT_TRUE(exists(pack));
  EXPECT_TRUE(exists(wal(10)));

  clock.advance(kGrace - hours(1));
  const auto waiting = expire();
  EXPECT_EQ(waiting.deleted.objects, 0u);
  EXPECT_EQ(waiting.unneeded_files.objects, 0u);  // counted once
  EXPECT_GT(waiting.waiting.objects, 0u);
  EXPECT_TRUE(exists(pack));

  clock.advance(hours(2));
  const auto deleted = expire();
  EXPECT_EQ(deleted.deleted.objects, report.unneeded_files.objects + report.unneeded_wal.objects);
  EXPECT_FALSE(exists(pack));
  EXPECT_FALSE(exists(wal(10)));
  EXPECT_FALSE(exists(wal(11)));
  EXPECT_TRUE(exists(wal(12)));
  expect_whole(second);
  EXPECT_EQ(must(list_all(memory, store().names().trash_prefix())).size(), 0u);
}

TEST_F(ExpireTest, ADryRunChangesNothing) {
  backup();
  backup();
  const auto before = names();
  options.dry_run = true;
  const auto dry = expire();
  EXPECT_EQ(names(), before);
  options.dry_run = false;
  const auto real = expire();
  EXPECT_EQ(dry.dropped_backups, real.dropped_backups);
  EXPECT_EQ(dry.unneeded_files.bytes, real.unneeded_files.bytes);
  EXPECT_EQ(dry.unneeded_wal.bytes, real.unneeded_wal.bytes);
  EXPECT_EQ(dry.backups.front().own_bytes, real.backups.front().own_bytes);
}

TEST_F(ExpireTest, WhatIsNeededIsNotDeletedThoughItIsInTrash) {
  const auto kept = backup();
  const auto prefix = store().names().prefix().size();
  must(put_trash(store(), clock, {},
                 {kept.packs.front().key.text().substr(prefix),
                  store().names().table(kept.file_table).text().substr(prefix),
                  store().names().backup_manifest(kept.id).text().substr(prefix),
                  wal(10).text().substr(prefix), wal(11).text().substr(prefix)},
                 0));
  clock.advance(kGrace + hours(1));
  EXPECT_EQ(expire().deleted.objects, 0u);
  expect_whole(kept);
  EXPECT_TRUE(exists(wal(11)));
}

TEST_F(ExpireTest, AnUnreadableManifestEndsIt) {
  const auto first = backup();
  const auto second = backup();
  for (const auto& key :
       {store().names().backup_manifest(first.id), store().names().backup_manifest(second.id)}) {
    const auto bytes = must(memory.get(key, 1 << 20));
    backup_test::flip_byte(memory, key, bytes.size() / 2);
    const auto expired = expire_cluster(*repository, "main", options, clock);
    ASSERT_FALSE(expired);
    EXPECT_EQ(expired.error().kind(), ErrorKind::kCorrupt);
    EXPECT_THAT(expired.error().message(), HasSubstr(key.text()));
    EXPECT_TRUE(is_published(first.id));
    must(memory.put(key, bytes));
  }
  // Without it nobody knows what leads where.
  must(memory.put(store().names().segment({TimelineId(2), 12}), as_bytes("wal")));
  const auto expired = expire_cluster(*repository, "main", options, clock);
  ASSERT_FALSE(expired);
  EXPECT_THAT(expired.error().message(), HasSubstr("00000002.history"));
  EXPECT_TRUE(is_published(first.id));
}

TEST_F(ExpireTest, ABackupUnderWayKeepsItsParentItsPacksAndItsWal) {
  const auto parent = backup();
  auto made = intent();
  made.parent = parent.id;
  const auto start_segment = segment;
  const auto writer = start(made, parent);
  backup();
  clock.advance(hours(60));
  const auto report = expire();
  EXPECT_EQ(report.dropped_backups, 0u);
  EXPECT_THAT(report.backups.front().held, HasSubstr("builds on it"));
  EXPECT_EQ(report.unneeded_files.objects, 0u);
  const auto manifest = describe(*writer, made);
  put_wal(start_segment);
  expire();
  must(writer->publish(manifest));
  expect_whole(manifest);
}

TEST_F(ExpireTest, ABackupThatIsLateIsNotPublishedAndCollected) {
  const auto made = intent();
  const auto writer = start(made);
  const auto manifest = describe(*writer, made);
  const auto kept = backup();
  clock.advance(kDefaultGrace);
  const auto published = writer->publish(manifest);
  ASSERT_FALSE(published);
  EXPECT_EQ(published.error().kind(), ErrorKind::kConflict);
  EXPECT_THAT(published.error().message(), HasSubstr("may not take more than 72 h"));
  EXPECT_EQ(expire().leaked.objects, 0u);  // a request of it may be under way yet
  clock.advance(kGrace);
  const auto report = expire();
  EXPECT_GT(report.leaked.objects, 3u);
  EXPECT_EQ(report.leaked.objects, report.unneeded_files.objects);
  clock.advance(kGrace + hours(1));
  EXPECT_EQ(expire().deleted.objects, report.leaked.objects);
  EXPECT_FALSE(exists(manifest.packs.front().key));
  EXPECT_TRUE(must(list_all(memory, store().names().backup_prefix(made.id))).empty());
  expect_whole(kept);
}

TEST_F(ExpireTest, WhatIsInTrashIsNotPublished) {
  const auto made = intent();
  const auto writer = start(made);
  const auto manifest = describe(*writer, made);
  must(put_trash(store(), clock, {},
                 {manifest.packs.front().key.text().substr(store().names().prefix().size())}, 0));
  const auto published = writer->publish(manifest);
  ASSERT_FALSE(published);
  EXPECT_THAT(published.error().message(), HasSubstr("is being deleted"));
  EXPECT_FALSE(is_published(made.id));
}

TEST_F(ExpireTest, ABackupThatIsBeingDroppedIsNobodysParent) {
  const auto parent = backup();
  must(put_trash(store(), clock, {parent.id}, {}, 0));
  auto made = intent();
  made.parent = parent.id;
  const auto started = BackupWriter::start(store(), made, {}, ParentBackup{parent, {}}, clock);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind(), ErrorKind::kConflict);
  // What a killed run announced doesn't count for long.
  clock.advance(TrashRecord::kDropLasts);
  made = intent();
  made.parent = parent.id;
  EXPECT_TRUE(BackupWriter::start(store(), made, {}, ParentBackup{parent, {}}, clock));
}

TEST_F(ExpireTest, LeasesHoldBackupsAndWal) {
  const auto first = backup();
  backup();
  auto lease = must(Lease::take(store(), {{first.id}, {{TimelineId(1), 10, 11}}, "a restore"}));
  const auto held = expire();
  EXPECT_EQ(held.dropped_backups, 0u);
  EXPECT_EQ(held.backups.front().held, "in use by a restore");
  EXPECT_EQ(held.unneeded_wal.objects, 0u);
  for (int i = 0; i < 200; ++i) {
    clock.advance(Seconds(3000));
    must(lease->renew());
  }
  expire();
  expect_whole(first);
  EXPECT_TRUE(exists(wal(11)));
  EXPECT_EQ(must(read_leases(store())).size(), 1u);
  must(lease->release());
  EXPECT_EQ(expire().dropped_backups, 1u);
}

TEST_F(ExpireTest, ALeaseThatRanOutHoldsNothing) {
  const auto first = backup();
  backup();
  auto lease = must(Lease::take(store(), {{first.id}, {{TimelineId(1), 10, 11}}, "a restore"}));
  clock.advance(kLeaseLasts + Seconds(1));
  EXPECT_EQ(expire().dropped_backups, 1u);
  EXPECT_EQ(lease->renew().error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(Lease::take(store(), {{}, {{TimelineId(1), 11, 12}}, "another"}).error().kind(),
            ErrorKind::kConflict);
  EXPECT_TRUE(Lease::take(store(), {{}, {{TimelineId(1), 12, 13}}, "another"}));
}

TEST_F(ExpireTest, PinsHold) {
  const auto first = backup();
  backup();
  must(pin_backup(store(), first.id, "release", clock.now() + hours(24)));
  must(pin_backup(store(), first.id, "release", clock.now() + hours(48)));
  EXPECT_EQ(must(read_pins(store(), first.id)).size(), 1u);
  const auto report = expire();
  EXPECT_EQ(report.dropped_backups, 0u);
  EXPECT_EQ(report.unneeded_wal.objects, 2u);  // its own segment stays, the one behind it doesn't
  clock.advance(hours(48));
  EXPECT_EQ(expire().dropped_backups, 1u);
  EXPECT_EQ(pin_backup(store(), first.id, "late", {}).error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(pin_backup(store(), first.id, "", {}).error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(must(unpin_backup(store(), first.id, "")), 0u);
}

// Whoever builds on it while expire decides that its parent goes can go on, and so can others on
// it.
TEST_F(ExpireTest, WhatABackupTookOverMeanwhileIsNotInTrash) {
  std::size_t published = 0, refused = 0;
  for (std::uint64_t calls = 0;; ++calls) {
    SCOPED_TRACE(fmt::format("after call {}", calls));
    const auto parent = backup();
    const auto kept = backup();
    Actor actor(memory, "expire", [&](Storage& storage) {
      const auto opened = must(Repository::open(storage, std::nullopt));
      must(expire_cluster(*opened, "main", options, clock));
    });
    for (std::uint64_t i = 0; i < calls && !actor.is_done(); ++i) actor.step();
    const bool was_done = actor.is_done();
    auto made = intent();
    made.parent = parent.id;
    auto writer = BackupWriter::start(store(), made, {}, ParentBackup{parent, {}}, clock);
    if (!writer) {
      EXPECT_EQ(writer.error().kind(), ErrorKind::kConflict);
      while (!actor.is_done()) actor.step();
      ++refused;
    } else {
      (*writer)->add_file(file_row("PG_VERSION", 3), Keep::kRest);
      const auto manifest = describe(**writer, made);
      put_wal(segment);
      must((*writer)->publish(manifest));
      ++published;
      while (!actor.is_done()) actor.step();
      std::set<std::string> contents;
      add_contents(store(), manifest, contents);
      for (const auto& name : trash_at(store(), must(read_trash(store())), clock.now()).objects) {
        ASSERT_FALSE(contents.contains(name)) << name;
      }
      expect_whole(manifest);
    }
    ASSERT_FALSE(HasFailure());
    clock.advance(3 * kGrace);
    expire();
    if (was_done) break;
  }
  EXPECT_GT(published, 10u);
  EXPECT_GT(refused, 3u);
}

// Killed at each of its storage calls in turn, before or after it took effect.
TEST_F(ExpireTest, KilledAnywhereItLeavesWholeBackups) {
  for (std::uint64_t calls = 0;; ++calls) {
    SCOPED_TRACE(calls);
    const auto goes = backup();
    const auto kept = backup(goes);
    bool is_done = false;
    {
      Actor actor(memory, "expire", [&](Storage& storage) {
        const auto opened = Repository::open(storage, std::nullopt);
        is_done = opened && expire_cluster(**opened, "main", options, clock).has_value();
      });
      for (std::uint64_t i = 0; i < calls && !actor.is_done(); ++i) actor.step();
      const auto late = actor.kill();
      if (late && calls % 2 == 0) late();
    }
    if (is_published(goes.id)) expect_whole(goes);
    expect_whole(kept);
    ASSERT_FALSE(HasFailure());
    // The next runs finish it, and nothing that nobody needs is left.
    clock.advance(3 * kGrace);
    expire();
    clock.advance(kGrace + hours(1));
    expire();
    const auto last = expire();
    ASSERT_EQ(last.unneeded_files.objects + last.waiting.objects + last.deleted.objects, 0u);
    ASSERT_FALSE(exists(goes.packs.front().key) && !is_needed(goes.packs.front().key, kept));
    if (is_done) {
      EXPECT_GT(calls, 30u);
      return;
    }
  }
}

// Asked to stop at each of its storage calls in turn. It ends soon, and the next run ends its work.
TEST_F(ExpireTest, AskedToStopItEndsSoon) {
  std::size_t stopped = 0;
  for (std::uint64_t calls = 0;; ++calls) {
    SCOPED_TRACE(calls);
    const auto goes = backup();
    const auto kept = backup();
    std::stop_source stop;
    std::optional<ErrorKind> failure;
    Actor actor(memory, "expire", [&](Storage& storage) {
      const auto opened = must(Repository::open(storage, std::nullopt));
      const auto expired = expire_cluster(*opened, "main", options, clock, stop.get_token());
      if (!expired) failure = expired.error().kind();
    });
    for (std::uint64_t i = 0; i < calls && !actor.is_done(); ++i) actor.step();
    const bool was_done = actor.is_done();
    stop.request_stop();
    while (!actor.is_done()) actor.step();
    if (failure) {
      EXPECT_EQ(*failure, ErrorKind::kCancelled);
      ++stopped;
    }
    expect_whole(kept);
    clock.advance(3 * kGrace);
    expire();
    EXPECT_FALSE(is_published(goes.id));
    ASSERT_FALSE(HasFailure());
    if (was_done) break;
  }
  EXPECT_GT(stopped, 20u);
}

TEST_F(ExpireTest, ClocksThatDifferEndIt) {
  backup();
  SimulatedClock wrong(clock.now() + hours(3));
  const auto expired = expire_cluster(*repository, "main", options, wrong);
  ASSERT_FALSE(expired);
  EXPECT_EQ(expired.error().kind(), ErrorKind::kInvalid);
  EXPECT_THAT(expired.error().message(), HasSubstr("the clock of this host"));
}

}  // namespace
}  // namespace pitr::test
