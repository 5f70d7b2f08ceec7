#include "postgres/wal/record.h"

#include <gtest/gtest.h>

#include "postgres/wal/decoded.h"
#include "support/must.h"

namespace pitr::test {
namespace {

class RecordContents : public ::testing::TestWithParam<int> {
 protected:
  wal::Record view(const BuiltRecord& built) const {
    return {.start = built.start,
            .end = built.end,
            .timeline = TimelineId(1),
            .major = GetParam(),
            .header = wal::parse_record_header(built.bytes),
            .bytes = built.bytes};
  }
  WalBuilder wal_{{.major = GetParam()}};
};
INSTANTIATE_TEST_SUITE_P(, RecordContents, ::testing::Range(13, 19));

TEST_P(RecordContents, CommitsAndAbortsTellTimeAndTransaction) {
  const auto commit = wal_.commit(700, kSomeTime);
  const auto committed = must(wal::parse_xact_end(view(commit)));
  ASSERT_TRUE(committed);
  EXPECT_EQ(committed->kind, wal::XactKind::kCommit);
  EXPECT_EQ(committed->xid, 700u);
  EXPECT_EQ(committed->time, kSomeTime);
  EXPECT_EQ(committed->start, commit.start);
  EXPECT_EQ(committed->end, commit.end);
  const auto aborted = must(wal::parse_xact_end(view(wal_.abort(701, kSomeTime))));
  EXPECT_EQ(aborted->kind, wal::XactKind::kAbort);
  EXPECT_FALSE(must(wal::parse_xact_end(view(wal_.filler(100)))));
}

TEST_P(RecordContents, PreparedOnesTellTheTransactionThatWasPrepared) {
  const auto commit = must(wal::parse_xact_end(view(wal_.commit_prepared(702, kSomeTime))));
  EXPECT_EQ(commit->kind, wal::XactKind::kCommitPrepared);
  EXPECT_EQ(commit->xid, 702u);
  EXPECT_EQ(commit->time, kSomeTime);
  const auto abort = must(wal::parse_xact_end(view(wal_.abort_prepared(703, kSomeTime))));
  EXPECT_EQ(abort->kind, wal::XactKind::kAbortPrepared);
  EXPECT_EQ(abort->xid, 703u);
}

TEST_P(RecordContents, APreparedOneThatIsCutTellsItsTimeOnly) {
  const auto built = wal_.commit_prepared(702, kSomeTime);
  auto record = view(built);
  record.bytes = record.bytes.first(60);
  const auto xact = must(wal::parse_xact_end(record));
  EXPECT_EQ(xact->time, kSomeTime);
  EXPECT_EQ(xact->xid, 0u);
}

TEST_P(RecordContents, OtherRecordsThatMatter) {
  const auto point = must(wal::parse_restore_point(view(wal_.restore_point("näher", kSomeTime))));
  EXPECT_EQ(point->name, "näher");
  EXPECT_EQ(point->time, kSomeTime);
  const std::string longest(64, 'x');
  EXPECT_EQ(must(wal::parse_restore_point(view(wal_.restore_point(longest, kSomeTime))))->name,
            longest);

  const auto online = must(wal::parse_checkpoint(view(wal_.checkpoint(false, Lsn(0x28)))));
  EXPECT_EQ(online->redo, Lsn(0x28));
  EXPECT_EQ(online->timeline, TimelineId(1));
  EXPECT_FALSE(online->is_shutdown);
  EXPECT_TRUE(must(wal::parse_checkpoint(view(wal_.checkpoint(true, Lsn(0x28)))))->is_shutdown);

  EXPECT_EQ(must(wal::parse_backup_end(view(wal_.backup_end(Lsn(0x28))))), Lsn(0x28));
  const auto minimal = must(wal::parse_parameter_change(view(wal_.parameter_change(0))));
  EXPECT_EQ(minimal->wal_level, wal::WalLevel::kMinimal);
  EXPECT_FALSE(minimal->wal_log_hints);
  const auto logical = must(wal::parse_parameter_change(view(wal_.parameter_change(2, true))));
  EXPECT_EQ(logical->wal_level, wal::WalLevel::kLogical);
  EXPECT_TRUE(logical->wal_log_hints);
  EXPECT_FALSE(wal::parse_parameter_change(view(wal_.parameter_change(3))));

  const auto end =
      must(wal::parse_end_of_recovery(view(wal_.switch_timeline(TimelineId(4), kSomeTime))));
  EXPECT_EQ(end->time, kSomeTime);
  EXPECT_EQ(end->timeline, TimelineId(4));
  EXPECT_EQ(end->previous_timeline, TimelineId(1));
  EXPECT_TRUE(wal::is_switch(view(wal_.switch_segment()).header));
}

TEST_P(RecordContents, BlocksAreRead) {
  const auto fragments = must(wal::parse_fragments(view(wal_.heap_insert(9, 1234, 77, 50))));
  ASSERT_EQ(fragments.blocks.size(), 1u);
  EXPECT_EQ(fragments.blocks[0].relation.tablespace, 1663u);
  EXPECT_EQ(fragments.blocks[0].relation.database, 5u);
  EXPECT_EQ(fragments.blocks[0].relation.number, 1234u);
  EXPECT_EQ(fragments.blocks[0].fork, 0);
  EXPECT_EQ(fragments.blocks[0].block, 77u);
  EXPECT_EQ(Bytes(fragments.main_data.begin(), fragments.main_data.end()), Bytes(3, 0x22));
}

// Images, of which the hole's length is announced only where compression and hole come together,
// what "compressed" is depends on the version; a second block of the same relation; an origin.
TEST_P(RecordContents, ImagesAndAllFragmentKindsAreReadByTheirVersionsRules) {
  const std::uint8_t compressed = GetParam() >= 15 ? 0x10 : 0x02;  // zstd, pglz
  const std::uint8_t apply = GetParam() >= 15 ? 0x02 : 0x04;
  ByteWriter body;
  const auto block = [&](std::uint8_t id, std::uint8_t flags, std::uint16_t data_length,
                         std::uint16_t image_length, std::uint8_t image_info) {
    body.u8(id);
    body.u8(flags);
    body.u16(data_length);
    body.u16(image_length);
    body.u16(100);
    body.u8(image_info);
  };
  block(0, 0x10, 0, 300, 0x01 | compressed | apply);
  body.u16(5000);  // hole length
  for (const std::uint32_t value : {1u, 2u, 3u, 44u}) body.u32(value);
  block(1, 0x10 | 0x80 | 0x02, 0, 400, 0x01 | apply);
  body.u32(45);
  body.u8(2);
  body.u8(0x20 | 0x80);
  body.u16(20);
  body.u32(46);
  body.u8(253);
  body.u16(7);
  if (GetParam() >= 14) {
    body.u8(252);
    body.u32(99);
  }
  body.u8(255);
  body.u8(4);
  body.raw(Bytes(300 + 400 + 20, 0x11));
  body.raw(as_bytes("main"));
  const auto built = wal_.append(10, 0, 9, body.bytes());

  const auto fragments = must(wal::parse_fragments(view(built)));
  ASSERT_EQ(fragments.blocks.size(), 3u);
  EXPECT_EQ(fragments.blocks[0].block, 44u);
  EXPECT_EQ(fragments.blocks[1].relation.number, 3u);
  EXPECT_EQ(fragments.blocks[1].fork, 2);
  EXPECT_EQ(fragments.blocks[1].block, 45u);
  EXPECT_EQ(fragments.blocks[2].block, 46u);
  EXPECT_EQ(as_text(fragments.main_data), "main");
  EXPECT_EQ(as_text(must(wal::main_data(view(built)))), "main");
}

TEST_P(RecordContents, MalformedFragmentsAreCorruptNotUndefined) {
  const auto refused = [&](const Bytes& body) {
    const auto built = wal_.append(10, 0, 9, body);
    const auto fragments = wal::parse_fragments(view(built));
    return !fragments && fragments.error().kind() == ErrorKind::kCorrupt;
  };
  EXPECT_TRUE(refused({100, 0}));                        // unknown id
  EXPECT_TRUE(refused({255, 200, 1, 2, 3}));             // announces more than there is
  EXPECT_TRUE(refused({0, 0x20, 0, 0, 1, 2}));           // data flag without data
  EXPECT_TRUE(refused({0, 0xA0, 1, 0, 1, 2, 3, 4, 5}));  // the same relation as none
  EXPECT_TRUE(refused({254, 1, 0}));                     // cut off
  EXPECT_TRUE(refused(Bytes(40, 0x03)));
}

TEST_P(RecordContents, TooShortRecordsOfAKindAreCorrupt) {
  const auto commit = wal_.append_data(1, 0, 700, Bytes(7));
  EXPECT_FALSE(wal::parse_xact_end(view(commit)));
  const auto point = wal_.append_data(0, 0x70, 0, Bytes(71));
  EXPECT_FALSE(wal::parse_restore_point(view(point)));
  const auto checkpoint = wal_.append_data(0, 0x10, 0, Bytes(11));
  EXPECT_FALSE(wal::parse_checkpoint(view(checkpoint)));
  ByteWriter endless;
  endless.u64(1);
  endless.u32(0x12);
  endless.u32(0xFFFFFFFF);  // subtransactions
  const auto prepared = wal_.append_data(1, 0x80 | 0x30, 0, endless.bytes());
  EXPECT_FALSE(wal::parse_xact_end(view(prepared)));
}

TEST(ResourceManagers, CustomOnesExistFrom15On) {
  EXPECT_TRUE(wal::is_valid_rmgr(21, 13));
  EXPECT_FALSE(wal::is_valid_rmgr(22, 18));
  EXPECT_FALSE(wal::is_valid_rmgr(128, 14));
  EXPECT_TRUE(wal::is_valid_rmgr(128, 15));
}

}  // namespace
}  // namespace pitr::test
