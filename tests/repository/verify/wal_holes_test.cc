#include "repository/verify/wal_holes.h"

#include "repository/expire/lease.h"
#include "repository/verify/verify_fixture.h"

namespace pitr::test {
namespace {

using Names = std::set<std::string>;

// Two backups with three segments between them: the first one needs 0 and 1, the second 5 and 6.
class WalHolesTest : public ::testing::Test {
 protected:
  const IncarnationStore& store() { return repository.store(); }
  ObjectKey key(std::uint64_t index) { return store().names().segment(repository.segment(index)); }
  std::string missing(std::uint64_t index) {
    return "missing " + key(index).text().substr(store().names().prefix().size());
  }
  void lose(const std::vector<std::uint64_t>& segments) {
    for (const auto index : segments) {
      lost.emplace(key(index), must(repository.memory().get(key(index), 1 << 30)));
      must(repository.memory().remove(key(index)));
    }
  }
  void put_back() {
    for (const auto& [object, bytes] : lost) must(repository.memory().put(object, bytes));
    lost.clear();
  }
  void forget_facts(std::uint64_t index) {
    must(repository.memory().remove(store().names().facts(repository.segment(index))));
  }
  // As once the log is full.
  void roll_up() {
    const FactsStore facts(store());
    const auto all = must(facts.range(TimelineId(1), 0, UINT64_MAX, wal::WithChanges::kYes));
    ByteWriter out;
    out.u8(1);
    out.varint(all.size());
    for (const auto& one : all) {
      const auto encoded = wal::encode_facts(one);
      out.varint(encoded.size());
      out.raw(encoded);
    }
    const auto log = all.front().segment.number / store().segment_size().segments_per_log();
    const auto rollup = store().names().facts_rollup(TimelineId(1), log);
    must(store().put_sealed(ContainerKind::kFacts, rollup, out.bytes()));
    for (const auto& one : all) {
      must(repository.memory().remove(store().names().facts(one.segment)));
    }
  }
  Names found(VerifyDepth depth = VerifyDepth::kQuick) {
    return findings_of(repository.verify(depth));
  }
  std::string in_trash(std::uint64_t index) {
    return key(index).text().substr(store().names().prefix().size());
  }
  void damage(const ObjectKey& object) {
    auto bytes = must(repository.memory().get(object, 1 << 30));
    bytes[bytes.size() / 2] ^= 1;
    repository.put_back(object, bytes);
  }

  VerifiedRepository repository{/*encrypted=*/false, /*between=*/3};
  SystemClock clock;
  std::map<ObjectKey, Bytes> lost;
};

TEST_F(WalHolesTest, ALostSegmentIsFoundThoughItsFactsAreRolledUp) {
  roll_up();
  EXPECT_EQ(found(), Names());
  for (const std::uint64_t index : {2, 3, 4}) {
    SCOPED_TRACE(index);
    lose({index});
    for (const auto depth : {VerifyDepth::kQuick, VerifyDepth::kFull}) {
      const auto report = repository.verify(depth);
      EXPECT_EQ(findings_of(report), Names{missing(index)});
      ASSERT_EQ(report.findings.size(), 1u);
      ASSERT_TRUE(report.findings.front().lost);
      EXPECT_EQ(report.findings.front().lost->to, repository.second().stop_lsn);
    }
    put_back();
  }
  lose({2, 3});
  EXPECT_EQ(found(), (Names{missing(2), missing(3)}));
  put_back();
  lose({2, 4});
  EXPECT_EQ(found(), (Names{missing(2), missing(4)}));
}

TEST_F(WalHolesTest, WhatExpireTookIsNotMissed) {
  roll_up();
  must(put_trash(store(), clock, {}, {in_trash(2), in_trash(3), in_trash(4)}, 0));
  for (const std::uint64_t index : {2, 3, 4}) {
    lose({index});
    EXPECT_EQ(found(), Names()) << index;
  }
  for (const auto& record : must(read_trash(store()))) {
    must(repository.memory().remove(record.key));
  }
  EXPECT_EQ(found(), Names());
  EXPECT_EQ(found(VerifyDepth::kFull), Names());
}

TEST_F(WalHolesTest, LeasesAndAttemptsHoldWalThatIsTakenAround) {
  roll_up();
  lose({4});
  auto lease = must(Lease::take(
      store(),
      {{}, {{TimelineId(1), repository.segment(1).number, repository.segment(3).number}}, "it"}));
  EXPECT_EQ(found(), Names());
  must(lease->release());
  EXPECT_EQ(found(), Names{missing(4)});
  put_back();
  lose({2, 3});
  EXPECT_EQ(found(), (Names{missing(2), missing(3)}));
  BackupIntent intent{.id = BackupId::make(clock.now(), 9), .started = clock.now()};
  intent.start_lsn = store().segment_size().start_of(repository.segment(4).number) + 40;
  must(BackupWriter::start(store(), intent, {}, {}));
  EXPECT_EQ(found(), Names());
}

TEST_F(WalHolesTest, NothingIsSaidWhileABackupIsBeingDropped) {
  roll_up();
  lose({3});
  const auto drop = must(put_trash(store(), clock, {BackupId::make(clock.now(), 9)}, {}, 0));
  EXPECT_EQ(found(), Names());
  must(repository.memory().remove(drop.key));
  EXPECT_EQ(found(), Names{missing(3)});
}

TEST_F(WalHolesTest, ABackupThatCantBeReadDoesNotHideAHole) {
  damage(store().names().backup_manifest(repository.second().id));
  const auto damaged = found();
  EXPECT_EQ(damaged.size(), 1u);
  const auto with = [&](Names more) {
    more.insert(damaged.begin(), damaged.end());
    return more;
  };
  // Without facts only the walk from the first backup on sees it.
  lose({3});
  forget_facts(3);
  EXPECT_EQ(found(), with({missing(3)}));
  // Up to where the second one starts expire may have taken it.
  lose({2, 4});
  forget_facts(2);
  forget_facts(4);
  EXPECT_EQ(found(), damaged);
}

TEST_F(WalHolesTest, EachTimelineHasAWindow) {
  // The newest backup is on another timeline, that left this one behind all of its WAL.
  auto moved = repository.second();
  moved.timeline = TimelineId(3);
  must(WalArchive(store()).put_file("00000003.history", as_bytes("1\t0/F000000\tnone\n")));
  const auto& names = store().names();
  must(repository.memory().remove(names.backup_manifest(moved.id)));
  must(store().put_sealed(ContainerKind::kManifest, names.backup_manifest(moved.id),
                          encode_manifest(moved)));
  const auto json = to_backup_json(moved);
  repository.put_back(names.backup_json(moved.id), Bytes(json.begin(), json.end()));
  EXPECT_EQ(found(), Names());
  lose({3});
  forget_facts(3);
  EXPECT_EQ(found(), Names{missing(3)});
}

}  // namespace
}  // namespace pitr::test
