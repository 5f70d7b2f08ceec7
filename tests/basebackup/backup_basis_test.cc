// Which backup a new one builds on, of those in a repository.
#include "basebackup/backup_basis.h"

#include <fmt/format.h>

#include "repository/backup/backup_fixture.h"

namespace pitr {
namespace {

using backup_test::BackupRepository;
using test::must;

class BackupBasisTest : public testing::Test {
 protected:
  // Of one block, on timeline 1 before it was left at 0/2000200, or on another one.
  BackupId take_backup(int minute, TimelineId timeline) {
    const auto& store = repository_.store();
    const auto time = Timestamp::from_unix_us(1'772'356'500'000'000 + minute * 60'000'000ll);
    const backup_test::BackupRun run{.id = BackupId::make(time, 1)};
    const auto writer = start_backup(store, run);
    const auto pack = must(writer->new_pack_writer());
    must(pack->add("PG_VERSION", 0, as_bytes("15\n")));
    writer->add_file(backup_test::file_row("PG_VERSION", 3));
    must(pack->finish());
    auto manifest = backup_test::manifest_of(store, run.id);
    manifest.timeline = timeline;
    must(writer->publish(must(writer->store_manifest(std::move(manifest)))));
    return run.id;
  }

  BackupBasis basis() {
    BasisRequest request;
    request.now.incarnation = repository_.store().id();
    request.now.history = must(TimelineHistory::parse(TimelineId(9), "1\t0/2000200\tback\n"));
    request.now.start_lsn = Lsn(0x3000028);
    request.changes_until = Lsn(0x2000028);  // where all backups start
    NullObserver observer;
    return must(find_basis(WalArchive(repository_.store()), FactsStore(repository_.store()),
                           request, clock_, observer, {}));
  }

  SystemClock clock_;
  BackupRepository repository_;
};

TEST_F(BackupBasisTest, BackupsOnAbandonedTimelinesDontHideTheOneBefore) {
  const auto before = take_backup(0, TimelineId(1));
  take_backup(-5, TimelineId(1));
  for (int minute = 1; minute <= 200; ++minute) take_backup(minute, TimelineId(2));
  const auto found = basis();
  ASSERT_TRUE(found.parent);
  EXPECT_EQ(found.parent->id, before);
  EXPECT_EQ(found.reading, BackupReading::kChangedBlocks) << found.reason;
}

TEST_F(BackupBasisTest, WhereNoneFitsTheNewestIsComparedWith) {
  for (int minute = 1; minute < 30; ++minute) take_backup(minute, TimelineId(2));
  const auto newest = take_backup(30, TimelineId(3));
  const auto found = basis();
  ASSERT_TRUE(found.parent);
  EXPECT_EQ(found.parent->id, newest);
  EXPECT_EQ(found.reading, BackupReading::kCompared);
  EXPECT_THAT(found.reason, testing::HasSubstr("is on timeline 3, which is not in the history"));
}

}  // namespace
}  // namespace pitr
