// Streams that don't simply go on: a server that was put back in time, WAL that archive_command
// brought ahead of the stream, and WAL that is gone.

#include <fmt/format.h>

#include "support/streamed_repository.h"

namespace pitr::test {
namespace {

void write_rows(TestCluster& cluster, int rows) {
  must(
      cluster.sql(fmt::format("CREATE TABLE IF NOT EXISTS t(i int, filler text);"
                              "INSERT INTO t SELECT i, repeat(md5(i::text), 20) "
                              "FROM generate_series(1, {}) i",
                              rows)));
}

Lsn flushed(TestCluster& cluster) {
  return must(Lsn::parse(must(cluster.sql_value("SELECT pg_current_wal_flush_lsn()"))));
}

// The server's next start is an archive recovery, which ends on a new timeline.
void prepare_recovery(TestCluster& cluster, const std::map<std::string, std::string>& settings) {
  must(cluster.configure(settings));
  must(write_file_durably(cluster.data_directory() / "recovery.signal", {}));
}

void expect_no_hole(StreamedRepository& repository, TimelineId timeline, Lsn from) {
  const auto history = must(stored_history(repository.archive(), timeline));
  const auto begin = repository.archive().segment_size().round_down(from);
  const auto covered = must(wal_coverage(repository.archive(), repository.facts(), history, begin));
  EXPECT_GE(covered.end + 8, repository.status().durable_lsn) << covered.ended_by;
  EXPECT_FALSE(covered.has_gap);
}

// Hands over all complete segments of a timeline, as archive_command does in the end.
void archive_all(StreamedRepository& repository, const TestCluster& cluster, TimelineId timeline,
                 Lsn end) {
  const auto size = repository.archive().segment_size();
  SegmentIngest ingest(repository.archive(), repository.facts());
  int archived = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(cluster.data_directory() / "pg_wal")) {
    const auto segment = parse_segment_file_name(entry.path().filename().native(), size);
    if (!segment || segment->timeline != timeline || segment->number >= size.number_of(end))
      continue;
    const auto stored = ingest.put(*segment, must(read_file(entry.path())));
    EXPECT_TRUE(stored.has_value()) << entry.path() << ": " << stored.error().message();
    ++archived;
  }
  EXPECT_GT(archived, 0) << "timeline " << to_string(timeline);
}

TEST(ServerPitrTest, TheNewTimelineIsFollowedAndNothingAcknowledgedThatWasNotReceived) {
  const ClusterOptions options{.wal_segment_size_mb = 1, .settings = {{"wal_keep_size", "1GB"}}};
  auto cluster = must(TestCluster::create(options));
  must(cluster.start());
  auto restored = must(cluster.clone(options));
  StreamedRepository repository(cluster);
  repository.start_streaming(cluster);
  repository.catch_up(cluster);
  const Lsn from = repository.status().durable_lsn;
  write_rows(cluster, 3000);
  must(cluster.sql("SELECT pg_create_restore_point('before')"));
  write_rows(cluster, 20'000);
  repository.catch_up(cluster);
  const Lsn stored_end = repository.status().durable_lsn;
  repository.stop_streaming();
  must(cluster.stop());

  prepare_recovery(
      restored,
      {{"restore_command", fmt::format("cp {}/pg_wal/%f %p", cluster.data_directory().native())},
       {"recovery_target_name", "before"},
       {"recovery_target_action", "promote"}});
  must(restored.start());
  must(restored.wait_until("SELECT NOT pg_is_in_recovery()"));
  ASSERT_LT(flushed(restored), stored_end - (1 << 20))
      << "the server must be behind the repository";

  repository.start_streaming(restored);
  for (int i = 0; i < 20; ++i) {
    write_rows(restored, 100);
    const Lsn acknowledged = repository.status().acknowledged_lsn;
    EXPECT_LE(acknowledged, flushed(restored));
    EXPECT_EQ(must(restored.sql_value("SELECT count(*) FROM pg_replication_slots "
                                      "WHERE restart_lsn > pg_current_wal_flush_lsn()")),
              "0");
  }
  repository.catch_up(restored);
  EXPECT_EQ(repository.status().timeline, TimelineId(2));
  EXPECT_EQ(repository.status().gaps, 0u);
  expect_no_hole(repository, TimelineId(2), from);

  archive_all(repository, cluster, TimelineId(1), stored_end);
  archive_all(repository, restored, TimelineId(2), flushed(restored));
  // What the server threw away is still there, on its own timeline.
  const auto old = must(wal_coverage(repository.archive(), repository.facts(),
                                     TimelineHistory::without_ancestors(TimelineId(1)),
                                     repository.archive().segment_size().round_down(from)));
  EXPECT_GE(old.end + 8, stored_end) << old.ended_by;
}

TEST(ArchivedAheadTest, WhatArchivingSkippedIsStreamed) {
  auto cluster = must(TestCluster::create({.wal_segment_size_mb = 1}));
  must(cluster.start());
  StreamedRepository repository(cluster);
  repository.start_streaming(cluster);
  repository.catch_up(cluster);
  repository.stop_streaming();
  const Lsn from = repository.status().durable_lsn;
  for (int i = 0; i < 4; ++i) {
    write_rows(cluster, 1000);
    must(cluster.sql("SELECT pg_switch_wal()"));
  }
  const auto size = repository.archive().segment_size();
  const SegmentId ahead{TimelineId(1), size.number_of(flushed(cluster) - 1) - 1};
  ASSERT_GT(ahead.number, size.number_of(from) + 1);
  SegmentIngest ingest(repository.archive(), repository.facts());
  const Path file = cluster.data_directory() / "pg_wal" / segment_file_name(ahead, size);
  ASSERT_EQ(must(ingest.put(ahead, must(read_file(file)))), PutOutcome::kStored);

  repository.start_streaming(cluster);
  write_rows(cluster, 100);
  repository.catch_up(cluster);
  expect_no_hole(repository, TimelineId(1), from);
  EXPECT_EQ(repository.status().gaps, 0u);
}

// P, its standby S, and C behind S: when S is promoted in the middle of a segment, C follows it and
// archives the segment in which it left the old timeline as if that were whole.
TEST(ArchivingStandbyTest, TheSegmentInWhichItLeftATimelineDoesNotStopItsArchiving) {
  const auto archive = must(TemporaryDirectory::create());
  const auto directory = archive.path() / "archived";
  std::filesystem::create_directory(directory);
  auto primary = must(TestCluster::create({.wal_segment_size_mb = 1}));
  must(primary.start());
  auto standby = must(primary.make_standby("s"));
  must(standby.start());
  auto cascaded = must(primary.make_standby("c"));
  must(cascaded.configure({{"primary_conninfo", standby.conninfo()},
                           {"archive_mode", "always"},
                           {"archive_command", "cp %p " + (directory / "%f").native()}}));
  must(cascaded.start());
  StreamedRepository repository(primary);
  repository.start_streaming(primary);
  write_rows(primary, 3000);
  const auto end = flushed(primary);
  const auto has_replayed = [&] {
    const auto at = must(cascaded.sql_value("SELECT pg_last_wal_replay_lsn()"));
    return must(Lsn::parse(at)) >= end;
  };
  repository.wait_for("C", [&](const WalReceiverStatus&) { return has_replayed(); });
  repository.catch_up(primary);
  must(standby.promote());
  write_rows(primary, 1000);  // and on, on the old timeline
  repository.catch_up(primary);
  write_rows(standby, 3000);
  must(standby.sql("SELECT pg_switch_wal()"));
  const auto size = segment_size_of(primary);
  const auto left = segment_file_name({TimelineId(1), size.number_of(end)}, size);
  repository.wait_for("C's archiving", [&](const WalReceiverStatus&) {
    const auto number = size.number_of(end);
    return std::filesystem::exists(directory / left) &&
           std::filesystem::exists(directory / segment_file_name({TimelineId(2), number}, size));
  });

  SegmentIngest ingest(repository.archive(), repository.facts());
  const auto bytes = must(read_file(directory / left));
  const SegmentId segment{TimelineId(1), size.number_of(end)};
  const auto known = must(repository.archive().read_available(segment)).bytes;
  EXPECT_FALSE(ingest.put(segment, bytes).has_value());  // without the history nobody can tell
  const auto history = history_file_name(TimelineId(2));
  must(repository.archive().put_file(history, must(read_file(directory / history))));
  const auto stored = ingest.put(segment, bytes);
  ASSERT_TRUE(stored.has_value()) << stored.error().message();
  // P's own bytes stand.
  EXPECT_TRUE(must(repository.archive().read_available(segment)).bytes == known);
  EXPECT_FALSE(std::ranges::equal(ByteView(bytes).first(known.size()), known));
  // Damage before the switch is damage.
  auto damaged = bytes;
  damaged[5000] ^= 1;
  EXPECT_FALSE(ingest.put(segment, damaged).has_value());
}

TEST(GapTest, StreamingGoesOnBehindAGapThatEndsOnALaterTimeline) {
  auto cluster = must(TestCluster::create(
      {.wal_segment_size_mb = 1,
       .settings = {
           {"max_slot_wal_keep_size", "1MB"}, {"min_wal_size", "2MB"}, {"max_wal_size", "2MB"}}}));
  must(cluster.start());
  StreamedRepository repository(cluster);
  repository.start_streaming(cluster);
  repository.catch_up(cluster);
  repository.stop_streaming();
  for (int i = 0; i < 4; ++i) {
    write_rows(cluster, 3000);
    must(cluster.sql("SELECT pg_switch_wal(); CHECKPOINT"));
  }
  ASSERT_EQ(must(cluster.sql_value("SELECT wal_status FROM pg_replication_slots")), "lost");
  must(cluster.stop());
  prepare_recovery(cluster, {{"restore_command", "false"}});
  must(cluster.start());
  must(cluster.wait_until("SELECT NOT pg_is_in_recovery()"));
  must(cluster.sql("CHECKPOINT; SELECT pg_switch_wal(); CHECKPOINT"));

  repository.start_streaming(cluster);
  repository.wait_for("the gap", [](const WalReceiverStatus& status) { return status.gaps == 1; });
  write_rows(cluster, 1000);
  repository.catch_up(cluster);
  EXPECT_EQ(repository.status().timeline, TimelineId(2));
  EXPECT_EQ(repository.status().gaps, 1u);
}

}  // namespace
}  // namespace pitr::test
