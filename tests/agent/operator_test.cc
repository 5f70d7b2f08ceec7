// The operator's way, with the programs themselves: init, check, agent, backup, list, status.
#include <sys/stat.h>

#include "agent/pitr_site.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;
using testing::Not;

unsigned mode_of(const Path& path) {
  struct stat status{};
  ::stat(path.c_str(), &status);
  return status.st_mode & 07777;
}

TEST(OperatorTest, InitMakesKeyRepositoryAndSlotOnce) {
  auto cluster = started_cluster();
  const PitrSite site(cluster);
  const auto first = site.run({"pitr", "init"});
  ASSERT_EQ(first.status.exit_code, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("Without this key NO BACKUP CAN BE READ"));
  EXPECT_EQ(mode_of(site.key_file()), 0600u);
  EXPECT_EQ(must(cluster.sql_value("SELECT restart_lsn IS NOT NULL FROM pg_replication_slots "
                                   "WHERE slot_name = 'pitr_main'")),
            "t");

  const auto key = must(read_text_file(site.key_file()));
  const auto second = site.run({"pitr", "init"});
  EXPECT_EQ(second.status.exit_code, 0) << second.err;
  EXPECT_THAT(second.out, HasSubstr("Slot pitr_main is there already"));
  EXPECT_THAT(second.out, Not(HasSubstr("NO BACKUP CAN BE READ")));
  EXPECT_EQ(must(read_text_file(site.key_file())), key);
}

TEST(OperatorTest, ALostKeyIsNeverReplacedByANewOne) {
  auto cluster = started_cluster();
  const PitrSite site(cluster);
  ASSERT_EQ(site.run({"pitr", "init"}).status.exit_code, 0);
  std::filesystem::remove(site.key_file());
  const auto output = site.run({"pitr", "init"});
  EXPECT_EQ(output.status.exit_code, 6) << output.err;
  EXPECT_THAT(output.err, HasSubstr("is missing, and there is a repository"));
  EXPECT_FALSE(std::filesystem::exists(site.key_file()));
}

TEST(OperatorTest, WithoutEncryptionOnlyInWords) {
  auto cluster = started_cluster();
  const PitrSite site(cluster);
  auto yaml = must(read_text_file(site.config_file()));
  const auto at = yaml.find("encryption: ");
  yaml.replace(at, yaml.find('\n', at) - at, "encryption: none");
  write_text(site.config_file(), yaml);
  const auto refused = site.run({"pitr", "init"});
  EXPECT_EQ(refused.status.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("--no-encryption"));
  EXPECT_FALSE(std::filesystem::exists(site.repository()));
  EXPECT_EQ(site.run({"pitr", "init", "--no-encryption"}).status.exit_code, 0);
}

TEST(OperatorTest, ABackupWithoutAnAgentBringsItsOwnWal) {
  auto cluster = started_cluster();
  const PitrSite site(cluster);
  ASSERT_EQ(site.run({"pitr", "init"}).status.exit_code, 0);
  const auto backup = site.run({"pitr", "backup", "--label", "by hand"});
  ASSERT_EQ(backup.status.exit_code, 0) << backup.err;
  EXPECT_THAT(backup.err, HasSubstr("No agent answers"));
  const auto list = site.run({"pitr", "list"});
  EXPECT_THAT(list.out, HasSubstr("full/local"));
  EXPECT_THAT(list.out, HasSubstr("by hand"));
  const auto show = site.run({"pitr", "show", "latest", "--json"});
  EXPECT_THAT(show.out, HasSubstr("\"label\": \"by hand\""));
  EXPECT_EQ(site.run({"pitr", "show", "2"}).status.exit_code, 0);
  EXPECT_EQ(site.run({"pitr", "show", "1999"}).status.exit_code, 3);
}

TEST(OperatorTest, WithAnAgentCheckFindsNoProblemAndItEndsOnSigterm) {
  auto cluster = started_cluster({.durable = true});
  const PitrSite site(cluster);
  ASSERT_EQ(site.run({"pitr", "init"}).status.exit_code, 0);
  auto agent = site.start_agent();
  const auto backup = site.run({"pitr", "backup", "--remote"});
  ASSERT_EQ(backup.status.exit_code, 0) << backup.err;
  EXPECT_THAT(backup.err, Not(HasSubstr("No agent answers")));
  EXPECT_THAT(site.run({"pitr", "list"}).out, HasSubstr("full/remote"));

  EXPECT_TRUE(eventually([&] {
    return site.run({"pitr", "status"}).out.find("streaming timeline 1") != std::string::npos;
  }));
  const auto check = site.run({"pitr", "check"});
  EXPECT_EQ(check.status.exit_code, 0) << check.out;
  EXPECT_TRUE(eventually([&] { return site.run({"pitr", "status"}).status.exit_code == 0; }))
      << site.run({"pitr", "status"}).out;

  agent.signal(SIGTERM);
  const auto ended = must(agent.wait(Seconds(10)));
  EXPECT_EQ(ended.exit_code, 0) << agent.err();
  const auto status = site.run({"pitr", "status"});
  EXPECT_THAT(status.out, HasSubstr("agent     DOWN"));
  EXPECT_EQ(status.status.exit_code, 10);
}

// The agent's own check is minutes old.
TEST(OperatorTest, AfterTheFirstBackupStatusDoesNotMissIt) {
  auto cluster = started_cluster();
  const PitrSite site(cluster.conninfo(), cluster.data_directory(),
                      "{backup: never, independent: never, check: {every: 1h}}");
  ASSERT_EQ(site.run({"pitr", "init"}).status.exit_code, 0);
  auto agent = site.start_agent();
  const std::string missing = "there is none, so nothing can be restored";
  ASSERT_TRUE(eventually([&] {
    return site.run({"pitr", "status"}).out.find(missing) != std::string::npos;
  })) << site.run({"pitr", "status"}).out;
  ASSERT_EQ(site.run({"pitr", "backup"}).status.exit_code, 0);
  EXPECT_THAT(site.run({"pitr", "status"}).out, Not(HasSubstr(missing)));
}

TEST(OperatorTest, CheckNamesTheFixOfWhatIsWrong) {
  auto cluster = started_cluster(
      {.settings = {
           {"wal_level", "minimal"}, {"max_wal_senders", "0"}, {"full_page_writes", "off"}}});
  const PitrSite site(cluster);
  const auto check = site.run({"pitr", "check"});
  EXPECT_EQ(check.status.exit_code, 10);
  EXPECT_THAT(check.out, HasSubstr("ALTER SYSTEM SET wal_level = replica"));
  EXPECT_THAT(check.out, HasSubstr("ALTER SYSTEM SET full_page_writes = on"));
  EXPECT_THAT(check.out, HasSubstr("problem  key"));
}

TEST(OperatorTest, TheServersOwnArchiverUsesAgentAndFallback) {
  auto cluster = started_cluster({.settings = {{"archive_mode", "on"}}});
  const PitrSite site(cluster);
  ASSERT_EQ(site.run({"pitr", "init"}).status.exit_code, 0);
  const auto command =
      fmt::format("{} --config {} --socket {} %p", PitrSite::program("pitr-archive").native(),
                  site.config_file().native(), site.socket().native());
  must(cluster.configure({{"archive_command", command}}));
  must(cluster.reload());
  const auto archived = [&](const Path& file) {
    must(cluster.wait_until(fmt::format("SELECT last_archived_wal >= '{}' FROM pg_stat_archiver",
                                        file.filename().native())));
  };
  archived(switch_segment(cluster));  // nobody listens: the full program
  auto agent = site.start_agent();
  archived(switch_segment(cluster));
  EXPECT_EQ(must(cluster.sql_value("SELECT failed_count FROM pg_stat_archiver")), "0");
}

}  // namespace
}  // namespace pitr::test
