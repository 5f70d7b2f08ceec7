// What is in trash and needed again, and timelines that begin while expire runs.
#include "repository/expire/expire_fixture.h"
#include "repository/wal/wal_archive.h"

namespace pitr::test {
namespace {

using std::chrono::hours;

class TrashAgainTest : public ExpireTest {
 protected:
  std::string in_trash(const ObjectKey& key) {
    return key.text().substr(store().names().prefix().size());
  }
  std::set<std::string> trash() {
    return trash_at(store(), must(read_trash(store())), clock.now()).objects;
  }
  Result<std::unique_ptr<Lease>> lease_on(std::uint64_t number) {
    return Lease::take(store(), {{}, {{TimelineId(1), number, number}}, "a restore"});
  }
  // As after a policy that keeps more now: 11 is inside the window, 5 isn't.
  void put_into_trash(const BackupManifest& kept) {
    put_wal(5);
    must(put_trash(store(), clock, {},
                   {in_trash(kept.packs.front().key), in_trash(wal(5)), in_trash(wal(11))}, 300));
  }
};

TEST_F(TrashAgainTest, WhatIsNeededAgainIsTakenOutAndTheRestGoes) {
  const auto kept = backup();
  put_into_trash(kept);
  EXPECT_EQ(lease_on(11).error().kind(), ErrorKind::kConflict);
  expire();
  EXPECT_TRUE(lease_on(11));
  EXPECT_TRUE(trash().contains(wal(5).text()));
  EXPECT_FALSE(trash().contains(wal(11).text()));
  EXPECT_FALSE(trash().contains(kept.packs.front().key.text()));
  clock.advance(kGrace - hours(2));
  expire();
  EXPECT_TRUE(exists(wal(5)));
  clock.advance(hours(3));
  expire();
  EXPECT_FALSE(exists(wal(5)));
  EXPECT_TRUE(exists(wal(11)));
  expect_whole(kept);
  EXPECT_TRUE(trash().empty());
}

// Another run may be deleting by it.
TEST_F(TrashAgainTest, ARecordThatIsNearlyDueIsLeftAlone) {
  const auto kept = backup();
  put_into_trash(kept);
  clock.advance(kGrace - Seconds(60));
  expire();
  EXPECT_TRUE(trash().contains(wal(11).text()));
  clock.advance(Seconds(120));
  expire();
  EXPECT_TRUE(exists(wal(11)));
  EXPECT_FALSE(trash().contains(wal(11).text()));
}

TEST_F(TrashAgainTest, KilledAnywhereTheRestStaysInTrash) {
  const auto kept = backup();
  bool is_done = false;
  for (std::uint64_t calls = 0; !is_done; ++calls) {
    SCOPED_TRACE(calls);
    put_into_trash(kept);
    {
      Actor actor(memory, "expire", [&](Storage& storage) {
        const auto opened = Repository::open(storage, std::nullopt);
        is_done = opened && expire_cluster(**opened, "main", options, clock).has_value();
      });
      for (std::uint64_t i = 0; i < calls && !actor.is_done(); ++i) actor.step();
      const auto late = actor.kill();
      if (late && calls % 2 == 0) late();
    }
    ASSERT_TRUE(trash().contains(wal(5).text()));
    expire();
    ASSERT_TRUE(trash().contains(wal(5).text()));
    ASSERT_FALSE(trash().contains(wal(11).text()));
    clock.advance(2 * kGrace);
    expire();
    ASSERT_FALSE(exists(wal(5)));
    expect_whole(kept);
  }
}

// A promotion after any of expire's storage calls: WAL and facts of the new timeline come in while
// the plan, made before, doesn't know it.
TEST_F(TrashAgainTest, ATimelineThatBeginsMeanwhileIsNotInTrash) {
  std::uint32_t timeline = 1;
  for (std::uint64_t calls = 0;; ++calls) {
    SCOPED_TRACE(calls);
    backup();
    backup();
    Actor actor(memory, "expire", [&](Storage& storage) {
      const auto opened = must(Repository::open(storage, std::nullopt));
      must(expire_cluster(*opened, "main", options, clock));
    });
    for (std::uint64_t i = 0; i < calls && !actor.is_done(); ++i) actor.step();
    const bool was_done = actor.is_done();
    const TimelineId begun(++timeline);
    const auto at = segment_size.start_of(segment) + 5000;
    must(WalArchive(store()).put_file(fmt::format("{:08X}.history", timeline),
                                      as_bytes(fmt::format("1\t{}\tpromoted\n", to_string(at)))));
    std::set<std::string> written;
    for (const auto number : {segment, segment + 1}) {
      for (const auto& key :
           {store().names().segment({begun, number}), store().names().facts({begun, number})}) {
        must(memory.put(key, as_bytes("wal")));
        written.insert(key.text());
      }
    }
    while (!actor.is_done()) actor.step();
    for (const auto& name : trash()) ASSERT_FALSE(written.contains(name)) << name;
    // It is of no use for the next round.
    for (const auto& name : written) must(memory.remove(ObjectKey::from_parts(name)));
    clock.advance(3 * kGrace);
    expire();
    if (was_done) break;
  }
}

}  // namespace
}  // namespace pitr::test
