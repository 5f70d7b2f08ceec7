// A backup is written by several workers, and read back the same.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "repository/backup/backup_fixture.h"
#include "storage/local/local_storage.h"
#include "support/temporary_directory.h"

namespace pitr::backup_test {
namespace {

using test::TemporaryDirectory;
using Cipher = BackupRepository::Cipher;

std::uint64_t new_seed() {
  const std::uint64_t seed = std::random_device()();
  fmt::print("seed {}\n", seed);
  return seed;
}

class BackupRoundTripTest : public testing::TestWithParam<std::tuple<Cipher, Compression>> {};

TEST_P(BackupRoundTripTest, FilesOfAllSizesByOneWorkerComeBackTheSame) {
  BackupRepository repository(std::get<Cipher>(GetParam()));
  const auto files = random_files(new_seed());
  BackupRun run;
  run.options.compression = std::get<Compression>(GetParam());
  const auto manifest = make_backup(repository.store(), files, run);
  EXPECT_EQ(manifest.packs.size(), 1u);
  EXPECT_EQ(manifest.file_count, files.size());
  EXPECT_EQ(restore(repository.store(), manifest), files);
}

TEST_P(BackupRoundTripTest, SeveralWorkersAndManyPacksComeBackTheSame) {
  BackupRepository repository(std::get<Cipher>(GetParam()));
  const auto files = random_files(new_seed());
  BackupRun run;
  run.options.compression = std::get<Compression>(GetParam());
  run.options.pack_size_bytes = 700'000;
  run.workers = 3;
  const auto manifest = make_backup(repository.store(), files, run);
  EXPECT_GT(manifest.packs.size(), 5u);
  EXPECT_EQ(restore(repository.store(), manifest), files);
}

INSTANTIATE_TEST_SUITE_P(All, BackupRoundTripTest,
                         testing::Combine(testing::Values(Cipher::kNone, Cipher::kAes),
                                          testing::Values(Compression::kNone, Compression::kLz4,
                                                          Compression::kZstd)));

TEST(BackupTest, ALocalDirectoryHoldsABackupToo) {
  const SystemClock clock;
  const auto directory = must(TemporaryDirectory::create());
  const auto storage = must(LocalStorage::create(directory / "repository", clock));
  BackupRepository repository(*storage, Cipher::kAes);
  const auto files = random_files(new_seed());
  BackupRun run;
  run.workers = 2;
  make_backup(repository.store(), files, run);
  const auto manifest = must(BackupCatalog(repository.store()).manifest(run.id));
  EXPECT_EQ(restore(repository.store(), manifest), files);
}

TEST(BackupTest, ManyTinyFilesShareFrames) {
  BackupRepository repository;
  std::mt19937_64 random(1);
  FileContents files;
  for (int i = 0; i < 20'000; ++i)
    files[fmt::format("f{}", i)] = random_content(random, 1 + i % 50);
  const auto manifest = make_backup(repository.store(), files);
  ASSERT_EQ(manifest.packs.size(), 1u);
  EXPECT_LT(manifest.packs[0].stored_bytes, 1'500'000u);
  EXPECT_EQ(restore(repository.store(), manifest), files);
}

TEST(BackupTest, TheManifestCountsWhatWasRead) {
  BackupRepository repository;
  std::mt19937_64 random(1);
  const FileContents files = {{"a", random_content(random, 100'000)},
                              {"b", random_content(random, 7)}};
  const auto manifest = make_backup(repository.store(), files);
  EXPECT_EQ(manifest.total_bytes, 100'007u);
  EXPECT_EQ(manifest.read_bytes, 100'007u);
  ASSERT_EQ(manifest.packs.size(), 1u);
  EXPECT_EQ(manifest.packs[0].stored_bytes,
            must(repository.storage().stat(manifest.packs[0].key)).size_bytes);
  EXPECT_GT(manifest.stored_bytes, manifest.packs[0].stored_bytes);
}

TEST(BackupTest, DirectoriesLinksModesAndTimesAreKept) {
  BackupRepository repository;
  const BackupRun run;
  const auto writer = start_backup(repository.store(), run);
  const auto late = Timestamp::from_unix_us(1'900'000'000'000'001);
  const auto early = Timestamp::from_unix_us(-5);
  writer->add_file({"pg_tblspc/16384", FileType::kSymlink, 0777, 0, late, "/srv/fast"});
  writer->add_file({"pg_wal", FileType::kDirectory, 0700, 0, early, ""});
  writer->add_file({"empty", FileType::kFile, 0640, 0, late, ""});
  const auto manifest = must(writer->store_manifest(manifest_of(repository.store(), run.id)));
  EXPECT_EQ(manifest.file_count, 1u) << "directories and links are no files";
  const auto contents = must(BackupContents::open(repository.store(), manifest));
  ASSERT_EQ(contents->files().size(), 3u);
  ASSERT_EQ(contents->batch_count(), 1u);
  EXPECT_TRUE(must(contents->batch(0))->empty());
  EXPECT_EQ(contents->files()[0].path, "empty");
  EXPECT_EQ(contents->files()[0].mode, 0640u);
  EXPECT_EQ(contents->files()[1].path, "pg_tblspc/16384");
  EXPECT_EQ(contents->files()[1].type, FileType::kSymlink);
  EXPECT_EQ(contents->files()[1].link_target, "/srv/fast");
  EXPECT_EQ(contents->files()[1].modified, late);
  EXPECT_EQ(contents->files()[2].type, FileType::kDirectory);
  EXPECT_EQ(contents->files()[2].modified, early);
}

// What doesn't fit into memory at once comes in batches of whole packs.
TEST(BackupTest, PlacementsInMemoryAreBounded) {
  BackupRepository repository;
  BackupRun run;
  run.options.pack_size_bytes = 500'000;
  std::mt19937_64 random(4);
  FileContents files;
  for (int i = 0; i < 100; ++i) {
    files[fmt::format("base/1/{}", i)] = random_content(random, 5 * kBlockSize);
  }
  files["global/pg_control"] = random_content(random, kBlockSize);
  const auto manifest = make_backup(repository.store(), files, run);
  ASSERT_GT(manifest.packs.size(), 5u);
  const auto contents = must(BackupContents::open(repository.store(), manifest, nullptr, 30));
  EXPECT_GT(contents->batch_count(), 3u);
  std::set<std::uint32_t> packs_before;
  for (std::size_t number = 0; number < contents->batch_count(); ++number) {
    const auto pieces = must(contents->batch(number));
    std::set<std::uint32_t> packs;
    std::size_t placements = 0;
    for (const auto& piece : *pieces) {
      packs.insert(piece.pack);
      placements += piece.placements.size();
      EXPECT_FALSE(packs_before.contains(piece.pack)) << "each frame is decoded once";
    }
    EXPECT_TRUE(placements <= 30 || packs.size() == 1) << placements;
    packs_before.merge(packs);
  }
  EXPECT_EQ(restore(repository.store(), manifest, 30), files);
  EXPECT_EQ(must(contents->read_file("global/pg_control", kBlockSize)), files["global/pg_control"]);
  EXPECT_EQ(must(contents->read_file("base/1/7", 1 << 20)), files["base/1/7"]);
}

TEST(BackupTest, PiecesAreBoundedAndDecodeEachFrameOnce) {
  BackupRepository repository;
  BackupRun run;
  run.options.pack_size_bytes = 3'000'000;
  run.workers = 2;
  std::mt19937_64 random(2);
  FileContents files;
  for (int i = 0; i < 5; ++i) files[fmt::format("{}", i)] = random_content(random, 12'345'678);
  const auto manifest = make_backup(repository.store(), files, run);
  const auto contents = must(BackupContents::open(repository.store(), manifest));
  std::set<std::pair<std::uint32_t, std::uint32_t>> frames;
  std::pair<std::uint32_t, std::uint32_t> last;
  Bytes plain;
  ASSERT_EQ(contents->batch_count(), 1u);
  for (const auto& piece : *must(contents->batch(0))) {
    const std::pair place(piece.pack, piece.first_frame);
    EXPECT_LE(last, place);
    last = place;
    must(contents->read(piece, plain));
    EXPECT_LE(plain.size(), 8u << 20);
    for (std::uint32_t i = 0; i < piece.frame_count; ++i) {
      EXPECT_TRUE(frames.emplace(piece.pack, piece.first_frame + i).second);
    }
  }
}

TEST(BackupTest, OneSmallFileIsReadByItself) {
  BackupRepository repository;
  auto files = random_files(7);
  files["PG_VERSION"] = {'1', '5', '\n'};
  const auto manifest = make_backup(repository.store(), files);
  const auto contents = must(BackupContents::open(repository.store(), manifest));
  EXPECT_EQ(must(contents->read_file("PG_VERSION", 10)), files["PG_VERSION"]);
  EXPECT_EQ(must(contents->read_file("base/5/10000000", 1 << 30)), files["base/5/10000000"]);
  EXPECT_EQ(must(contents->read_file("base/5/0", 0)), Bytes());
  EXPECT_EQ(contents->read_file("PG_VERSION", 2).error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(contents->read_file("PG_VERSIO", 2).error().kind(), ErrorKind::kNotFound);
}

TEST(BackupTest, BlocksOfAFileMayComeInAnyOrderFromSeveralWorkers) {
  BackupRepository repository;
  const BackupRun run;
  std::mt19937_64 random(3);
  const Bytes content = random_content(random, 10 * kBlockSize + 17);
  const auto writer = start_backup(repository.store(), run);
  const auto first = must(writer->new_pack_writer());
  const auto second = must(writer->new_pack_writer());
  for (std::uint32_t block : {7, 2, 10, 3, 4, 0, 9, 1, 8, 5, 6}) {
    const auto at = std::size_t{block} * kBlockSize;
    const auto size = std::min<std::size_t>(kBlockSize, content.size() - at);
    must((block % 3 == 0 ? first : second)->add("f", block, ByteView(content).subspan(at, size)));
  }
  must(first->finish());
  must(second->finish());
  writer->add_file(file_row("f", content.size()));
  const auto manifest = must(writer->store_manifest(manifest_of(repository.store(), run.id)));
  EXPECT_EQ(restore(repository.store(), manifest), (FileContents{{"f", content}}));
}

// What must never be published.

class UnwholeBackupTest : public testing::Test {
 protected:
  std::unique_ptr<PackWriter> new_packs() { return must(writer_->new_pack_writer()); }
  Error store_error() {
    const auto stored = writer_->store_manifest(manifest_of(repository_.store(), run_.id));
    return stored ? Error::internal("it was stored") : stored.error();
  }
  void expect_refused(std::string_view message) {
    const auto error = store_error();
    EXPECT_EQ(error.kind(), ErrorKind::kInternal);
    EXPECT_THAT(error.message(), testing::HasSubstr(message));
    EXPECT_TRUE(must(BackupCatalog(repository_.store()).list()).empty());
  }

  BackupRepository repository_;
  const BackupRun run_;
  const std::unique_ptr<BackupWriter> writer_ = start_backup(repository_.store(), run_);
  const Bytes blocks_ = Bytes(4 * kBlockSize, 7);
};

TEST_F(UnwholeBackupTest, AFileWithAHoleIsRefused) {
  const auto packs = new_packs();
  must(packs->add("f", 0, blocks_));
  must(packs->add("f", 5, blocks_));
  must(packs->finish());
  writer_->add_file(file_row("f", 9 * kBlockSize));
  expect_refused("f: block 4 of 9 has no place");
}

TEST_F(UnwholeBackupTest, ABlockThatWasAddedTwiceIsRefused) {
  const auto packs = new_packs();
  must(packs->add("f", 0, blocks_));
  must(packs->add("f", 3, blocks_));
  const auto finished = packs->finish();
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().kind(), ErrorKind::kInternal);
  expect_refused("1 pack writers are not finished");
}

TEST_F(UnwholeBackupTest, ABlockThatTwoWorkersAddedIsRefused) {
  for (const std::uint32_t block : {0, 3}) {
    const auto packs = new_packs();
    must(packs->add("f", block, blocks_));
    must(packs->finish());
  }
  writer_->add_file(file_row("f", 7 * kBlockSize));
  expect_refused("f: block 3 has two places");
}

TEST_F(UnwholeBackupTest, AFileThatWasAddedTwiceIsRefused) {
  writer_->add_file(file_row("f", 0));
  writer_->add_file(file_row("f", 0));
  expect_refused("f or some block of it was added twice");
}

TEST_F(UnwholeBackupTest, ASizeThatIsNotThatOfTheBlocksIsRefused) {
  const auto packs = new_packs();
  must(packs->add("f", 0, blocks_));
  must(packs->finish());
  writer_->add_file(file_row("f", 4 * kBlockSize - 1));
  expect_refused("f has 32767 bytes, but there are blocks for 32768");
}

TEST_F(UnwholeBackupTest, BlocksWithoutAFileAreRefused) {
  const auto packs = new_packs();
  must(packs->add("f", 0, blocks_));
  must(packs->finish());
  expect_refused("blocks of f, but no such file");
}

TEST_F(UnwholeBackupTest, AnUnfinishedPackWriterIsNoticed) {
  const auto packs = new_packs();
  must(packs->add("f", 0, blocks_));
  writer_->add_file(file_row("f", blocks_.size()));
  expect_refused("1 pack writers are not finished");
}

TEST_F(UnwholeBackupTest, APathThatLeavesTheDataDirectoryIsRefused) {
  for (const auto* path : {"/etc/passwd", "../x", "a/../../x", "a//b", "", "a/."}) {
    const auto error = new_packs()->add(path, 0, blocks_);
    ASSERT_FALSE(error) << path;
    EXPECT_EQ(error.error().kind(), ErrorKind::kInvalid);
  }
  writer_->add_file(file_row("../x", 0));
  EXPECT_FALSE(writer_->store_manifest(manifest_of(repository_.store(), run_.id)));
}

TEST_F(UnwholeBackupTest, NothingIsPublishedWithoutAManifest) {
  EXPECT_FALSE(writer_->publish(manifest_of(repository_.store(), run_.id)));
  EXPECT_TRUE(must(BackupCatalog(repository_.store()).list()).empty());
}

}  // namespace
}  // namespace pitr::backup_test
