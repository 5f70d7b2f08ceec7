#include "live_test.h"
#include "postgres/control_file.h"
#include "postgres/data_directory.h"
#include "postgres/server_control.h"
#include "support/port_lease.h"

namespace pitr::test {
namespace {

using ::testing::HasSubstr;

class ServerControlLiveTest : public ::testing::Test {
 protected:
  void SetUp() override {
    cluster_.emplace(must(TestCluster::create()));
    control_.emplace(
        must(ServerControl::open(cluster_->data_directory(), cluster_->binary_directory())));
  }
  void TearDown() override {
    if (must(control_->is_running())) must(control_->stop(StopMode::kImmediate));
  }
  StartOptions start_options() {
    return {.log_file = cluster_->data_directory().parent_path() / "control.log",
            .settings = {"port=" + std::to_string(cluster_->port()),
                         "unix_socket_directories=" + cluster_->socket_directory().native(),
                         "cluster_name=it's $HOME \"quoted\""}};
  }
  std::optional<TestCluster> cluster_;
  std::optional<ServerControl> control_;
};

TEST_F(ServerControlLiveTest, AServerIsStartedSeenAndStopped) {
  EXPECT_EQ(control_->server_major(), cluster_->major());
  EXPECT_FALSE(must(control_->is_running()));
  must(control_->start(start_options()));
  EXPECT_TRUE(must(control_->is_running()));
  const auto pid = must(read_postmaster_pid(cluster_->data_directory()));
  EXPECT_EQ(pid.port, cluster_->port());
  EXPECT_EQ(pid.status, "ready");
  EXPECT_EQ(pid.data_directory, cluster_->data_directory().native());
  {
    auto connection = must(Connection::open(cluster_->conninfo()));
    const auto name = must(connection.query("SHOW cluster_name"));
    EXPECT_EQ(must(name[0].text("cluster_name")), "it's $HOME \"quoted\"");
  }
  must(control_->reload());
  must(control_->stop());
  EXPECT_FALSE(must(control_->is_running()));
  EXPECT_EQ(must(read_control_file(cluster_->data_directory())).state, ClusterState::kShutDown);
}

TEST_F(ServerControlLiveTest, AStandbyIsPromoted) {
  must(write_file_durably(cluster_->data_directory() / "standby.signal", {}));
  must(control_->start(start_options()));
  auto connection = must(Connection::open(cluster_->conninfo()));
  const auto in_recovery = [&] {
    return must(must(connection.query("SELECT pg_is_in_recovery() AS r"))[0].boolean("r"));
  };
  EXPECT_TRUE(in_recovery());
  must(control_->promote());
  EXPECT_FALSE(in_recovery());
}

TEST_F(ServerControlLiveTest, AFailedStartCarriesTheServersLog) {
  auto options = start_options();
  options.settings.emplace_back("no_such_setting=1");
  const auto started = control_->start(options);
  ASSERT_FALSE(started.has_value());
  EXPECT_THAT(started.error().message(), HasSubstr("no_such_setting"));
}

TEST(ServerBinariesTest, MissingVersionsNameThePlacesTried) {
  const auto found = find_server_binaries(99, std::nullopt);
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().kind(), ErrorKind::kNotFound);
  EXPECT_THAT(found.error().message(), HasSubstr("/usr/lib/postgresql/99/bin"));
  EXPECT_FALSE(find_server_binaries(15, Path("/nonexistent")).has_value());
}

}  // namespace
}  // namespace pitr::test
