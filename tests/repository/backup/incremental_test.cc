// Single rules of backups with a parent; incremental_model_test.cc has the histories.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "repository/backup/incremental_fixture.h"
#include "repository/backup/table_tiers.h"

namespace pitr::backup_test {
namespace {

using testing::HasSubstr;

class IncrementalTest : public testing::Test {
 protected:
  BackupManifest full() {
    IncrementalRun run;
    run.number = ++backups_;
    auto manifest = make_incremental(store(), files_, run);
    files_.forget_changes();
    return manifest;
  }
  // A writer of an incremental backup of nothing yet.
  void start(const BackupManifest& parent, std::vector<ObjectKey> leave_packs = {}) {
    id_ = BackupId::make(Timestamp::from_unix_us(1'772'356'500'000'000), ++backups_);
    const BackupIntent intent{*id_, "db1", Timestamp(), Lsn(1), parent.id};
    writer_ = must(
        BackupWriter::start(store(), intent, {}, ParentBackup{parent, std::move(leave_packs)}));
    packs_ = must(writer_->new_pack_writer());
  }
  Result<BackupManifest> finish() {
    TRY(packs_->finish());
    auto manifest = TRY(writer_->store_manifest(manifest_of(store(), *id_)));
    TRY(writer_->publish(manifest));
    return manifest;
  }
  std::uint64_t offer(const std::string& path) {
    const auto& content = files_.contents().at(path);
    writer_->add_file(file_row(path, content.size()), Keep::kRest);
    return must(packs_->add_if_changed(path, 0, content));
  }
  void expect_not_whole(const std::string& message) {
    const auto stored = finish();
    ASSERT_FALSE(stored);
    EXPECT_EQ(stored.error().kind(), ErrorKind::kInternal);
    EXPECT_THAT(stored.error().message(), HasSubstr(message));
  }
  const IncarnationStore& store() { return repository_.store(); }

  BackupRepository repository_;
  std::mt19937_64 random_{1};
  ChangingFiles files_{random_};
  std::uint64_t backups_ = 0;
  std::optional<BackupId> id_;
  std::unique_ptr<BackupWriter> writer_;
  std::unique_ptr<PackWriter> packs_;
};

TEST_F(IncrementalTest, OnlyBlocksThatDifferAreStored) {
  files_.create("same", 5 * kBlockSize + 7);
  files_.create("one", 300 * kBlockSize);
  files_.create("empty", 0);
  const auto parent = full();
  files_.write_block("one", 77);
  start(parent);
  EXPECT_EQ(offer("same"), 0u);
  EXPECT_EQ(offer("one"), kBlockSize);
  EXPECT_EQ(offer("empty"), 0u);
  const auto manifest = must(finish());
  EXPECT_EQ(first_difference(files_.contents(), restore(store(), manifest)), "");
}

TEST_F(IncrementalTest, TheLastBlockDiffersWheneverItsSizeDoes) {
  const std::pair<std::size_t, std::size_t> sizes[] = {
      {100, 101}, {101, 100}, {100, 8192}, {8192, 100}, {8192, 8193},  {8193, 8192},
      {8193, 0},  {0, 1},     {0, 8192},   {8192, 0},   {16385, 8191}, {30'000, 70'000}};
  for (const auto& [from, to] : sizes) files_.create(fmt::format("{}-{}", from, to), from);
  const auto parent = full();
  std::uint64_t expected = 0;
  for (const auto& [from, to] : sizes) {
    const auto path = fmt::format("{}-{}", from, to);
    files_.resize(path, to);
    // What is cut at the end of a block differs in nothing.
    const auto start = std::min(from, to) / kBlockSize * kBlockSize;
    if (to > start) expected += to - start;
  }
  start(parent);
  std::uint64_t stored = 0;
  for (const auto& [from, to] : sizes) stored += offer(fmt::format("{}-{}", from, to));
  EXPECT_EQ(stored, expected);
  const auto manifest = must(finish());
  EXPECT_EQ(first_difference(files_.contents(), restore(store(), manifest)), "");
}

TEST_F(IncrementalTest, ZeroedBlocksOfAFileThatWasCutAndGrewAgainAreNotTheOldOnes) {
  files_.create("f", 10 * kBlockSize);
  const auto first = full();
  files_.resize("f", 2 * kBlockSize);
  start(first);
  EXPECT_EQ(offer("f"), 0u);
  const auto second = must(finish());
  files_.resize("f", 10 * kBlockSize);
  start(second);
  EXPECT_EQ(offer("f"), 8u * kBlockSize);
  EXPECT_EQ(first_difference(files_.contents(), restore(store(), must(finish()))), "");
}

TEST_F(IncrementalTest, AParentOfFormat1GivesItsBlocksButNoDigests) {
  files_.create("f", 10 * kBlockSize);
  files_.create("g", 20'000);
  const auto manifest = full();
  auto json = nlohmann::json::parse(as_text(encode_manifest(manifest)));
  json["format"] = 1;
  for (const auto* added :
       {"digest_tables", "digest_epoch", "restore_read_bytes", "changed_since_moved_bytes"}) {
    json.erase(added);
  }
  json["block_tables"] = {manifest.block_tables.at(0).id};
  for (auto& pack : json["packs"]) {
    pack.erase("plain_bytes");
    pack.erase("live_bytes");
  }
  const auto text = json.dump();
  const auto old = must(decode_manifest(as_bytes(text)));
  EXPECT_EQ(first_difference(files_.contents(), restore(store(), old)), "");
  EXPECT_FALSE(must(BlockDigests::open(store(), old)).any());

  // By facts: the rest stays where it is.
  files_.write_block("f", 3);
  start(old);
  must(
      packs_->add("f", 3, ByteView(files_.contents().at("f")).subspan(3 * kBlockSize, kBlockSize)));
  writer_->add_file(file_row("f", 10 * kBlockSize), Keep::kRest);
  writer_->add_file(file_row("g", 20'000), Keep::kRest);
  const auto by_facts = must(finish());
  EXPECT_EQ(first_difference(files_.contents(), restore(store(), by_facts)), "");
  EXPECT_EQ(by_facts.packs.at(0).plain_bytes, 10 * kBlockSize);
  EXPECT_EQ(by_facts.packs.at(1).plain_bytes, 20'000u);
  EXPECT_EQ(by_facts.restore_read_bytes, 11 * kBlockSize + 20'000u);
  // Only the block that was stored since has a digest.
  std::vector<std::uint64_t> digests(10);
  must(must(BlockDigests::open(store(), by_facts)).find("f", 0, digests));
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(digests[i] != BlockDigests::kUnknown, i == 3) << i;

  // By digest: nothing is known, so all is stored.
  start(old);
  EXPECT_EQ(offer("f"), 10u * kBlockSize);
  EXPECT_EQ(offer("g"), 20'000u);
  EXPECT_EQ(first_difference(files_.contents(), restore(store(), must(finish()))), "");
}

TEST_F(IncrementalTest, ABlockThatNeitherBackupHasIsNoticed) {
  files_.create("f", 10 * kBlockSize + 5);
  const auto parent = full();
  start(parent);  // grew: the short block is no longer the last one
  must(packs_->add("f", 11, Bytes(kBlockSize)));
  writer_->add_file(file_row("f", 12 * kBlockSize), Keep::kRest);
  expect_not_whole("f: block 10 of 12 has no place");
  start(parent);  // cut within a block
  writer_->add_file(file_row("f", 3 * kBlockSize + 1), Keep::kRest);
  expect_not_whole("f has 24577 bytes, but there are blocks for 32768");
  start(parent);  // new
  writer_->add_file(file_row("g", 1), Keep::kRest);
  expect_not_whole("g: block 0 of 1 has no place");
  start(parent);  // said to be stored whole
  must(packs_->add("f", 1, Bytes(9 * kBlockSize + 5)));
  writer_->add_file(file_row("f", 10 * kBlockSize + 5), Keep::kNothing);
  expect_not_whole("f: block 0 of 11 has no place");
  start(parent);  // twice
  must(packs_->add("f", 3, Bytes(kBlockSize)));
  must(packs_->finish());
  packs_ = must(writer_->new_pack_writer());
  must(packs_->add("f", 2, Bytes(2 * kBlockSize)));
  writer_->add_file(file_row("f", 10 * kBlockSize + 5), Keep::kRest);
  expect_not_whole("f: block 3 has two places");
}

TEST_F(IncrementalTest, TheIntentNamesTheParentWhichIsOfTheSameIncarnation) {
  files_.create("f", 10);
  auto parent = full();
  const BackupIntent intent{BackupId::make(Timestamp(), 50), "db1", Timestamp(), Lsn(1),
                            std::nullopt};
  const auto unnamed = BackupWriter::start(store(), intent, {}, ParentBackup{parent, {}});
  EXPECT_EQ(unnamed.error().kind(), ErrorKind::kInternal);
  parent.incarnation.system_identifier += 1;
  auto naming = intent;
  naming.parent = parent.id;
  const auto other = BackupWriter::start(store(), naming, {}, ParentBackup{parent, {}});
  EXPECT_EQ(other.error().kind(), ErrorKind::kInvalid);
}

TEST_F(IncrementalTest, BlocksLeaveADamagedPackOrTheBackupFails) {
  files_.create("f", 100 * kBlockSize);
  const auto parent = full();
  const auto pack = parent.packs.at(0).key;
  flip_byte(repository_.storage(), pack, must(repository_.storage().stat(pack)).size_bytes / 2);

  start(parent, {pack});
  writer_->add_file(file_row("f", 100 * kBlockSize), Keep::kRest);
  const auto unreadable = finish();
  ASSERT_FALSE(unreadable);
  EXPECT_EQ(unreadable.error().kind(), ErrorKind::kCorrupt);
  EXPECT_THAT(unreadable.error().message(), HasSubstr(pack.text()));

  IncrementalRun run;
  run.parent = parent;
  run.leave_packs = {pack};
  run.number = ++backups_;
  const auto healed = make_incremental(store(), files_, run);
  must(repository_.storage().remove(pack));
  EXPECT_EQ(first_difference(files_.contents(), restore(store(), healed)), "");
}

TEST_F(IncrementalTest, DamageInAPackThatNobodyKnewOfDoesNotFailTheBackup) {
  files_.create("f", 100 * kBlockSize);
  const auto parent = full();
  const auto pack = parent.packs.at(0).key;
  const auto middle = must(repository_.storage().stat(pack)).size_bytes / 2;
  flip_byte(repository_.storage(), pack, middle);
  start(parent);
  const auto& content = files_.contents().at("f");
  // The pack is now less than half live, so the rest of it ought to move.
  must(packs_->add("f", 0, ByteView(content).first(60 * kBlockSize)));
  writer_->add_file(file_row("f", content.size()), Keep::kRest);
  const auto manifest = must(finish());
  flip_byte(repository_.storage(), pack, middle);
  EXPECT_EQ(first_difference(files_.contents(), restore(store(), manifest)), "");
}

TEST_F(IncrementalTest, MostlyDeadPacksLeaveTheManifest) {
  files_.create("f", 100 * kBlockSize);
  const auto parent = full();
  start(parent);
  const auto& content = files_.contents().at("f");
  must(packs_->add("f", 0, ByteView(content).first(60 * kBlockSize)));
  writer_->add_file(file_row("f", content.size()), Keep::kRest);
  const auto manifest = must(finish());
  for (const auto& pack : manifest.packs) EXPECT_NE(pack.key, parent.packs.at(0).key);
  must(repository_.storage().remove(parent.packs.at(0).key));
  EXPECT_EQ(first_difference(files_.contents(), restore(store(), manifest)), "");
}

TEST_F(IncrementalTest, WhatIsLeftOfAHalfDeadPackMovesThoughARestoreReadsLittleTooMuch) {
  files_.create("f", 100 * kBlockSize);
  files_.create("g", 400 * kBlockSize);
  const auto parent = full();
  ASSERT_EQ(parent.packs.size(), 2u);
  start(parent);
  const auto& content = files_.contents().at("f");
  must(packs_->add("f", 0, ByteView(content).first(60 * kBlockSize)));
  writer_->add_file(file_row("f", content.size()), Keep::kRest);
  writer_->add_file(file_row("g", 400 * kBlockSize), Keep::kRest);
  const auto counted = must(finish());
  EXPECT_EQ(counted.packs.at(0).live_bytes, 40 * kBlockSize);
  EXPECT_EQ(counted.changed_since_moved_bytes, 60 * kBlockSize);
  // Counted when the tables were merged, so the next backup knows.
  start(counted);
  writer_->add_file(file_row("f", content.size()), Keep::kRest);
  writer_->add_file(file_row("g", 400 * kBlockSize), Keep::kRest);
  const auto manifest = must(finish());
  ASSERT_EQ(manifest.packs.size(), 3u);
  for (const auto& pack : manifest.packs) {
    EXPECT_NE(pack.key, parent.packs[0].key);
    EXPECT_EQ(pack.live_bytes, pack.plain_bytes);
  }
  EXPECT_EQ(manifest.restore_read_bytes, 500 * kBlockSize);
  EXPECT_EQ(first_difference(files_.contents(), restore(store(), manifest)), "");
}

TEST_F(IncrementalTest, DigestsBeyondTheMemoryForThemGoThroughTables) {
  DigestRuns runs(store(), /*memory_bytes=*/2'000);
  RowCollector<DigestRowEncoder, DigestRow> tombstones;
  tombstones.add({"a", 0, kToEndOfFile, {}});
  for (std::uint32_t i = 0; i < 20; ++i) {
    std::vector<DigestRow> rows{{"f", i * 200, 100, std::vector<std::uint64_t>(100, i + 1)},
                                {fmt::format("g{:02}", i), 0, 1, {i + 1}}};
    must(runs.add(must(encode_rows<DigestRowEncoder>(std::move(rows)))));
  }
  auto taken = runs.take();
  EXPECT_GT(taken.tables.size(), 5u);
  const auto stack =
      must(stack_digest_tables(store(), std::move(taken), tombstones.take(), {}, MapOptions()));
  ASSERT_EQ(stack.tables.size(), 1u);
  const auto objects = must(list_all(repository_.storage(), store().names().prefix() + "table/"));
  EXPECT_EQ(objects.size(), 1u);
  auto manifest = manifest_of(store(), BackupId::make(Timestamp(), 1));
  manifest.digest_tables = stack.tables;
  manifest.digest_epoch = store().sealing_key()->epoch;
  auto digests = must(BlockDigests::open(store(), manifest));
  std::vector<std::uint64_t> found(4'000);
  must(digests.find("f", 0, found));
  for (std::uint32_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i], i % 200 < 100 ? i / 200 + 1 : BlockDigests::kUnknown) << i;
  }
  must(digests.find("g07", 0, std::span(found).first(2)));
  EXPECT_EQ(found[0], 8u);
  EXPECT_EQ(found[1], BlockDigests::kUnknown);
}

TEST(DigestRowsTest, RowsComeBackAndDamageIsNoticed) {
  const std::vector<DigestRow> rows = {{"a", 0, 3, {1, ~0ull, 3}},
                                       {"a", 3, 1, {7}},
                                       {"a", 10, kToEndOfFile, {}},
                                       {"b/c", 5, 20, {}},
                                       {"b/d", 4'294'967'295, 1, {9}}};
  DigestRowEncoder encoder;
  for (const auto& row : rows) encoder.add(row);
  const auto frame = encoder.take();
  auto decoder = must(DigestRowDecoder::open(frame));
  for (const auto& row : rows) {
    ASSERT_TRUE(must(decoder.next()));
    EXPECT_EQ(decoder.row().path, row.path);
    EXPECT_EQ(decoder.row().first_block, row.first_block);
    EXPECT_EQ(decoder.row().count, row.count);
    EXPECT_EQ(decoder.row().digests, row.digests);
  }
  EXPECT_FALSE(must(decoder.next()));
  for (std::size_t i = 0; i < frame.size() * 8; ++i) {
    auto damaged = frame;
    damaged[i / 8] ^= static_cast<std::uint8_t>(1u << i % 8);
    auto opened = DigestRowDecoder::open(damaged);
    for (int row = 0; opened && row < 10; ++row) {
      const auto next = opened->next();
      if (!next) EXPECT_EQ(next.error().kind(), ErrorKind::kCorrupt);
      if (!next || !*next) break;
    }
  }
}

TEST(BlockHasherTest, DigestsDependOnKeyRepositoryContentAndSize) {
  const DataKey key{1, must(Secret256::random())}, other{2, must(Secret256::random())};
  const Bytes zeros(kBlockSize);
  std::set<std::uint64_t> seen;
  const DataKey* const keys[] = {&key, &other, nullptr};
  for (const auto* any : keys) {
    for (const auto* repository : {"one", "two"}) {
      const auto hasher = must(BlockHasher::create(any, repository));
      EXPECT_EQ(hasher.epoch(), any == nullptr ? 0 : any->epoch);
      EXPECT_EQ(hasher.digest(zeros), must(BlockHasher::create(any, repository)).digest(zeros));
      seen.insert(hasher.digest(zeros));
      seen.insert(hasher.digest(ByteView(zeros).first(100)));
    }
  }
  EXPECT_EQ(seen.size(), 12u);
}

}  // namespace
}  // namespace pitr::backup_test
