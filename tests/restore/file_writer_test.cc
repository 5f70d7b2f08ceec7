// How a restore fetches what it writes. What it writes is the integration tests' business.
#include "restore/files/file_writer.h"

#include <fmt/format.h>

#include <set>

#include "common/file.h"
#include "repository/backup/backup_fixture.h"
#include "storage/measured/measured_storage.h"
#include "storage/retry/retrying_storage.h"
#include "support/temporary_directory.h"

namespace pitr {
namespace {

using backup_test::BackupRepository;
using backup_test::make_backup;
using test::must;

// Passes everything on, and writes down in which order packs are asked for: "expect" and "read",
// with the place.
class PackLog final : public Storage {
 public:
  explicit PackLog(Storage& inner) : inner_(inner) {}

  std::vector<std::pair<bool, std::string>> entries;  // is_read and place, in order

  std::string description() const override { return inner_.description(); }
  Result<void> put(const ObjectKey& key, ByteView bytes) override { return inner_.put(key, bytes); }
  Result<void> put_if_absent(const ObjectKey& key, ByteView bytes) override {
    return inner_.put_if_absent(key, bytes);
  }
  Result<std::unique_ptr<Upload>> start_upload(const ObjectKey& key) override {
    return inner_.start_upload(key);
  }
  Result<Bytes> get(const ObjectKey& key, std::uint64_t limit_bytes) override {
    return inner_.get(key, limit_bytes);
  }
  Result<void> get_range(const ObjectKey& key, std::uint64_t offset,
                         MutableByteView into) override {
    note(true, key, offset, into.size());
    return inner_.get_range(key, offset, into);
  }
  void expect_range(const ObjectKey& key, std::uint64_t offset, std::uint64_t size) override {
    note(false, key, offset, size);
  }
  Result<ObjectInfo> stat(const ObjectKey& key) override { return inner_.stat(key); }
  Result<ListPage> list(std::string_view prefix, std::string_view token) override {
    return inner_.list(prefix, token);
  }
  Result<void> remove(const ObjectKey& key) override { return inner_.remove(key); }

 private:
  void note(bool is_read, const ObjectKey& key, std::uint64_t offset, std::uint64_t size) {
    if (key.text().find("/pack/") == std::string::npos) return;
    entries.emplace_back(is_read, fmt::format("{} {}+{}", key.text(), offset, size));
  }

  Storage& inner_;
};

class FileWriterTest : public testing::Test {
 protected:
  // Every so many blocks of a file.
  void write_blocks(std::uint32_t block_count, std::uint32_t step) {
    std::mt19937_64 random(1);
    const auto content = backup_test::random_content(random, block_count * kBlockSize);
    const auto manifest = make_backup(repository_.store(), {{"base", content}});
    const auto rows = must(read_backup_files(repository_.store(), manifest));
    BlockSelection wanted(rows);
    for (std::uint32_t block = 0; block < block_count; block += step) wanted.add(0, block, 1);
    const auto contents = must(BackupContents::open(repository_.store(), manifest, &wanted));
    FileWriter writer(*contents, directory_.path(), std::nullopt,
                      [](const FileRow&) { return true; });
    ASSERT_TRUE(writer.create_all(1));
    log_.entries.clear();
    NullObserver observer;
    ASSERT_TRUE(writer.write_all(1, observer, {}));
    const auto written = must(read_file(directory_.path() / "base"));
    for (std::uint32_t block = 0; block < block_count; block += step) {
      EXPECT_TRUE(std::ranges::equal(ByteView(written).subspan(block * kBlockSize, kBlockSize),
                                     ByteView(content).subspan(block * kBlockSize, kBlockSize)))
          << block;
    }
  }

  SystemClock clock_;
  MemoryStorage memory_{clock_};
  PackLog log_{memory_};
  StorageMeter meter_;
  MeasuredStorage measured_{log_, meter_};
  RetryingStorage storage_{measured_, {}};
  BackupRepository repository_{storage_, BackupRepository::Cipher::kAes};
  test::TemporaryDirectory directory_ = must(test::TemporaryDirectory::create());
};

TEST_F(FileWriterTest, TheStoreIsToldOfReadsAheadAndOfNoOthers) {
  write_blocks(4000, 40);  // each in a frame by itself
  std::set<std::string> expected;
  std::size_t reads = 0;
  std::size_t most_ahead = 0;
  for (const auto& [is_read, place] : log_.entries) {
    if (!is_read) {
      EXPECT_TRUE(expected.insert(place).second) << place << " was told twice";
      continue;
    }
    const bool was_expected = expected.erase(place) == 1;
    EXPECT_TRUE(was_expected || reads == 0) << place << " was read without notice";
    ++reads;
    most_ahead = std::max(most_ahead, expected.size());
  }
  EXPECT_EQ(reads, 100u);
  EXPECT_TRUE(expected.empty()) << *expected.begin() << " was expected in vain";
  EXPECT_EQ(most_ahead, 32u);
}

TEST_F(FileWriterTest, WhatLiesRightBehindIsReadAheadWithoutBeingTold) {
  write_blocks(4000, 1);
  EXPECT_EQ(log_.entries.size(), 32u);  // of a MiB each
  for (const auto& [is_read, place] : log_.entries) EXPECT_TRUE(is_read) << place;
}

}  // namespace
}  // namespace pitr
