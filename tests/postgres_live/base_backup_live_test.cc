#include <fcntl.h>

#include <algorithm>

#include "live_test.h"
#include "postgres/backup_label.h"
#include "postgres/base_backup_stream.h"
#include "postgres/control_file.h"
#include "postgres/data_directory.h"
#include "postgres/page_checksum.h"
#include "postgres/tablespace_map.h"
#include "unpacker.h"

namespace pitr::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

EntryKind kind_of(const fs::directory_entry& entry) {
  if (entry.is_symlink()) return EntryKind::kSymlink;
  if (entry.is_directory()) return EntryKind::kDirectory;
  return entry.is_regular_file() ? EntryKind::kFile : EntryKind::kOther;
}

// The paths that the rules choose below a directory, with tablespaces followed.
void choose(const Path& root, const std::string& directory, int major,
            std::set<std::string>& chosen) {
  std::vector<fs::directory_entry> entries;
  UnloggedRelations unlogged;
  for (const auto& entry : fs::directory_iterator(root / directory)) {
    entries.push_back(entry);
    unlogged.add_entry(entry.path().filename().native());
  }
  unlogged.finish();
  const bool in_database = parse_relation_directory(directory).has_value();
  for (const auto& entry : entries) {
    const auto name = entry.path().filename().native();
    const auto path = directory.empty() ? name : directory + "/" + name;
    const auto file = parse_relation_file_name(name);
    if (in_database && file && unlogged.must_skip(*file)) continue;
    const auto rule = backup_rule(directory, name, kind_of(entry), major);
    if (rule == BackupRule::kSkip) continue;
    if (rule == BackupRule::kTablespaceLink) {
      choose(root, path, major, chosen);
      continue;
    }
    chosen.insert(path);
    if (rule == BackupRule::kInclude && entry.is_directory()) choose(root, path, major, chosen);
  }
}

class BaseBackupLiveTest : public LiveTest {
 protected:
  void SetUp() override {
    ClusterOptions options;
    options.settings = {{"autovacuum", "off"}, {"max_wal_senders", "4"}};
    server_.emplace(must(TestCluster::create(options)));
    must(server_->start());
    target_.emplace(must(TemporaryDirectory::create()));
  }
  static void SetUpTestSuite() {}

  TestCluster& server() { return *server_; }
  const Path& target() const { return target_->path(); }

  void fill() {
    tablespace_.emplace(must(TemporaryDirectory::create()));
    must(server().sql("CREATE TABLESPACE elsewhere LOCATION '" + tablespace_->path().native() +
                      "'"));
    must(
        server().sql("CREATE TABLE plain AS SELECT n, md5(n::text) FROM generate_series(1, "
                     "50000) n"));
    must(server().sql("VACUUM plain; CREATE INDEX ON plain (n)"));
    must(server().sql("CREATE TABLE apart TABLESPACE elsewhere AS SELECT * FROM plain"));
    must(server().sql("CREATE UNLOGGED TABLE unlogged AS SELECT * FROM plain"));
    must(
        server().sql("CREATE UNLOGGED TABLE unlogged_apart TABLESPACE elsewhere AS SELECT * FROM "
                     "plain"));
  }
  BaseBackupEnd back_up(Unpacker& unpacker, const BaseBackupOptions& options = {}) {
    auto connection = replicate(server());
    const auto end = must(run_base_backup(connection, options, unpacker));
    must(unpacker.finish());
    // The connection serves further commands.
    EXPECT_TRUE(connection.identify_system().has_value());
    return end;
  }

 private:
  std::optional<TestCluster> server_;
  std::optional<TemporaryDirectory> target_;
  std::optional<TemporaryDirectory> tablespace_;
};

TEST_F(BaseBackupLiveTest, TheStreamIsTheDataDirectory) {
  fill();
  auto session = must(Connection::open(server().conninfo()));
  must(session.command("CREATE TEMPORARY TABLE temporary AS SELECT 1"));
  Unpacker unpacker(target());
  const auto end = back_up(unpacker, {.label = "it's a label"});
  EXPECT_EQ(end.checksum_failure, "");
  EXPECT_GT(end.stop, end.start.start);
  EXPECT_EQ(end.timeline, TimelineId(1));
  ASSERT_EQ(end.start.tablespaces.size(), 2u);
  EXPECT_EQ(unpacker.archives, (std::vector{end.start.tablespaces[0].oid, 0u}));
  EXPECT_TRUE(end.start.tablespaces[0].size_bytes.value_or(0) > 1'000'000);
  if (server().major() >= 15) {
    EXPECT_GT(unpacker.reported_bytes, 1'000'000u);
  }

  std::set<std::string> expected = {"backup_label", "tablespace_map"};
  choose(server().data_directory(), "", server().major(), expected);
  for (auto& directory : required_wal_directories(server().major())) {
    expected.insert(std::move(directory));
  }
  EXPECT_EQ(unpacker.paths(), expected);
}

TEST_F(BaseBackupLiveTest, TheUnpackedBackupVerifies) {
  fill();
  Unpacker unpacker(target());
  const auto end = back_up(unpacker, {.label = "it's a label"});
  const auto text = must(read_text_file(target() / "backup_label"));
  const auto label = must(parse_backup_label(text));
  EXPECT_EQ(label.start, end.start.start);
  EXPECT_EQ(label.label, "it's a label");
  if (server().major() >= 14) {
    EXPECT_EQ(build_backup_label(label), text);
  }
  const auto map_text = must(read_text_file(target() / "tablespace_map"));
  const auto map = must(parse_tablespace_map(map_text));
  ASSERT_EQ(map.size(), 1u);
  EXPECT_EQ(map[0].oid, end.start.tablespaces[0].oid);
  EXPECT_EQ(map[0].path, end.start.tablespaces[0].location);
  EXPECT_EQ(build_tablespace_map(map), map_text);
  EXPECT_EQ(must(read_control_file(target())).redo, end.start.start);
  if (server().major() > 16) return;  // Debian's pg_verifybackup does not know the newer manifest
  const auto program = Path("/usr/lib/postgresql/15/bin/pg_verifybackup").native();
  const auto verified = must(run_command({program, "-n", target().native()}));
  EXPECT_TRUE(verified.status.success()) << verified.err;
}

TEST_F(BaseBackupLiveTest, EveryPageOfEveryRelationHasItsChecksum) {
  fill();
  Unpacker unpacker(target());
  back_up(unpacker);
  std::map<PageVerdict, std::size_t> verdicts;
  for (const auto& path : unpacker.paths()) {
    const auto file = parse_relation_file_name(Path(path).filename().native());
    if (!file || !parse_relation_directory(Path(path).parent_path().native())) continue;
    const auto bytes = must(read_file(target() / path));
    ASSERT_EQ(bytes.size() % kPageSizeBytes, 0u) << path;
    for (std::uint32_t block = 0; block < bytes.size() / kPageSizeBytes; ++block) {
      const auto page = ByteView(bytes).subspan(block * kPageSizeBytes, kPageSizeBytes);
      const auto verdict = check_page(page, file->segment * kRelationSegmentBlocks + block);
      ++verdicts[verdict];
      EXPECT_TRUE(verdict == PageVerdict::kValid || verdict == PageVerdict::kNew)
          << path << " block " << block;
    }
  }
  EXPECT_GT(verdicts[PageVerdict::kValid], 1000u);
}

TEST_F(BaseBackupLiveTest, DamagedPagesMakeTheBackupSuspectNotFailed) {
  fill();
  must(server().sql("CHECKPOINT"));
  const auto path = must(server().sql_value("SELECT pg_relation_filepath('plain')"));
  auto file = must(File::open(server().data_directory() / path, O_RDWR));
  must(file.write_at(as_bytes("damage"), 3 * kPageSizeBytes + 4096));
  Unpacker unpacker(target());
  const auto end = back_up(unpacker);
  EXPECT_THAT(end.checksum_failure, HasSubstr("checksum"));
  EXPECT_GT(end.stop, end.start.start);
  TemporaryDirectory other = must(TemporaryDirectory::create());
  Unpacker unchecked(other.path());
  EXPECT_EQ(back_up(unchecked, {.verify_checksums = false}).checksum_failure, "");
}

TEST_F(BaseBackupLiveTest, OptionsReachTheServer) {
  fill();
  Unpacker unpacker(target());
  const auto end =
      back_up(unpacker,
              {.manifest = false, .tablespace_map = false, .progress = false, .include_wal = true});
  EXPECT_FALSE(end.start.tablespaces[0].size_bytes);
  EXPECT_FALSE(unpacker.paths().contains("tablespace_map"));
  EXPECT_TRUE(
      unpacker.paths().contains("pg_tblspc/" + std::to_string(end.start.tablespaces[0].oid)));
  EXPECT_TRUE(std::ranges::any_of(unpacker.paths(), [](const auto& path) {
    return path.starts_with("pg_wal/0000000100000000");
  }));
  EXPECT_EQ(fs::file_size(target() / "backup_manifest"), 0u);
}

TEST_F(BaseBackupLiveTest, ASinksErrorAndAStopEndTheBackup) {
  class FullSink : public Unpacker {
   public:
    using Unpacker::Unpacker;
    Result<void> data(ByteView) override { return Error::transient("full"); }
  };
  FullSink full(target());
  auto connection = replicate(server());
  EXPECT_EQ(run_base_backup(connection, {}, full).error().message(), "full");
  std::stop_source stop;
  stop.request_stop();
  Unpacker unpacker(target());
  auto another = replicate(server());
  EXPECT_EQ(run_base_backup(another, {}, unpacker, stop.get_token()).error().kind(),
            ErrorKind::kCancelled);
}

}  // namespace
}  // namespace pitr::test
