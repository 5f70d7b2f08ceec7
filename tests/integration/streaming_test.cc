// The WAL receiver against real servers: what is stored is what the server wrote.

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <csignal>

#include "support/pgbench.h"
#include "support/streamed_repository.h"
#include "support/subprocess.h"

namespace pitr::test {
namespace {

TestCluster start_cluster(const ClusterOptions& options = {}) {
  auto cluster = must(TestCluster::create(options));
  must(cluster.start());
  return cluster;
}

void write_rows(TestCluster& cluster, int rows) {
  must(
      cluster.sql(fmt::format("CREATE TABLE IF NOT EXISTS t(i int, filler text);"
                              "INSERT INTO t SELECT i, repeat(md5(i::text), 20) "
                              "FROM generate_series(1, {}) i",
                              rows)));
}

std::uint64_t current_segment(TestCluster& cluster, SegmentSize size) {
  return size.number_of(must(Lsn::parse(must(cluster.sql_value("SELECT pg_current_wal_lsn()")))));
}

class SegmentSizeTest : public testing::TestWithParam<int> {};

TEST_P(SegmentSizeTest, SegmentsEqualThoseOfPgReceivewal) {
  auto cluster = start_cluster({.wal_segment_size_mb = GetParam()});
  StreamedRepository repository(cluster);
  repository.start_streaming(cluster);
  repository.wait_for("streaming", [](const WalReceiverStatus& status) {
    return status.state == WalReceiverState::kStreaming;
  });
  const auto directory = must(TemporaryDirectory::create());
  auto peer = must(Subprocess::start({cluster.binary_directory() / "pg_receivewal", "-D",
                                      directory.path(), "-d", cluster.conninfo(), "--no-loop"}));
  const auto size = segment_size_of(cluster);
  const auto first = current_segment(cluster, size) + 1;
  for (int i = 0; i < 3; ++i) {
    must(cluster.sql("SELECT pg_switch_wal()"));
    write_rows(cluster, 2000);
  }
  // One record of several pages, and with small segments of more than one segment.
  must(cluster.sql("SELECT pg_logical_emit_message(true, 'pitr', repeat('x', 3000000))"));
  must(cluster.sql("SELECT pg_switch_wal()"));
  repository.catch_up(cluster);
  const auto last = current_segment(cluster, size) - 1;

  ASSERT_GE(last, first + 2);
  for (auto number = first; number <= last; ++number) {
    const SegmentId segment{TimelineId(1), number};
    repository.wait_for("the segment to be sealed", [&](const WalReceiverStatus&) {
      return must(repository.archive().has_segment(segment));
    });
    const Path theirs = directory.path() / segment_file_name(segment, size);
    repository.wait_for("pg_receivewal",
                        [&](const WalReceiverStatus&) { return std::filesystem::exists(theirs); });
    EXPECT_TRUE(must(repository.archive().read_segment(segment)) == must(read_file(theirs)))
        << segment_file_name(segment, size);
  }
}

INSTANTIATE_TEST_SUITE_P(Megabytes, SegmentSizeTest, testing::Values(1, 16, 64));

TEST(StreamingTest, ASynchronousCommitReturnsOnlyWithItsBytesInTheRepository) {
  auto cluster = start_cluster({.settings = {{"synchronous_standby_names", "pitr_main"}}});
  StreamedRepository repository(cluster);
  repository.start_streaming(cluster);
  repository.wait_for("streaming", [](const WalReceiverStatus& status) {
    return status.state == WalReceiverState::kStreaming;
  });
  must(cluster.sql("CREATE TABLE t(i int)"));
  for (int i = 0; i < 50; ++i) {
    const auto inserted = must(cluster.sql_value(
        fmt::format("INSERT INTO t VALUES ({}); SELECT pg_current_wal_insert_lsn()", i)));
    const Lsn committed = must(Lsn::parse(inserted));
    const auto size = repository.archive().segment_size();
    const SegmentId segment{TimelineId(1), size.number_of(committed - 1)};
    const auto stored = must(repository.archive().read_available(segment));
    ASSERT_GE(size.start_of(segment.number) + stored.bytes.size(), committed);
  }
}

TEST(StreamingTest, ARestartedReceiverGoesOnWithoutAHole) {
  auto cluster = start_cluster({.wal_segment_size_mb = 1});
  StreamedRepository repository(cluster);
  repository.start_streaming(cluster);
  repository.catch_up(cluster);
  const auto from = repository.status().durable_lsn;
  for (int i = 0; i < 5; ++i) {
    write_rows(cluster, 3000);
    repository.stop_streaming();
    write_rows(cluster, 3000);
    repository.start_streaming(cluster);
    repository.catch_up(cluster);
  }
  EXPECT_EQ(repository.status().gaps, 0u);
  repository.stop_streaming();
  const auto begin = repository.archive().segment_size().round_down(from);
  const auto covered = must(wal_coverage(repository.archive(), repository.facts(),
                                         TimelineHistory::without_ancestors(TimelineId(1)), begin));
  EXPECT_GE(covered.end + 8, repository.status().durable_lsn) << covered.ended_by;
  EXPECT_FALSE(covered.has_gap);
}

// As after every restart of the agent beside an idle server that archives with a timeout.
TEST(StreamingTest, AStoredSegmentThatTheServerRemovedIsNoErrorAndNoGap) {
  auto cluster = start_cluster({.wal_segment_size_mb = 1});
  StreamedRepository repository(cluster);
  repository.start_streaming(cluster);
  write_rows(cluster, 3000);
  must(cluster.sql("SELECT pg_switch_wal()"));
  repository.catch_up(cluster);
  const auto newest = must(repository.archive().newest_segment(TimelineId(1))).value();
  const auto name = segment_file_name(newest, segment_size_of(cluster));
  repository.stop_streaming();
  must(cluster.restart());  // its shutdown's checkpoint is in the next segment
  must(cluster.sql("CHECKPOINT"));
  ASSERT_FALSE(std::filesystem::exists(cluster.data_directory() / "pg_wal" / name));

  testing::internal::CaptureStderr();
  repository.start_streaming(cluster);
  write_rows(cluster, 10);
  repository.catch_up(cluster);
  const auto said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, testing::HasSubstr("no longer has segment " + name + ", which is stored"));
  EXPECT_THAT(said, testing::Not(testing::HasSubstr("error")));
  EXPECT_EQ(repository.status().gaps, 0u);
}

TEST(StreamingTest, ASwitchToANewTimelineIsFollowedInTheMiddleOfAStream) {
  auto primary = start_cluster();
  auto standby = must(primary.make_standby());
  must(standby.start());
  StreamedRepository repository(standby);
  repository.start_streaming(standby);
  write_rows(primary, 5000);
  must(primary.stop());
  must(standby.promote());
  write_rows(standby, 5000);
  repository.catch_up(standby);
  EXPECT_EQ(repository.status().timeline, TimelineId(2));
  const auto history = must(stored_history(repository.archive(), TimelineId(2)));
  const auto switch_point = history.switch_point(TimelineId(1)).value();
  const auto begin = repository.archive().segment_size().round_down(switch_point);
  const auto covered = must(wal_coverage(repository.archive(), repository.facts(), history, begin));
  EXPECT_GE(covered.end + 8, repository.status().durable_lsn) << covered.ended_by;
}

TEST(StreamingTest, ADivergedCloneIsRefusedAndNothingIsAcknowledgedToIt) {
  auto cluster = start_cluster();
  auto clone = must(cluster.clone());
  StreamedRepository repository(cluster);
  repository.start_streaming(cluster);
  write_rows(cluster, 1000);
  repository.catch_up(cluster);
  repository.stop_streaming();
  const auto stored = repository.status().durable_lsn;

  must(clone.start());
  must(clone.sql("CREATE TABLE other(i int); INSERT INTO other SELECT generate_series(1, 50000)"));
  ASSERT_GT(must(Lsn::parse(must(clone.sql_value("SELECT pg_current_wal_flush_lsn()")))), stored);
  repository.start_streaming(clone);
  repository.wait_for("the refusal", [](const WalReceiverStatus& status) {
    return status.last_error_kind == ErrorKind::kConflict;
  });
  EXPECT_TRUE(repository.status().acknowledged_lsn.is_none());
}

TEST(StreamingTest, AServerThatLostWalIsAnAlarmNotAWait) {
  auto cluster = start_cluster();
  auto older = must(cluster.clone());
  StreamedRepository repository(cluster);
  repository.start_streaming(cluster);
  write_rows(cluster, 5000);
  repository.catch_up(cluster);
  repository.stop_streaming();

  must(older.start());
  repository.start_streaming(older);
  repository.wait_for("the alarm", [](const WalReceiverStatus& status) {
    return status.last_error_kind == ErrorKind::kConflict;
  });
  EXPECT_TRUE(repository.status().acknowledged_lsn.is_none());
}

TEST(StreamingTest, ALostSlotIsReplacedAndTheGapReported) {
  auto cluster = start_cluster(
      {.wal_segment_size_mb = 1,
       .settings = {
           {"max_slot_wal_keep_size", "1MB"}, {"min_wal_size", "2MB"}, {"max_wal_size", "2MB"}}});
  StreamedRepository repository(cluster);
  repository.start_streaming(cluster);
  repository.catch_up(cluster);
  repository.stop_streaming();
  for (int i = 0; i < 4; ++i) {
    write_rows(cluster, 3000);
    must(cluster.sql("SELECT pg_switch_wal(); CHECKPOINT"));
  }
  ASSERT_EQ(must(cluster.sql_value("SELECT wal_status FROM pg_replication_slots")), "lost");
  repository.start_streaming(cluster);
  repository.wait_for("the gap", [](const WalReceiverStatus& status) { return status.gaps == 1; });
  write_rows(cluster, 1000);
  repository.catch_up(cluster);
  EXPECT_NE(must(cluster.sql_value("SELECT wal_status FROM pg_replication_slots")), "lost");
}

TEST(StreamingTest, WhatIsWrongWithAnotherBranchKeepsNoServerWaiting) {
  auto cluster = start_cluster();
  StreamedRepository repository(cluster);
  const auto rotten = repository.store().names().segment({TimelineId(7), 1});
  must(repository.storage().put(rotten, as_bytes("not a segment")));
  repository.start_streaming(cluster);
  write_rows(cluster, 10);
  repository.catch_up(cluster);
}

TEST(StreamingTest, AnotherClusterIsRefused) {
  auto cluster = start_cluster();
  auto other = start_cluster();
  StreamedRepository repository(cluster);
  repository.start_streaming(other);
  repository.wait_for("the refusal", [](const WalReceiverStatus& status) {
    return status.last_error_kind == ErrorKind::kInvalid;
  });
}

TEST(StreamingTest, AnIdleServerMovesTheWatermark) {
  auto cluster = start_cluster();
  StreamedRepository repository(cluster);
  repository.start_streaming(cluster);
  repository.wait_for("a watermark",
                      [](const WalReceiverStatus& status) { return status.watermark.has_value(); });
  const auto first = repository.status().watermark->time;
  repository.wait_for("a later watermark", [&](const WalReceiverStatus& status) {
    return status.watermark->time > first;
  });
  const auto stored = must(repository.facts().watermark(TimelineId(1)));
  EXPECT_GT(stored->time, first);
}

Timestamp server_time(TestCluster& cluster) {
  const auto text =
      must(cluster.sql_value("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"));
  return Timestamp::from_unix_us(std::stoll(text));
}

// A keepalive in the middle of it carries what was sent so far, and the time of now.
TEST(StreamingTest, WhileItCatchesUpTheWatermarkPromisesNothing) {
  auto cluster = start_cluster();
  StreamedRepository repository(cluster);
  repository.start_streaming(cluster);
  repository.catch_up(cluster);
  repository.stop_streaming();
  must(
      cluster.sql("SELECT pg_logical_emit_message(true, 'pitr', repeat('x', 1000000)) "
                  "FROM generate_series(1, 300)"));
  const auto end = must(Lsn::parse(must(cluster.sql_value("SELECT pg_current_wal_flush_lsn()"))));
  const auto time = server_time(cluster);
  repository.start_streaming(cluster);
  int looks_behind = 0;
  repository.wait_for("the end", [&](const WalReceiverStatus& status) {
    if (status.state == WalReceiverState::kStreaming && status.durable_lsn < end) ++looks_behind;
    const bool promises = status.watermark && status.watermark->time > time;
    if (promises) EXPECT_GE(status.watermark->lsn, end);
    return promises && status.watermark->lsn >= end;
  });
  EXPECT_GT(looks_behind, 0);
}

// It knows of its primary what it has replayed, and no more as time goes by.
TEST(StreamingTest, AStandbysWatermarkIsThatOfItsLastTransaction) {
  auto primary = start_cluster();
  auto standby = must(primary.make_standby());
  must(standby.start());
  StreamedRepository repository(standby);
  repository.start_streaming(standby);
  const auto before = server_time(primary);
  write_rows(primary, 10);
  const auto after = server_time(primary);
  repository.wait_for("the commit", [&](const WalReceiverStatus& status) {
    return status.watermark && status.watermark->time > before - Seconds(1);
  });
  std::this_thread::sleep_for(Milliseconds(2500));
  const auto watermark = must(repository.facts().watermark(TimelineId(1)));
  EXPECT_LT(watermark->time, after - Milliseconds(900));
}

TEST(StreamingTest, AServerThatFallsSilentIsLeftAndFoundAgain) {
  auto cluster = start_cluster();
  StreamedRepository repository(cluster);
  WalReceiverOptions options;
  options.conninfo = cluster.conninfo();
  options.slot_name = "pitr_main";
  options.watermark_interval = Milliseconds(200);
  options.silence_timeout = Seconds(2);
  options.longest_reconnect_delay = Milliseconds(500);
  repository.start_streaming(options);
  repository.catch_up(cluster);
  const auto sender =
      std::stoi(must(cluster.sql_value("SELECT pid FROM pg_stat_replication LIMIT 1")));
  ASSERT_EQ(::kill(sender, SIGSTOP), 0);
  repository.wait_for("the silence to be noticed", [](const WalReceiverStatus& status) {
    return status.last_error.find("the server has said nothing for") != std::string::npos;
  });
  ASSERT_EQ(::kill(sender, SIGCONT), 0);
  write_rows(cluster, 10);
  repository.catch_up(cluster);
}

}  // namespace
}  // namespace pitr::test
