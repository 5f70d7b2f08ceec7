#include "postgres/wal/record_changes.h"

#include <gtest/gtest.h>

#include "postgres/wal/database_copy.h"
#include "postgres/wal/decoded.h"

namespace pitr::test {
namespace {

using wal::ChangedBlocks;
using wal::RelationId;

constexpr RelationId kTable{1663, 5, 16384};
constexpr RelationId kOther{1700, 6, 16390};
constexpr std::uint8_t kSpecial = 0x01;

void add_relation(ByteWriter& data, const RelationId& id) {
  data.u32(id.tablespace);
  data.u32(id.database);
  data.u32(id.number);
}

class RecordChanges : public ::testing::TestWithParam<int> {
 protected:
  ChangedBlocks changes_of(const BuiltRecord& built, std::size_t kept_bytes = SIZE_MAX) const {
    ChangedBlocks changed;
    wal::add_changes(
        {.start = built.start,
         .end = built.end,
         .timeline = TimelineId(1),
         .major = GetParam(),
         .header = wal::parse_record_header(built.bytes),
         .bytes = ByteView(built.bytes).first(std::min(kept_bytes, built.bytes.size()))},
        changed);
    return changed;
  }
  ChangedBlocks changes_of(std::uint8_t rmgr, std::uint8_t info, const ByteWriter& data) {
    return changes_of(wal_.append_data(rmgr, info, 700, data.bytes()));
  }

  // The end of a transaction with all the lists that can stand before and behind.
  ByteWriter xact_end(const std::vector<RelationId>& dropped, bool with_others) const {
    ByteWriter data;
    data.u64(1);
    data.u32((with_others ? 0x01u | 0x02 | 0x08 | 0x10 : 0u) | (dropped.empty() ? 0u : 0x04u));
    if (with_others) {
      data.u64(5);
      data.u32(2);  // subtransactions
      data.u64(77);
    }
    if (!dropped.empty()) {
      data.u32(static_cast<std::uint32_t>(dropped.size()));
      for (const auto& id : dropped) add_relation(data, id);
    }
    if (with_others) {
      data.u32(1);  // invalidations
      data.raw(Bytes(16));
      data.u32(700);
    }
    return data;
  }

  WalBuilder wal_{{.major = GetParam()}};
};
TEST_P(RecordChanges, CopiedDatabasesAreNamed) {
  const auto copy_of = [&](std::uint8_t rmgr, std::uint8_t info, const ByteWriter& data) {
    const auto& built = wal_.append_data(rmgr, info, 700, data.bytes());
    return wal::parse_database_copy({.start = built.start,
                                     .end = built.end,
                                     .timeline = TimelineId(1),
                                     .major = GetParam(),
                                     .header = wal::parse_record_header(built.bytes),
                                     .bytes = built.bytes});
  };
  ByteWriter data;
  for (const std::uint32_t oid : {16400u, 1700u, 5u, 1663u}) data.u32(oid);
  const auto copy = copy_of(wal::kRmDbase, 0x00, data).value();
  ASSERT_TRUE(copy.has_value());
  EXPECT_EQ(copy->to, (RelationDirectory{1700, 16400}));
  EXPECT_EQ(copy->from, (RelationDirectory{1663, 5}));
  EXPECT_FALSE(copy_of(wal::kRmDbase, 0x10, data).value().has_value());
  EXPECT_FALSE(copy_of(wal::kRmSmgr, 0x00, data).value().has_value());
  ByteWriter cut;
  cut.u32(1);
  EXPECT_FALSE(copy_of(wal::kRmDbase, 0x00, cut).has_value());
}

INSTANTIATE_TEST_SUITE_P(, RecordChanges, ::testing::Range(13, 19));

TEST_P(RecordChanges, BlocksOfTheMainForkAreMarked) {
  const auto changed = changes_of(wal_.heap_insert(9, 1234, 77, 50));
  EXPECT_TRUE(changed.contains({1663, 5, 1234}, 77));
  EXPECT_EQ(changed.marked_blocks(), 1u);
  EXPECT_FALSE(changed.distrusted());
}

TEST_P(RecordChanges, EveryBlockOfARecordCountsAndOtherForksDoNot) {
  ByteWriter body;
  const auto block = [&](std::uint8_t id, std::uint8_t flags, std::uint32_t number) {
    body.u8(id);
    body.u8(flags);
    body.u16(0);
    if ((flags & 0x80) == 0) add_relation(body, kTable);
    body.u32(number);
  };
  block(0, 0x00, 10);
  block(1, 0x80, 11);
  block(2, 0x81, 12);          // free space map
  block(3, 0x82, 13);          // visibility map
  block(4, 0x83, 14);          // init
  block(32, 0x80 | 0x40, 15);  // will be initialised
  const auto changed = changes_of(wal_.append(10, 0, 9, body.bytes()));
  EXPECT_EQ(changed.wanted(kTable, 0).runs, (std::vector<wal::BlockRun>{{10, 2}, {15, 1}}));
}

// Its metapage changes without WAL, when others of its pages change with it.
TEST_P(RecordChanges, AnSpGistIndexsMetapageCountsWithAnyOfItsBlocks) {
  const auto body = wal_.heap_insert(9, 1234, 77, 50).bytes;
  const auto changed = changes_of(wal_.append(16, 0x10, 9, ByteView(body).subspan(24)));
  EXPECT_EQ(changed.wanted({1663, 5, 1234}, 0).runs, (std::vector<wal::BlockRun>{{0, 1}, {77, 1}}));
}

TEST_P(RecordChanges, ACreatedRelationIsNewFromItsFirstBlockOn) {
  for (std::uint32_t fork = 0; fork < 4; ++fork) {
    ByteWriter data;
    add_relation(data, kTable);
    data.u32(fork);
    const auto changed = changes_of(2, 0x10 | kSpecial, data);
    EXPECT_EQ(changed.limit_of(kTable), fork == 0 ? 0 : ChangedBlocks::kNoLimit);
    EXPECT_FALSE(changed.distrusted());
  }
}

TEST_P(RecordChanges, ATruncatedRelationIsNewFromThereOn) {
  for (std::uint32_t forks = 1; forks < 8; ++forks) {
    ByteWriter data;
    data.u32(1000);
    add_relation(data, kTable);
    data.u32(forks);
    const auto changed = changes_of(2, 0x20 | kSpecial, data);
    EXPECT_EQ(changed.limit_of(kTable), (forks & 1) != 0 ? 1000 : ChangedBlocks::kNoLimit);
    EXPECT_FALSE(changed.distrusted());
  }
}

TEST_P(RecordChanges, WhatCommitsAndAbortsDropIsNewWhenItComesBack) {
  for (const std::uint8_t kind : {0x00, 0x20, 0x30, 0x40}) {
    for (const bool with_others : {false, true}) {
      const auto info = static_cast<std::uint8_t>(kind | 0x80);
      const auto changed = changes_of(1, info, xact_end({kTable, kOther}, with_others));
      EXPECT_EQ(changed.limit_of(kTable), 0u);
      EXPECT_EQ(changed.limit_of(kOther), 0u);
      EXPECT_EQ(changed.relations().size(), 2u);
      EXPECT_FALSE(changed.distrusted());
      EXPECT_TRUE(changes_of(1, info, xact_end({}, with_others)).empty());
    }
  }
  EXPECT_TRUE(changes_of(wal_.commit(700, kSomeTime)).empty());
  EXPECT_TRUE(changes_of(wal_.abort(700, kSomeTime)).empty());
  EXPECT_EQ(changes_of(wal_.commit_prepared(700, kSomeTime))
                .limit_of({0x77777777, 0x77777777, 0x77777777}),
            0u);
  // What is prepared isn't done yet.
  EXPECT_TRUE(changes_of(1, 0x10, xact_end({kTable}, true)).empty());
}

TEST_P(RecordChanges, DroppedRelationsThatWereNotKeptAreNotTrusted) {
  const auto& built = wal_.append_data(1, 0x80, 700, xact_end({kTable, kOther}, true).bytes());
  EXPECT_TRUE(changes_of(built, built.bytes.size() - 30).distrusted());
}

TEST_P(RecordChanges, DatabasesAreNewWhenTheyAreCreatedAndWhenTheyAreDropped) {
  ByteWriter copied;
  for (const std::uint32_t value : {77u, 1663u, 1u, 1663u}) copied.u32(value);
  const auto created = changes_of(4, 0x00 | kSpecial, copied);
  EXPECT_TRUE(created.is_rewritten({1663, 77, 1}));
  EXPECT_EQ(created.rewritten_databases().size(), 1u);

  ByteWriter dropped;
  for (const std::uint32_t value : {77u, 2u, 1663u, 1700u}) dropped.u32(value);
  const std::uint8_t drop = GetParam() >= 15 ? 0x20 : 0x10;
  const auto gone = changes_of(4, drop | kSpecial, dropped);
  EXPECT_TRUE(gone.is_rewritten({1663, 77, 1}));
  EXPECT_TRUE(gone.is_rewritten({1700, 77, 1}));
  EXPECT_EQ(gone.rewritten_databases().size(), 2u);
  EXPECT_FALSE(gone.distrusted());

  if (GetParam() < 15) {
    EXPECT_TRUE(changes_of(4, 0x20, dropped).distrusted());
    return;
  }
  ByteWriter logged;
  for (const std::uint32_t value : {77u, 1663u}) logged.u32(value);
  const auto with_blocks = changes_of(4, 0x10, logged);
  EXPECT_TRUE(with_blocks.is_rewritten({1663, 77, 1}));
  EXPECT_FALSE(with_blocks.distrusted());
  EXPECT_TRUE(changes_of(4, 0x30, logged).distrusted());
}

TEST_P(RecordChanges, WalThatLacksChangesIsNotTrusted) {
  const auto& minimal = wal_.parameter_change(0);
  const auto distrust = changes_of(minimal).distrusted();
  ASSERT_TRUE(distrust);
  EXPECT_EQ(distrust->first, minimal.start);
  EXPECT_NE(distrust->reason.find("wal_level"), std::string::npos);
  EXPECT_TRUE(changes_of(wal_.parameter_change(1)).empty());
}

TEST_P(RecordChanges, UnknownRecordsThatChangeRelationsAreNotTrusted) {
  const ByteWriter nothing;
  for (const std::uint8_t rmgr : {0, 1, 2, 4, 5, 9, 10, 20}) {
    const auto info = static_cast<std::uint8_t>(rmgr == 1 ? 0x70 : 0xF0);
    EXPECT_TRUE(changes_of(rmgr, info | kSpecial, nothing).distrusted()) << int{rmgr};
  }
  EXPECT_TRUE(changes_of(10, 0xF0, nothing).empty());
  EXPECT_TRUE(changes_of(2, 0x30, nothing).distrusted());
}

// Facts are derived from whatever has the right CRC: WAL is not refused for it.
TEST_P(RecordChanges, MalformedRecordsAreNotTrusted) {
  EXPECT_TRUE(changes_of(wal_.append(10, 0, 9, Bytes{100, 0})).distrusted());
  EXPECT_TRUE(changes_of(wal_.append(10, 0, 9, Bytes{0, 0, 0, 0, 1})).distrusted());
  EXPECT_TRUE(changes_of(wal_.append_data(2, 0x10, 0, Bytes(15))).distrusted());
  EXPECT_TRUE(changes_of(wal_.append_data(2, 0x20, 0, Bytes(19))).distrusted());
  EXPECT_TRUE(changes_of(wal_.append_data(4, 0x00, 0, Bytes(7))).distrusted());
  EXPECT_TRUE(changes_of(wal_.append_data(1, 0x80, 0, Bytes(11))).distrusted());
}

}  // namespace
}  // namespace pitr::test
