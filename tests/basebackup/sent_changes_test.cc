// What comes out of an incremental backup's archive on top of a parent: by the rules, block by
// block, for files of random sizes, truncations and blocks.
#include <fmt/format.h>

#include <map>
#include <random>

#include "basebackup/tar_unpacker.h"
#include "repository/backup/backup_reader.h"
#include "storage/memory/memory_storage.h"
#include "support/must.h"

namespace pitr {
namespace {

using test::must;
using testing::ElementsAre;
using testing::HasSubstr;

using Files = std::map<std::string, Bytes>;

Bytes blocks_of(std::uint32_t count, std::uint8_t mark) {
  Bytes bytes(std::size_t{count} * kBlockSize, mark);
  for (std::uint32_t i = 0; i < count; ++i) store(bytes.data() + i * kBlockSize, i);
  return bytes;
}

std::string text_of(ByteView bytes) {
  return std::string(as_text(bytes));
}

// As src/port/tar.c writes a file.
std::string tar_entry(const std::string& path, std::string_view content) {
  std::string header(512, '\0');
  const auto put = [&](std::size_t at, std::string_view text) {
    header.replace(at, text.size(), text);
  };
  put(0, path);
  put(100, "0000600 ");
  put(108, "0000000 ");
  put(116, "0000000 ");
  put(124, fmt::format("{:011o} ", content.size()));
  put(136, fmt::format("{:011o} ", 1'700'000'000));
  put(148, "        ");
  put(156, "0");
  put(257, std::string_view("ustar\00000", 8));
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  put(148, fmt::format("{:07o} ", sum));
  std::string padded(content);
  padded.resize((padded.size() + 511) / 512 * 512);
  return header + padded;
}

std::string incremental_file(std::uint32_t truncation,
                             const std::map<std::uint32_t, Bytes>& blocks) {
  ByteWriter out;
  out.u32(IncrementalFileReader::kMagic);
  out.u32(static_cast<std::uint32_t>(blocks.size()));
  out.u32(truncation);
  for (const auto& [number, bytes] : blocks) out.u32(number);
  Bytes file = out.take();
  if (!blocks.empty()) file.resize((file.size() + kBlockSize - 1) / kBlockSize * kBlockSize);
  for (const auto& [number, bytes] : blocks) file.insert(file.end(), bytes.begin(), bytes.end());
  return text_of(file);
}

class SentChangesTest : public testing::Test {
 protected:
  BackupManifest manifest() {
    BackupManifest made(BackupId::make(Timestamp::from_unix_us(1'772'356'500'000'000), ++count_));
    made.incarnation = store_.id();
    made.timeline = TimelineId(1);
    return made;
  }
  BackupManifest back_up(const Files& files) {
    auto made = manifest();
    const BackupIntent intent{made.id, "db", Timestamp(), Lsn(0x28), std::nullopt};
    const auto writer = must(BackupWriter::start(store_, intent, {}));
    auto pack = must(writer->new_pack_writer());
    for (const auto& [path, content] : files) {
      must(pack->add(path, 0, content));
      FileRow row;
      row.path = path;
      row.size_bytes = content.size();
      writer->add_file(row);
    }
    must(pack->finish());
    made = must(writer->store_manifest(std::move(made)));
    must(writer->publish(made));
    return made;
  }
  SendableFiles sendable(const BackupManifest& parent, const wal::ChangedBlocks& changed) {
    sent_paths_.clear();
    return must(SendableFiles::read(store_, parent, changed, [&](const FileRow& row) {
      sent_paths_.push_back(row.path);
      return Result<void>();
    }));
  }
  // The files of a backup on the parent, of which the server sent this archive.
  Result<Files> receive(const BackupManifest& parent, const wal::ChangedBlocks& before,
                        const wal::ChangedBlocks& changed, const std::string& archive) {
    const auto older = sendable(parent, before);
    auto made = manifest();
    const BackupIntent intent{made.id, "db", Timestamp(), Lsn(0x28), parent.id};
    const auto writer = must(BackupWriter::start(store_, intent, {}, ParentBackup{parent, {}}));
    PackCrew crew(*writer, 2);
    TarUnpacker unpacker(*writer, crew, observer_, SentChanges{older, changed});
    TRY(unpacker.start_archive({}));
    TRY(unpacker.feed(as_bytes(archive)));
    TRY(unpacker.finish_archive());
    TRY(crew.finish());
    made = TRY(writer->store_manifest(std::move(made)));
    const auto contents = TRY(BackupContents::open(store_, made));
    Files files;
    for (const auto& row : contents->files()) {
      files[row.path] = TRY(contents->read_file(row.path, 1ull << 30));
    }
    return files;
  }

  SystemClock clock_;
  NullObserver observer_;
  MemoryStorage storage_{clock_};
  std::unique_ptr<Repository> repository_ =
      must(Repository::init(storage_, must(KeyEncryptionKey::generate())));
  IncarnationStore store_{*repository_, IncarnationId{"main", 7, 17}, SegmentSize()};
  std::vector<std::string> sent_paths_;
  std::uint64_t count_ = 0;
};

constexpr const char* kPath = "base/5/16384";
constexpr const char* kSent = "base/5/INCREMENTAL.16384";
constexpr wal::RelationId kRelation{1663, 5, 16384};

TEST_F(SentChangesTest, EachBlockComesFromWhereItMust) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  const auto number = [&](std::uint32_t to) {
    return std::uniform_int_distribution<std::uint32_t>(0, to)(random);
  };
  for (int round = 0; round < 60; ++round) {
    const auto older = blocks_of(number(300), 1);
    const auto older_blocks = static_cast<std::uint32_t>(older.size() / kBlockSize);
    const auto truncation = number(400);
    std::map<std::uint32_t, Bytes> given;
    for (auto i = number(60); i > 0; --i) given[number(450)] = Bytes(kBlockSize, 2);
    const auto limit = round % 3 == 0 ? number(300) : wal::ChangedBlocks::kNoLimit;
    wal::ChangedBlocks changed;
    if (limit != wal::ChangedBlocks::kNoLimit) changed.limit(kRelation, limit);

    const auto length =
        given.empty() ? truncation : std::max(truncation, given.rbegin()->first + 1);
    Bytes expected(std::size_t{length} * kBlockSize);
    for (std::uint32_t i = 0; i < length; ++i) {
      const auto at = static_cast<std::ptrdiff_t>(std::size_t{i} * kBlockSize);
      if (given.contains(i)) {
        std::ranges::copy(given[i], expected.begin() + at);
      } else if (i < truncation && i < older_blocks && i < limit) {
        std::copy_n(older.begin() + at, kBlockSize, expected.begin() + at);
      }
    }
    const auto parent = back_up({{kPath, older}});
    const auto files =
        must(receive(parent, {}, changed, tar_entry(kSent, incremental_file(truncation, given))));
    EXPECT_EQ(files, (Files{{kPath, expected}})) << "round " << round;
  }
}

TEST_F(SentChangesTest, TheServerIsToldOfWholeAndSoundMainForksOnly) {
  Files files;
  for (const auto* path :
       {"base/5/16384", "base/5/16384.1", "base/5/16384_vm", "base/5/16384_fsm",
        "base/5/16385_init", "base/5/16386", "base/5/16387", "base/5/16388", "base/5/16389",
        "base/5/16389.1", "base/5/16389.2", "base/5/PG_VERSION", "base/6/16384", "global/1262",
        "pg_tblspc/16400/PG_17_202406281/5/16401", "pg_xact/0000"}) {
    files[path] = blocks_of(2, 1);
  }
  files["base/5/16386"].resize(kBlockSize + 1);
  auto parent = back_up(files);
  parent.checksum_failures = {{"base/5/16387", 1}};
  wal::ChangedBlocks changed;
  changed.mark(kRelation, 1);
  changed.limit({1663, 5, 16388}, 1);
  changed.limit({1663, 5, 16389}, 131072 + 1);
  changed.rewrite_database(1663, 6);
  const auto sendable_files = sendable(parent, changed);
  EXPECT_THAT(sent_paths_, ElementsAre("base/5/16384", "base/5/16384.1", "base/5/16389",
                                       "global/1262", "pg_tblspc/16400/PG_17_202406281/5/16401"));
  EXPECT_EQ(sendable_files.blocks_of({kRelation, 1}), 2u);
  EXPECT_EQ(sendable_files.blocks_of({kRelation, 2}), std::nullopt);
  EXPECT_EQ(sendable_files.blocks_of({{1663, 5, 16387}, 0}), std::nullopt);
}

TEST_F(SentChangesTest, ChangesOfAFileThatTheServerWasNotToldOfAreRefused) {
  const auto parent = back_up({{kPath, blocks_of(2, 1)}, {"base/5/7", blocks_of(2, 1)}});
  wal::ChangedBlocks cut;
  cut.limit(kRelation, 1);
  for (const auto* path : {kSent, "base/5/INCREMENTAL.8", "base/5/INCREMENTAL.16384.1"}) {
    const auto files = receive(parent, cut, cut, tar_entry(path, incremental_file(2, {})));
    ASSERT_FALSE(files) << path;
    EXPECT_THAT(files.error().message(), HasSubstr("wasn't told"));
  }
}

TEST_F(SentChangesTest, FilesOfThatNameThatAreNoRelationsAreTakenAsTheyAre) {
  const auto parent = back_up({{kPath, blocks_of(2, 1)}});
  const auto files = must(receive(parent, {}, {},
                                  tar_entry("INCREMENTAL.16384", "mine") +
                                      tar_entry("base/5/INCREMENTAL.notes", "mine too") +
                                      tar_entry("base/5/INCREMENTAL.16384_vm", "and this")));
  EXPECT_EQ(files.size(), 3u);
  EXPECT_EQ(text_of(files.at("base/5/INCREMENTAL.notes")), "mine too");
}

TEST_F(SentChangesTest, ABadFileIsNamed) {
  const auto parent = back_up({{kPath, blocks_of(2, 1)}});
  const auto files = receive(parent, {}, {}, tar_entry(kSent, "rubbish, and not a header"));
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().kind(), ErrorKind::kCorrupt);
  EXPECT_THAT(files.error().message(), HasSubstr(kPath));
}

}  // namespace
}  // namespace pitr
