// Keys rotated beside a running agent: what was sealed before and after can be restored with the
// new key alone.
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "agent/pitr_site.h"
#include "codec/keyring.h"
#include "postgres/connection.h"
#include "postgres/server_control.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;

class KeysTest : public testing::Test {
 protected:
  std::string run(std::vector<std::string> arguments) {
    const auto output = site_.run(arguments);
    if (!output.status.success()) throw std::runtime_error(output.out + output.err);
    return output.out;
  }
  // Ids of the keys in the keyring, one for each epoch that they open.
  std::multiset<std::string> key_ids() {
    const auto json = nlohmann::json::parse(run({"pitr", "keys", "list", "--json"}));
    std::multiset<std::string> ids;
    for (const auto& entry : json.at("keyring")) ids.insert(entry.at("key_id"));
    return ids;
  }
  std::string configured_key() {
    return nlohmann::json::parse(run({"pitr", "keys", "list", "--json"})).at("configured_key");
  }
  void add_rows_and_back_up(const std::string& label) {
    must(cluster_.sql("INSERT INTO t SELECT generate_series(1, 1000)"));
    run({"pitr", "backup", "--label", label, "--independent"});
  }
  std::string newest_backup() {
    const auto json = nlohmann::json::parse(run({"pitr", "show", "latest", "--json"}));
    return json.at("id");
  }
  std::string restored_rows(const std::string& backup) {
    const Path target = site_.home() / ("restored-" + backup);
    const PortLease port = must(PortLease::take());
    run({"pitr-restore", "--backup", backup, "--immediate", "--target-dir", target.native(),
         "--start", "--port", std::to_string(port.port()), "--bin-dir",
         cluster_.binary_directory().native(), "--set",
         "unix_socket_directories=" + site_.home().native(), "--set", "fsync=off"});
    std::string rows;
    {
      auto connection = must(Connection::open(fmt::format(
          "host={} port={} user=postgres dbname=postgres", site_.home().native(), port.port())));
      const auto result = must(connection.query("SELECT count(*)::text AS rows FROM t"));
      rows = must(must(result.only_row()).text("rows"));
    }
    must(must(ServerControl::open(target, cluster_.binary_directory())).stop(StopMode::kImmediate));
    return rows;
  }

  TestCluster cluster_ = started_cluster({.wal_segment_size_mb = 1});
  PitrSite site_{cluster_};
};

TEST_F(KeysTest, BackupsOfAllEpochsAreRestoredWithTheNewKeyAlone) {
  run({"pitr", "init"});
  auto agent = site_.start_agent();
  const auto agent_says = [&](const std::string& text) {
    return eventually([&] { return agent.err().find(text) != std::string::npos; });
  };
  ASSERT_TRUE(agent_says("streaming timeline"));
  must(cluster_.sql("CREATE TABLE t(n int)"));
  add_rows_and_back_up("first");
  const auto first = newest_backup();
  const auto old_id = configured_key();
  const auto old_key = must(read_text_file(site_.key_file()));

  const auto told = run({"pitr", "keys", "rotate", "--reason", "yearly"});
  EXPECT_THAT(told, HasSubstr("pitr keys retire " + old_id));
  const auto new_id = configured_key();
  EXPECT_NE(new_id, old_id);
  EXPECT_EQ(key_ids(), (std::multiset<std::string>{old_id, new_id}));
  struct stat status{};
  ASSERT_EQ(::stat(site_.key_file().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  EXPECT_EQ(must(read_text_file(Path(site_.key_file().native() + "." + old_id))), old_key);
  // While another key opens the repository, a new epoch would be closed to it.
  EXPECT_EQ(site_.run({"pitr", "keys", "rotate-data"}).status.exit_code, 2);
  EXPECT_EQ(site_.run({"pitr", "keys", "retire", old_id}).status.exit_code, 2) << "without --yes";
  run({"pitr", "keys", "retire", old_id, "--yes"});
  EXPECT_EQ(key_ids(), (std::multiset<std::string>{new_id}));

  run({"pitr", "keys", "rotate-data"});
  EXPECT_EQ(key_ids(), (std::multiset<std::string>{new_id, new_id}));
  agent.signal(SIGHUP);
  ASSERT_TRUE(agent_says("epoch 2")) << agent.err();
  add_rows_and_back_up("second");
  const auto second = newest_backup();
  ASSERT_NE(second, first);
  EXPECT_EQ(restored_rows(first), "1000");
  EXPECT_EQ(restored_rows(second), "2000");
  run({"pitr", "verify"});
  EXPECT_THAT(run({"pitr", "audit", "--operation", "keys"}), HasSubstr("\"yearly\""));

  agent.signal(SIGTERM);
  EXPECT_TRUE(must(agent.wait()).success()) << agent.err();
  const Path new_file = site_.key_file().native() + ".away";
  std::filesystem::rename(site_.key_file(), new_file);
  std::filesystem::rename(site_.key_file().native() + "." + old_id, site_.key_file());
  const auto refused = site_.run({"pitr", "list"});
  EXPECT_EQ(refused.status.exit_code, 6);
  EXPECT_THAT(refused.err, HasSubstr(new_id));
}

// Until the new key opens everything, the file holds the old one.
TEST_F(KeysTest, ARotationThatFailsLeavesTheKeyFile) {
  run({"pitr", "init"});
  const auto old_id = configured_key();
  const auto keyring = site_.repository() / "keyring";
  std::filesystem::permissions(keyring, std::filesystem::perms(0500));
  const auto failed = site_.run({"pitr", "keys", "rotate"});
  std::filesystem::permissions(keyring, std::filesystem::perms(0700));
  EXPECT_EQ(failed.status.exit_code, 6) << failed.err;
  EXPECT_EQ(configured_key(), old_id);
  EXPECT_EQ(key_ids(), (std::multiset<std::string>{old_id}));
  const Path pending = site_.key_file().native() + ".new";
  const auto made = must(read_key_file(pending)).id();
  run({"pitr", "keys", "rotate"});
  EXPECT_EQ(configured_key(), made);
  EXPECT_FALSE(std::filesystem::exists(pending));
}

TEST_F(KeysTest, AKeyFromElsewhereIsAddedAndTheConfigurationIsTheOperators) {
  run({"pitr", "init"});
  const auto old_id = configured_key();
  const Path file = site_.home() / "next.key";
  const auto told = run({"pitr", "keys", "rotate", "--new-key-file", file.native()});
  EXPECT_THAT(told, HasSubstr(file.native()));
  EXPECT_EQ(configured_key(), old_id);
  auto yaml = must(read_text_file(site_.config_file()));
  const auto at = yaml.find(site_.key_file().native());
  yaml.replace(at, site_.key_file().native().size(), file.native());
  write_text(site_.config_file(), yaml);
  EXPECT_NE(configured_key(), old_id);
  run({"pitr", "keys", "retire", old_id, "--yes"});
  EXPECT_EQ(key_ids(), (std::multiset<std::string>{configured_key()}));
  // The key that is used is never retired.
  const auto refused = site_.run({"pitr", "keys", "retire", configured_key(), "--yes"});
  EXPECT_NE(refused.status.exit_code, 0);
}

}  // namespace
}  // namespace pitr::test
