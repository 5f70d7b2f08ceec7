// Objects that go while verification runs, and blocks of which one backup knows no digest.
#include <fmt/format.h>

#include "repository/sealed_object.h"
#include "repository/verify/verify_cycle.h"
#include "repository/verify/verify_fixture.h"
#include "repository/verify/verify_records.h"

namespace pitr::test {
namespace {

using Names = std::set<std::string>;

class VanishedTest : public ::testing::Test {
 protected:
  const layout::Incarnation& names() { return repository.store().names(); }
  std::string name(const ObjectKey& key) { return key.text().substr(names().prefix().size()); }
  // It is listed, and from the call on that many calls came before not there any more.
  void let_vanish(const std::string& object, std::uint64_t skip = 0) {
    repository.memory().faults().add(
        {.calls = {StorageCall::kStat, StorageCall::kGet, StorageCall::kGetRange},
         .key_contains = object,
         .skip = skip,
         .times = Fault::kEveryTime,
         .error = Error::not_found(object + " is gone")});
  }
  std::vector<ObjectKey> needed() {
    std::vector<ObjectKey> keys;
    for (const auto& key : repository.objects()) {
      const auto segment = names().segment_of(key);
      const bool is_segment = segment && names().segment(*segment) == key;
      if (name(key).starts_with("pack/") || name(key).starts_with("table/") ||
          name(key).ends_with("/manifest") || is_segment) {
        keys.push_back(key);
      }
    }
    return keys;
  }
  VerifyOptions one_worker() {
    VerifyOptions options;
    options.workers = 1;
    return options;
  }

  VerifiedRepository repository{/*encrypted=*/false};
};

TEST_F(VanishedTest, WhatIsNeededAndGoesMeanwhileIsMissing) {
  for (const auto& key : needed()) {
    for (const auto depth : {VerifyDepth::kQuick, VerifyDepth::kFull}) {
      SCOPED_TRACE(key.text());
      let_vanish(key.text());
      const auto report = repository.verify(depth, one_worker());
      EXPECT_EQ(findings_of(report), Names{"missing " + name(key)});
      const bool is_any_damaged = std::ranges::any_of(
          report.backups,
          [](const VerifiedBackup& backup) { return backup.verdict == BackupVerdict::kDamaged; });
      EXPECT_TRUE(is_any_damaged);
      repository.memory().faults().clear();
    }
  }
}

TEST_F(VanishedTest, WhatGoesAtAnyMomentIsMissing) {
  const auto pack = repository.first().packs.front().key;
  const auto segment = names().segment(repository.segment(1));
  // Without facts the walk along the WAL reads it.
  must(repository.memory().remove(names().facts(repository.segment(1))));
  for (const auto& key : {pack, segment}) {
    std::uint64_t skip = 0;
    for (;; ++skip) {
      SCOPED_TRACE(fmt::format("{} after {} calls", key.text(), skip));
      const auto before = repository.memory().faults().hits();
      let_vanish(key.text(), skip);
      const auto report = repository.verify(VerifyDepth::kFull, one_worker());
      const bool was_hit = repository.memory().faults().hits() > before;
      repository.memory().faults().clear();
      if (!was_hit) break;
      EXPECT_EQ(findings_of(report), Names{"missing " + name(key)});
      EXPECT_FALSE(must(last_verification(repository.store(), repository.first().id)));
    }
    EXPECT_GT(skip, 3u);
  }
}

TEST_F(VanishedTest, APackThatGoesIsNoVerifiedUnitOfACycle) {
  const auto pack = repository.first().packs.front().key;
  let_vanish(pack.text());
  auto options = one_worker();
  options.cycle = VerifyCycle{.budget_bytes = 1ull << 40};
  EXPECT_EQ(findings_of(repository.verify(VerifyDepth::kFull, options)),
            Names{"missing " + name(pack)});
  const auto checked = must(read_cycle_state(repository.store())).checked;
  EXPECT_GT(checked.size(), 1u);
  EXPECT_FALSE(checked.contains(name(pack)));
}

// Expire drops a backup and deletes what only it needed.
TEST_F(VanishedTest, WhatGoesWithItsBackupIsNotMissed) {
  const auto own = repository.second().packs.back().key;
  for (const auto depth : {VerifyDepth::kQuick, VerifyDepth::kFull}) {
    let_vanish(own.text());
    let_vanish(repository.second().file_table);
    let_vanish("backup/" + repository.second().id.text());
    EXPECT_EQ(findings_of(repository.verify(depth, one_worker())), Names());
    repository.memory().faults().clear();
  }
}

TEST_F(VanishedTest, WalThatNobodyNeedsAnyMoreIsNotMissed) {
  const SystemClock clock;
  std::vector<std::string> trash;
  for (const std::uint64_t index : {0, 1}) {
    trash.push_back(name(names().segment(repository.segment(index))));
    let_vanish(trash.back());
  }
  // Of the other segment they come into a record of their own yet, and it is deleted already.
  trash.push_back(name(names().facts(repository.segment(0))));
  let_vanish(trash.back());
  must(repository.memory().remove(names().segment(repository.segment(1))));
  must(put_trash(repository.store(), clock, {}, trash, 0));
  let_vanish("backup/" + repository.first().id.text());
  for (const auto depth : {VerifyDepth::kQuick, VerifyDepth::kFull}) {
    EXPECT_EQ(findings_of(repository.verify(depth, one_worker())), Names());
  }
}

// The newer backup, which is read first, knows no digest of the blocks that it shares.
TEST_F(VanishedTest, FramesWithoutDigestsAreReadAgainForABackupThatHasThem) {
  auto second = repository.second();
  second.digest_tables.clear();
  const auto manifest = names().backup_manifest(second.id);
  must(repository.memory().remove(manifest));
  must(repository.store().put_sealed(ContainerKind::kManifest, manifest, encode_manifest(second)));
  EXPECT_EQ(findings_of(repository.verify(VerifyDepth::kFull)), Names());

  // Sealed rightly, but other bytes.
  const auto pack = repository.first().packs.back().key;
  std::vector<Bytes> frames;
  Bytes metadata;
  {
    const auto reader = must(SealedReader::open(repository.store(), ContainerKind::kPack, pack));
    for (std::uint32_t i = 0; i < reader->frame_count(); ++i) {
      Bytes plain;
      must(reader->read_frames(i, 1, plain));
      frames.push_back(plain);
    }
    metadata = Bytes(reader->metadata().begin(), reader->metadata().end());
  }
  frames.front()[10] ^= 1;
  must(repository.memory().remove(pack));
  auto upload = must(SealedUpload::start(repository.store(), ContainerKind::kPack, pack));
  for (const auto& frame : frames) must(upload.add_frame(frame));
  must(upload.finish(metadata));
  EXPECT_EQ(findings_of(repository.verify(VerifyDepth::kFull)),
            Names{"damaged " + name(names().backup_manifest(repository.first().id))});
}

}  // namespace
}  // namespace pitr::test
