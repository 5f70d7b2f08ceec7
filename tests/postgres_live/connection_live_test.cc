#include <thread>

#include "live_test.h"
#include "postgres/connection.h"

namespace pitr::test {
namespace {

using ::testing::HasSubstr;

class ConnectionLiveTest : public LiveTest {};

TEST_F(ConnectionLiveTest, RowsAndParametersArriveAsSent) {
  auto connection = connect();
  EXPECT_EQ(connection.server_major(), cluster().major());
  const auto rows = must(connection.query(
      "SELECT n, NULLIF(n, 2) AS maybe, $1::text AS text FROM generate_series(1, 3) n", {"it's"}));
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(must(rows[2].u64("n")), 3u);
  EXPECT_FALSE(must(rows[1].value("maybe")).has_value());
  EXPECT_EQ(must(rows[0].text("text")), "it's");
  EXPECT_EQ(must(must(connection.query("SELECT 1 AS a; SELECT 2 AS a")).only_row()->u64("a")), 2u);
  const auto hostile = "a'b\"c\\d";
  const auto quoted = must(connection.quote_literal(hostile));
  EXPECT_EQ(must(must(connection.query("SELECT " + quoted + " AS a")).only_row()->text("a")),
            hostile);
  const auto name = must(connection.quote_identifier(hostile));
  EXPECT_TRUE(must(connection.query("SELECT 1 AS " + name)).has_column(hostile));
}

TEST_F(ConnectionLiveTest, AFailedStatementTellsItsStateAndTheConnectionLivesOn) {
  auto connection = connect();
  const auto failed = connection.query("SELECT * FROM nowhere");
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(connection.last_sqlstate(), "42P01");
  EXPECT_THAT(failed.error().message(), HasSubstr("SQLSTATE 42P01"));
  EXPECT_TRUE(connection.command("SELECT 1").has_value());
}

TEST_F(ConnectionLiveTest, RefusedConnectionsTellWhy) {
  const auto stranger = Connection::open(cluster().conninfo("postgres", "stranger"));
  ASSERT_FALSE(stranger.has_value());
  EXPECT_EQ(stranger.error().kind(), ErrorKind::kDenied);
  EXPECT_THAT(stranger.error().message(), HasSubstr("SQLSTATE 28000"));
  const auto lost = Connection::open(cluster().conninfo("no_such_database"));
  EXPECT_EQ(lost.error().kind(), ErrorKind::kInvalid);
}

TEST_F(ConnectionLiveTest, AStopEndsAWaitingStatementAtOnce) {
  auto connection = connect();
  std::stop_source stop;
  std::jthread stopper([&] {
    // The statement is under way when another session sees it.
    (void)cluster().wait_until(
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    stop.request_stop();
  });
  const auto slept = connection.query("SELECT pg_sleep(600)", {}, stop.get_token());
  ASSERT_FALSE(slept.has_value());
  EXPECT_EQ(slept.error().kind(), ErrorKind::kCancelled);
}

TEST_F(ConnectionLiveTest, ALostConnectionIsTransient) {
  auto connection = connect();
  must(cluster().sql("SELECT pg_terminate_backend(" + std::to_string(connection.backend_pid()) +
                     ")"));
  const auto after = connection.query("SELECT 1");
  ASSERT_FALSE(after.has_value());
  EXPECT_EQ(after.error().kind(), ErrorKind::kTransient);
}

TEST_F(ConnectionLiveTest, AWalsenderWithADatabaseTakesSqlToo) {
  auto connection =
      must(Connection::open(cluster().conninfo(), {.replication = ReplicationMode::kDatabase}));
  EXPECT_EQ(must(must(connection.query("SELECT 7 AS a")).only_row()->u64("a")), 7u);
  EXPECT_TRUE(must(connection.query("IDENTIFY_SYSTEM")).has_column("systemid"));
}

}  // namespace
}  // namespace pitr::test
