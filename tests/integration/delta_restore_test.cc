// pitr-restore --delta: whatever a directory holds, afterwards it is what a fresh restore to the
// same target gives, and only what differed was written.

#include <fmt/format.h>

#include <fstream>
#include <random>

#include "support/pgbench.h"
#include "support/restore_program.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class DeltaRestoreTest : public testing::Test {
 protected:
  DeltaRestoreTest() : cluster_(must(TestCluster::create({.wal_segment_size_mb = 1}))) {
    must(cluster_.start());
    repository_.emplace(cluster_);
    register_cluster(*repository_);
    must(
        cluster_.sql("CREATE TABLE t(i int PRIMARY KEY, filler text);"
                     "INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(1, 4000) i;"
                     "CREATE TABLE quiet AS SELECT * FROM t; CHECKPOINT"));
    repository_->start_streaming(cluster_);
    repository_->wait_for("streaming", [](const WalReceiverStatus& status) {
      return status.state == WalReceiverState::kStreaming;
    });
    program_.emplace(repository_->directory() / "repository", repository_->key());
    must(repository_->take_backup(repository_->backup_request(cluster_)));
  }

  std::string change(int factor) {
    must(cluster_.sql(fmt::format("UPDATE t SET filler = 'n' || i WHERE i % {} = 0", factor)));
    auto lsn = must(cluster_.sql_value("SELECT pg_current_wal_insert_lsn()"));
    must(cluster_.sql("INSERT INTO t VALUES (1000000 + " + std::to_string(factor) + ", 'later')"));
    repository_->catch_up(cluster_);
    return lsn;
  }
  std::string state_of(RestoredServer& server) {
    return server.ask("md5(string_agg(t::text, ',' ORDER BY i))", "FROM t") +
           server.ask("md5(string_agg(q::text, ',' ORDER BY i))", "FROM quiet q");
  }
  void expect_restored(RestoredServer& server, std::vector<std::string> arguments,
                       const std::string& lsn) {
    arguments.insert(arguments.end(), {"--lsn", lsn, "--exclusive", "--delta", "--yes"});
    ASSERT_EQ(server.restore(*program_, arguments).status.exit_code, 0) << server.story();
    RestoredServer fresh(cluster_);
    ASSERT_EQ(fresh.restore(*program_, {"--lsn", lsn, "--exclusive"}).status.exit_code, 0)
        << fresh.story();
    EXPECT_EQ(state_of(server), state_of(fresh));
    server.check_with_amcheck();
    server.stop();
  }

  TestCluster cluster_;
  std::optional<StreamedRepository> repository_;
  std::optional<RestoreProgram> program_;
};

TEST_F(DeltaRestoreTest, WhateverWasThereBefore) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  const auto first = change(7);
  const auto second = change(3);
  RestoredServer server(cluster_);

  expect_restored(server, {}, first);  // nothing there
  EXPECT_EQ(server.outcome()["plan"]["rewrite"]["compared_bytes"], 0);

  // An older restore that ran since: a small part of it is written.
  expect_restored(server, {}, second);
  const auto rewrite = server.outcome()["plan"]["rewrite"];
  EXPECT_EQ(rewrite["mode"], "by digest");
  const auto written = server.outcome()["restored"]["written_bytes"].get<std::uint64_t>();
  EXPECT_GT(written, 0u);
  EXPECT_LT(written, server.outcome()["restored"]["bytes"].get<std::uint64_t>() / 3);

  // Rubbish beside the files, in them, behind their end, instead of them, and under another name.
  const auto directory = server.directory();
  std::vector<Path> files;
  for (const auto& entry : fs::recursive_directory_iterator(directory / "base")) {
    if (entry.is_regular_file() && entry.file_size() >= 8192) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  const auto any_file = [&] { return files[random() % files.size()]; };
  for (int i = 0; i < 40; ++i) {
    const auto path = any_file();
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(random() % fs::file_size(path)));
    file.put(static_cast<char>(random()));
  }
  for (int i = 0; i < 5; ++i) {
    fs::resize_file(any_file(), random() % 100000);
    const auto gone = any_file();
    fs::remove(gone);
    fs::create_directory(gone);
    std::ofstream(gone / "inside") << "x";
    std::erase(files, gone);
  }
  const auto outside = must(TemporaryDirectory::create());
  std::ofstream(outside.path() / "kept") << "kept";
  fs::create_symlink(outside.path(), directory / "base" / "link");
  fs::create_directory(directory / "pg_replslot" / "old_slot");
  std::ofstream(directory / "pg_replslot" / "old_slot" / "state") << "x";
  std::ofstream(directory / "pg_twophase" / "00000ABC") << "x";
  std::ofstream(directory / "standby.signal") << "";
  const auto linked = any_file();
  fs::remove(outside.path() / "snapshot");
  fs::create_hard_link(linked, outside.path() / "snapshot");
  const auto snapshot = must(read_file(outside.path() / "snapshot"));
  expect_restored(server, {}, second);
  EXPECT_EQ(must(read_text_file(outside.path() / "kept")), "kept");
  EXPECT_EQ(must(read_file(outside.path() / "snapshot")), snapshot);
  EXPECT_FALSE(fs::exists(directory / "standby.signal"));

  // Back to the first, over an interrupted one.
  for (int round = 0; round < 6; ++round) {
    auto process = must(Subprocess::start(
        {Path(PITR_PROGRAM_DIRECTORY) / "pitr-restore", "--config", program_->configuration(),
         "--lsn", first, "--exclusive", "--delta", "--yes", "--target-dir", directory}));
    (void)process.wait(Milliseconds(std::uniform_int_distribution<int>(5, 400)(random)));
    process.kill();
  }
  expect_restored(server, {}, first);
}

TEST_F(DeltaRestoreTest, RefusesWhatIsNotItsOwn) {
  const auto lsn = change(7);
  const auto home = must(TemporaryDirectory::create());
  const auto foreign = home.path() / "foreign";
  fs::create_directory(foreign);
  std::ofstream(foreign / "letter") << "x";
  const std::vector<std::string> arguments = {"--lsn", lsn, "--exclusive", "--delta", "--yes"};
  const auto run = [&](const Path& directory, const std::vector<std::string>& more = {}) {
    auto all = arguments;
    all.insert(all.end(), {"--target-dir", directory});
    all.insert(all.end(), more.begin(), more.end());
    return program_->run(all);
  };
  auto output = run(foreign);
  EXPECT_EQ(output.status.exit_code, 2) << output.err;
  EXPECT_TRUE(fs::exists(foreign / "letter"));
  output = run(foreign, {"--dry-run", "--force"});
  EXPECT_EQ(output.status.exit_code, 0) << output.err;
  EXPECT_TRUE(fs::exists(foreign / "letter"));
  output = run(foreign, {"--force"});
  EXPECT_EQ(output.status.exit_code, 0) << output.err;
  EXPECT_FALSE(fs::exists(foreign / "letter"));
  EXPECT_TRUE(fs::exists(foreign / "global" / "pg_control"));

  output = run(cluster_.data_directory());
  EXPECT_EQ(output.status.exit_code, 4);
  EXPECT_THAT(output.err, HasSubstr("a server (process "));
  const auto other = must(TestCluster::create({.wal_segment_size_mb = 1}));
  output = run(other.data_directory());
  EXPECT_EQ(output.status.exit_code, 4);
  EXPECT_THAT(output.err, HasSubstr("is another cluster's"));
}

}  // namespace
}  // namespace pitr::test
