// The agent in this process, on a repository in memory, with real servers.
#include "agent/agent.h"

#include "agent/pitr_site.h"
#include "agent/server_identity.h"
#include "storage/memory/memory_storage.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;

class AgentTest : public testing::Test {
 protected:
  void start(const PitrSite& site) {
    if (!repository_) repository_ = must(Repository::init(storage_, std::nullopt));
    agent_ = must(Agent::start(site.config(), *repository_, clock_));
    client_.emplace(site.socket());
  }

  http::Response ask(std::string_view method, const std::string& target) {
    return must(client_->send(must(http::Request::create(method, target))));
  }
  http::Response archive(const Path& file, const std::string& cluster = "-") {
    return ask("POST", fmt::format("/v1/clusters/{}/wal?path={}", cluster,
                                   http::percent_encode(file.native())));
  }
  std::string status() { return ask("GET", "/v1/clusters/-/status").body; }
  bool status_says(const std::string& text) {
    return eventually([&] { return status().find(text) != std::string::npos; });
  }
  bool is_streaming() { return status_says("\"state\":\"streaming\""); }

  SystemClock clock_;
  MemoryStorage storage_{clock_};
  std::unique_ptr<Repository> repository_;
  std::unique_ptr<Agent> agent_;
  std::optional<http::Client> client_;
};

TEST_F(AgentTest, StreamsAndTakesBackups) {
  auto cluster = started_cluster();
  const PitrSite site(cluster);
  start(site);
  ASSERT_TRUE(is_streaming());
  std::string events;
  const auto request = must(http::Request::create("POST", "/v1/clusters/main/backups",
                                                  R"({"label":"first","workers":2})"));
  must(client_->for_each_line(request, [&](std::string_view line) {
    events += std::string(line) + "\n";
    return Result<void>();
  }));
  EXPECT_THAT(events, HasSubstr(R"("event":"phase")"));
  EXPECT_THAT(events, HasSubstr(R"("event":"done")"));
  EXPECT_THAT(status(), HasSubstr(R"("label":"first")"));
  EXPECT_TRUE(status_says(R"("recovery_windows":[{)"));
}

TEST_F(AgentTest, RefusesBackupsThatItDoesNotUnderstand) {
  const PitrSite site("host=/nonexistent");
  start(site);
  const auto request =
      must(http::Request::create("POST", "/v1/clusters/main/backups", R"({"metod":"local"})"));
  const auto response = must(client_->send(request));
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(response.body, HasSubstr("metod"));
}

TEST_F(AgentTest, StartsBeforeTheServerAndStreamsOnceThatIsThere) {
  auto cluster = must(TestCluster::create());
  const PitrSite site(cluster);
  start(site);
  EXPECT_TRUE(status_says("\"trouble\":\""));
  must(cluster.start());
  EXPECT_TRUE(is_streaming());
}

TEST_F(AgentTest, StoresArchivedSegmentsInAnyOrderAndAgain) {
  auto cluster = started_cluster({.wal_segment_size_mb = 1});
  const PitrSite site("host=/nonexistent", cluster.data_directory());  // archiving alone
  start(site);
  std::vector<Path> files;
  for (int i = 0; i < 3; ++i) files.push_back(switch_segment(cluster));
  for (const auto index : {2u, 0u, 1u, 2u}) {
    const auto response = archive(files[index]);
    EXPECT_EQ(response.status, 200) << response.body;
  }
  EXPECT_THAT(archive(files[1]).body, HasSubstr("already there"));
}

TEST_F(AgentTest, RefusesWhatIsNoWalFileOfTheCluster) {
  auto cluster = started_cluster();
  auto other = started_cluster();
  const PitrSite site(cluster);
  start(site);
  ASSERT_TRUE(is_streaming());
  const auto foreign = archive(switch_segment(other));
  EXPECT_EQ(foreign.status, 400);
  EXPECT_THAT(foreign.body, HasSubstr("belongs to another cluster"));
  write_text(other.data_directory() / "pg_wal/00000002.history", "1\t0/2000000\twhy\n");
  EXPECT_EQ(archive(other.data_directory() / "pg_wal/00000002.history").status, 400);

  EXPECT_EQ(archive(cluster.data_directory() / "PG_VERSION").status, 400);
  EXPECT_EQ(archive("/nonexistent/000000010000000000000001").status, 400);
  EXPECT_EQ(archive("pg_wal/000000010000000000000001").status, 400);
  EXPECT_EQ(archive(switch_segment(cluster), "nobody").status, 404);
}

TEST_F(AgentTest, ACloneThatDivergedIsRefusedAndKeptAside) {
  auto cluster = started_cluster();
  auto clone = must(cluster.clone());
  must(clone.start());
  const PitrSite site("host=/nonexistent", cluster.data_directory());
  start(site);
  auto ours = switch_segment(cluster);
  must(clone.sql("CREATE TABLE only_in_the_clone(i int)"));
  auto theirs = switch_segment(clone);
  while (ours.filename() < theirs.filename()) ours = switch_segment(cluster);
  while (theirs.filename() < ours.filename()) theirs = switch_segment(clone);
  ASSERT_EQ(archive(ours).status, 200);
  const auto refused = archive(theirs);
  EXPECT_EQ(refused.status, 409) << refused.body;
  bool is_kept = false;
  const auto objects = must(list_all(storage_, "main/"));
  for (const auto& object : objects)
    is_kept |= object.key.text().find(".conflict-") != std::string::npos;
  EXPECT_TRUE(is_kept);
  EXPECT_EQ(archive(ours).status, 200);
}

TEST_F(AgentTest, AnotherDatabaseUnderTheNameIsNotTakenUpByItself) {
  auto cluster = started_cluster();
  auto other = started_cluster();
  repository_ = must(Repository::init(storage_, std::nullopt));
  const auto identity = must(ask_server_identity(cluster.conninfo()));
  must(open_incarnation(*repository_, "main", identity, TakeUp::kFirst, clock_));
  const PitrSite site(other);
  start(site);
  EXPECT_TRUE(status_says("is another database than the one in the repository"));
  EXPECT_EQ(must(repository_->incarnations("main")).size(), 1u);

  const auto second = must(ask_server_identity(other.conninfo()));
  must(open_incarnation(*repository_, "main", second, TakeUp::kAnother, clock_));
  EXPECT_TRUE(is_streaming());
}

TEST_F(AgentTest, OneClustersTroubleDoesNotStopAnother) {
  auto cluster = started_cluster();
  const PitrSite site(cluster);
  auto yaml = must(read_text_file(site.config_file()));
  write_text(site.config_file(), yaml + "  broken:\n    connection: host=/nonexistent\n");
  start(site);
  EXPECT_TRUE(eventually([&] {
    const auto both = ask("GET", "/v1/status").body;
    return both.find("\"state\":\"streaming\"") != std::string::npos &&
           both.find("/nonexistent") != std::string::npos;
  }));
  const auto ambiguous = archive(switch_segment(cluster));
  EXPECT_EQ(ambiguous.status, 400);
  EXPECT_THAT(ambiguous.body, HasSubstr("several clusters are configured: main, broken"));
  EXPECT_EQ(archive(switch_segment(cluster), "main").status, 200);
}

TEST_F(AgentTest, AServerStopsPromptlyWhileStorageHangs) {
  auto cluster = started_cluster();
  const PitrSite site(cluster);
  start(site);
  ASSERT_TRUE(is_streaming());
  const auto gate = std::make_shared<Gate>();
  storage_.faults().add({.calls = {StorageCall::kAppend, StorageCall::kStartAppend},
                         .times = Fault::kEveryTime,
                         .gate = gate});
  must(cluster.sql("CREATE TABLE t AS SELECT generate_series(1, 1000)"));
  gate->wait_until_reached();
  const auto before = std::chrono::steady_clock::now();
  EXPECT_TRUE(cluster.stop(StopMode::kFast, Seconds(60)));
  // The default stall_timeout is ten seconds.
  EXPECT_LT(std::chrono::steady_clock::now() - before, Seconds(20));
  gate->open();
}

TEST_F(AgentTest, ASynchronousCommitWaitsUntilItsBytesAreDurable) {
  auto cluster = started_cluster({.settings = {{"synchronous_standby_names", "pitr_main"}}});
  const PitrSite site(cluster);
  start(site);
  ASSERT_TRUE(is_streaming());
  must(cluster.sql("CREATE TABLE t(i int)"));
  const auto gate = std::make_shared<Gate>();
  storage_.faults().add({.calls = {StorageCall::kAppend, StorageCall::kStartAppend},
                         .times = Fault::kEveryTime,
                         .gate = gate});
  std::atomic<bool> committed = false;
  std::jthread writer([&] { committed = cluster.sql("INSERT INTO t VALUES (1)").has_value(); });
  gate->wait_until_reached();
  must(
      cluster.wait_until("SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"));
  EXPECT_FALSE(committed);
  gate->open();
  writer.join();
  EXPECT_TRUE(committed);
}

}  // namespace
}  // namespace pitr::test
