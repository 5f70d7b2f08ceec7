// pitr-restore --in-place on a cluster's own directory: after random work, a target is restored in
// place and compared with a fresh restore to the same LSN; then the safety backup brings everything
// back. With checksums and wal_log_hints on and off, readers that set hint bits after the target,
// clean stops and crashes, and SIGKILL in the middle.

#include <fmt/format.h>

#include <fstream>

#include "integration/in_place_cluster.h"
#include "repository/backup/backup_reader.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;

class InPlaceTest : public testing::TestWithParam<Kind> {};

TEST_P(InPlaceTest, IsWhatAFreshRestoreIsAndCanBeUndone) {
  const auto kind = GetParam();
  const auto seed = std::random_device{}();
  fmt::print("seed {}\n", seed);
  SCOPED_TRACE(fmt::format("seed {}", seed));
  std::mt19937 random(seed);
  InPlace in_place(kind);
  in_place.work(random, 5);
  // Written before the backup, committed behind the target: the hint bits that a reader sets then
  // are all that changes on these pages. (Not prepared: recovery would know such a transaction.)
  auto open = std::optional(must(Connection::open(in_place.cluster_.conninfo())));
  must(open->command("BEGIN; SET LOCAL synchronous_commit = on"));  // else no hints before a flush
  must(open->command("UPDATE quiet SET filler = 'never at the target' WHERE i < 300"));
  must(in_place.cluster_.sql("CHECKPOINT"));
  in_place.back_up();
  in_place.work(random, 8);
  const auto target = in_place.here();
  must(in_place.cluster_.sql("INSERT INTO t VALUES (-1, 'behind the target')"));
  must(open->command("COMMIT"));
  open.reset();
  must(in_place.cluster_.sql("SELECT sum(length(filler)) FROM quiet; CHECKPOINT"));
  in_place.work(random, 6);
  const bool crashes = random() % 2 == 0;
  // The last of it reaches the repository only by way of pg_wal.
  in_place.catch_up();
  in_place.repository_->stop_streaming();
  in_place.work(random, 3);
  const auto last = must(in_place.cluster_.sql_value(InPlace::kState));
  must(in_place.cluster_.sql("SET synchronous_commit = on; CREATE TABLE flushes()"));
  must(in_place.cluster_.sql("SET synchronous_commit = on; DROP TABLE flushes"));
  crashes ? in_place.crash() : in_place.stop();

  if (!kind.is_killed) {
    const auto shown = in_place.restore({"--lsn", target, "--dry-run"});
    ASSERT_EQ(shown.status.exit_code, 0) << story(shown);
  }
  if (kind.is_killed) in_place.restore_killed(random, {"--lsn", target});
  std::string undo;
  if (!in_place.is_restored()) {
    const auto output = in_place.restore({"--lsn", target});
    ASSERT_EQ(output.status.exit_code, 0) << story(output);
    const auto outcome = nlohmann::json::parse(output.out);
    const auto rewrite = outcome["plan"]["rewrite"];
    undo = outcome["undo"];
    if (!in_place.was_half_done()) {
      EXPECT_EQ(rewrite["mode"], kind.hints_are_logged() ? "by facts" : "by digest")
          << rewrite["reason"];
    }
  }
  EXPECT_EQ(in_place.state_in_place(), in_place.state_of_fresh(target));

  in_place.stop();
  if (undo.empty()) return;  // it was killed when all was done
  const auto undone = must(
      run_command({"/bin/sh", "-c", std::string(PITR_PROGRAM_DIRECTORY) + "/" + undo + " --yes"},
                  {.environment = {{"TZ", "UTC"}}}, Seconds(180)));
  ASSERT_EQ(undone.status.exit_code, 0) << story(undone);
  EXPECT_EQ(in_place.state_in_place(), last);
}

INSTANTIATE_TEST_SUITE_P(Kinds, InPlaceTest,
                         testing::Values(Kind{true, false, false}, Kind{false, true, true},
                                         Kind{false, false, false}),
                         [](const auto& tested) {
                           const auto& kind = tested.param;
                           return fmt::format("{}{}{}", kind.data_checksums ? "Checksums" : "None",
                                              kind.wal_log_hints ? "Hints" : "",
                                              kind.is_killed ? "Killed" : "");
                         });

TEST(InPlaceTablespaceTest, StayWhereTheyAreAndLaterOnesAreEmptied) {
  const auto home = must(TemporaryDirectory::create());
  const auto old_space = home.path() / "old";
  const auto new_space = home.path() / "new";
  fs::create_directory(old_space);
  fs::create_directory(new_space);
  InPlace in_place({});
  must(in_place.cluster_.sql(
      fmt::format("CREATE TABLESPACE old_space LOCATION '{}'", old_space.string())));
  must(
      in_place.cluster_.sql("CREATE TABLE kept TABLESPACE old_space AS SELECT * FROM quiet;"
                            "CREATE TABLE moved AS SELECT * FROM quiet"));
  in_place.back_up();
  must(in_place.cluster_.sql("UPDATE kept SET filler = 'before the target' WHERE i % 7 = 0"));
  const auto target = in_place.here();
  must(in_place.cluster_.sql(
      fmt::format("CREATE TABLESPACE new_space LOCATION '{}'", new_space.string())));
  must(
      in_place.cluster_.sql("ALTER TABLE moved SET TABLESPACE new_space;"
                            "CREATE TABLE more TABLESPACE old_space AS SELECT * FROM quiet;"
                            "UPDATE kept SET filler = 'behind the target'"));
  const char* query =
      "SELECT (SELECT md5(string_agg(k::text, ',' ORDER BY i)) FROM kept k) || (SELECT count(*) "
      "FROM moved) || (SELECT string_agg(spcname, ',' ORDER BY spcname) FROM pg_tablespace)";
  const auto last = must(in_place.cluster_.sql_value(query));
  in_place.catch_up();
  in_place.stop();
  std::ofstream(new_space / "not_ours") << "x";
  // pg_wal on another disk.
  const auto wal = home.path() / "wal";
  fs::rename(in_place.directory() / "pg_wal", wal);
  fs::create_directory_symlink(wal, in_place.directory() / "pg_wal");

  auto output = in_place.restore({"--lsn", target});
  ASSERT_EQ(output.status.exit_code, 0) << story(output);
  EXPECT_EQ(nlohmann::json::parse(output.out)["plan"]["rewrite"]["mode"], "by facts");
  EXPECT_TRUE(fs::is_symlink(in_place.directory() / "pg_wal"));
  EXPECT_TRUE(fs::exists(wal / "archive_status"));
  EXPECT_TRUE(fs::exists(new_space / "not_ours"));
  EXPECT_EQ(std::distance(fs::directory_iterator(new_space), fs::directory_iterator()), 1);
  const std::string undo = nlohmann::json::parse(output.out)["undo"];
  in_place.state_in_place();
  EXPECT_EQ(must(in_place.cluster_.sql_value("SELECT count(*) FROM kept WHERE filler = 'before the "
                                             "target'")),
            "857");
  EXPECT_EQ(must(in_place.cluster_.sql_value("SELECT count(*) FROM pg_tablespace")), "3");
  in_place.stop();
  fs::remove(new_space / "not_ours");
  output = must(
      run_command({"/bin/sh", "-c", std::string(PITR_PROGRAM_DIRECTORY) + "/" + undo + " --yes"},
                  {.environment = {{"TZ", "UTC"}}}, Seconds(180)));
  ASSERT_EQ(output.status.exit_code, 0) << story(output);
  in_place.state_in_place();
  EXPECT_EQ(must(in_place.cluster_.sql_value(query)), last);
}

TEST(InPlaceRefusalTest, SaysWhyAndTouchesNothing) {
  InPlace in_place({});
  in_place.back_up();
  const auto lsn = in_place.here();
  must(in_place.cluster_.sql("INSERT INTO t VALUES (-1, 'x')"));
  in_place.catch_up();
  const auto control = in_place.cluster_.data_directory() / "global" / "pg_control";
  auto output = in_place.restore({"--lsn", lsn});
  EXPECT_EQ(output.status.exit_code, 4);
  EXPECT_THAT(output.err, HasSubstr("a server (process "));
  in_place.stop();
  {
    std::ofstream conf(in_place.cluster_.data_directory() / "postgresql.auto.conf", std::ios::app);
    conf << "fsync = off\n";
  }
  output = in_place.restore({"--lsn", lsn});
  EXPECT_EQ(output.status.exit_code, 2);
  EXPECT_THAT(output.err, HasSubstr("postgresql.auto.conf turns fsync off"));
  const auto other = must(TestCluster::create({.wal_segment_size_mb = 1, .durable = true}));
  auto arguments = in_place.arguments({"--lsn", lsn});
  arguments.back() = other.data_directory();
  output = in_place.program_->run(arguments);
  EXPECT_EQ(output.status.exit_code, 2);
  EXPECT_THAT(output.err, HasSubstr("is another cluster"));
  EXPECT_TRUE(fs::exists(control));
}

}  // namespace
}  // namespace pitr::test
