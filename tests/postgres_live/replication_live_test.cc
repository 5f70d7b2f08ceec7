#include <thread>

#include "live_test.h"
#include "postgres/control_file.h"
#include "postgres/replication.h"
#include "postgres/timeline_history.h"

namespace pitr::test {
namespace {

using ::testing::HasSubstr;

const TimelineId k1(1);
const TimelineId k2(2);

class ReplicationLiveTest : public LiveTest {
 protected:
  static void write_wal(TestCluster& server, int kilobytes) {
    must(
        server.sql("CREATE TABLE IF NOT EXISTS filler (bytes text);"
                   "ALTER TABLE filler ALTER bytes SET STORAGE EXTERNAL;"
                   "INSERT INTO filler SELECT repeat(md5(n::text), 32) FROM generate_series(1, " +
                   std::to_string(kilobytes) + ") n"));
  }
};

// Everything that a stream brings up to an LSN, or up to another end than data.
struct Received {
  Lsn start;
  Bytes bytes;
  std::optional<StreamMessage> end;
  Lsn next() const { return start + bytes.size(); }
};

Received receive_until(ReplicationConnection& connection, Lsn start, Lsn end) {
  Received received{.start = start, .bytes = {}, .end = {}};
  while (received.next() < end) {
    auto message = must(connection.receive(Seconds(30)));
    if (const auto* data = std::get_if<WalData>(&message)) {
      EXPECT_EQ(data->start, received.next());
      received.bytes.insert(received.bytes.end(), data->bytes.begin(), data->bytes.end());
    } else if (!std::holds_alternative<Keepalive>(message)) {
      received.end = message;
      break;
    }
  }
  return received;
}

TEST_F(ReplicationLiveTest, TheSystemIsTheOneOfItsControlFile) {
  auto connection = replicate();
  const auto identity = must(connection.identify_system());
  const auto control = must(read_control_file(cluster().data_directory()));
  EXPECT_EQ(identity.system_identifier, control.system_identifier);
  EXPECT_EQ(identity.timeline, control.timeline);
  EXPECT_GE(identity.position, control.checkpoint);
  EXPECT_EQ(control.state, ClusterState::kInProduction);
  EXPECT_EQ(must(connection.wal_segment_size()), control.wal_segment_size);
}

TEST_F(ReplicationLiveTest, ASlotLivesFromCreationToDrop) {
  auto connection = replicate();
  auto sql = connect();
  must(connection.create_physical_slot("life", true, false));
  auto slot = must(read_slot(sql, "life"));
  EXPECT_TRUE(slot.physical);
  EXPECT_FALSE(slot.active || slot.temporary || slot.invalidation_reason);
  EXPECT_EQ(slot.wal_status, SlotWalStatus::kReserved);
  ASSERT_TRUE(slot.restart_lsn);
  if (connection.server_major() >= 15) {
    const auto position = must(connection.read_slot_position("life"));
    EXPECT_EQ(position.restart_lsn, slot.restart_lsn);
    EXPECT_EQ(position.restart_timeline, k1);
    EXPECT_EQ(connection.read_slot_position("absent").error().kind(), ErrorKind::kNotFound);
  } else {
    EXPECT_EQ(connection.read_slot_position("life").error().kind(), ErrorKind::kInvalid);
  }
  EXPECT_EQ(connection.create_physical_slot("life", true, false).error().kind(),
            ErrorKind::kConflict);
  EXPECT_EQ(connection.create_physical_slot("No Slot", true, false).error().kind(),
            ErrorKind::kInvalid);

  auto user = replicate();
  must(user.start_replication("life", *slot.restart_lsn, k1));
  must(user.receive(Seconds(30)));
  slot = must(read_slot(sql, "life"));
  EXPECT_TRUE(slot.active && slot.active_pid);
  EXPECT_EQ(connection.drop_slot("life").error().kind(), ErrorKind::kConflict);
  auto rival = replicate();
  EXPECT_EQ(rival.start_replication("life", *slot.restart_lsn, k1).error().kind(),
            ErrorKind::kConflict);
  must(user.stop_replication());

  must(connection.drop_slot("life"));
  EXPECT_EQ(connection.drop_slot("life").error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(read_slot(sql, "life").error().kind(), ErrorKind::kNotFound);
}

TEST_F(ReplicationLiveTest, ASlotWithoutReservationHoldsNothing) {
  auto connection = replicate();
  must(connection.create_physical_slot("loose", false, true));
  auto sql = connect();
  const auto slot = must(read_slot(sql, "loose"));
  EXPECT_TRUE(slot.temporary);
  EXPECT_FALSE(slot.restart_lsn);
  EXPECT_EQ(slot.wal_status, SlotWalStatus::kNothingReserved);
}

TEST_F(ReplicationLiveTest, FeedbackMovesTheSlot) {
  auto connection = replicate();
  must(connection.create_physical_slot("moving", true, true));
  const auto target = flushed(cluster());
  must(connection.start_replication("moving", target, k1));
  must(connection.send_feedback({.written = target, .flushed = target, .applied = {}},
                                SystemClock().now()));
  must(cluster().wait_until("SELECT restart_lsn = '" + to_string(target) +
                            "' FROM pg_replication_slots WHERE slot_name = 'moving'"));
  must(connection.send_feedback(
      {.written = target, .flushed = target, .applied = {}, .reply_requested = true},
      SystemClock().now()));
  bool answered = false;
  while (!answered) {
    const auto message = must(connection.receive(Seconds(30)));
    ASSERT_FALSE(std::holds_alternative<ReceiveTimeout>(message));
    answered = std::holds_alternative<Keepalive>(message);
  }
}

TEST_F(ReplicationLiveTest, StreamedBytesAreThoseOfTheSegmentFiles) {
  auto connection = replicate();
  const auto size = must(connection.wal_segment_size());
  const auto start = size.round_down(flushed(cluster()));
  must(connection.start_replication({}, start, k1));
  write_wal(cluster(), 2048);
  const auto end = flushed(cluster());
  ASSERT_GT(end - start, 2u << 20);
  const auto received = receive_until(connection, start, end);
  ASSERT_FALSE(received.end);
  for (std::uint64_t at = 0; at < received.bytes.size(); at += size.bytes()) {
    const auto name = segment_file_name({k1, size.number_of(start + at)}, size);
    const auto file = must(read_file(cluster().data_directory() / "pg_wal" / name));
    const auto streamed = ByteView(received.bytes).subspan(at);
    const auto length = std::min<std::uint64_t>(streamed.size(), size.bytes());
    EXPECT_TRUE(std::equal(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(length),
                           streamed.begin()))
        << name;
  }
  must(connection.stop_replication());
  EXPECT_TRUE(connection.identify_system().has_value());
}

TEST_F(ReplicationLiveTest, NothingNewIsATimeoutAndAStopEndsTheWait) {
  auto connection = replicate();
  must(connection.start_replication({}, flushed(cluster()), k1));
  while (!std::holds_alternative<ReceiveTimeout>(must(connection.receive(Milliseconds(0))))) {
  }
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  Result<StreamMessage> message = ReceiveTimeout{};
  while (message) message = connection.receive(Seconds(600), stop.get_token());
  EXPECT_EQ(message.error().kind(), ErrorKind::kCancelled);
}

TEST_F(ReplicationLiveTest, StartsThatTheServerCannotServeAreToldApart) {
  const auto position = flushed(cluster());
  const auto failure = [&](Lsn start, TimelineId timeline) {
    auto connection = replicate();
    const auto started = connection.start_replication({}, start, timeline);
    if (!started) return started.error();
    Result<StreamMessage> message = ReceiveTimeout{};
    while (message) message = connection.receive(Seconds(30));
    return message.error();
  };
  EXPECT_EQ(failure(position + (1 << 30), k1).kind(), ErrorKind::kConflict);
  EXPECT_EQ(failure(position, TimelineId(7)).kind(), ErrorKind::kConflict);
  auto connection = replicate();
  EXPECT_EQ(connection.start_replication("absent", position, k1).error().kind(),
            ErrorKind::kNotFound);
  EXPECT_EQ(connection.timeline_history(TimelineId(9)).error().kind(), ErrorKind::kNotFound);
  EXPECT_TRUE(connection.identify_system().has_value());
}

TEST_F(ReplicationLiveTest, RemovedWalIsNotFound) {
  const auto size = must(replicate().wal_segment_size());
  const auto start = size.round_down(flushed(cluster()));
  for (int i = 0; i < 4; ++i) must(cluster().sql("SELECT pg_switch_wal(); CHECKPOINT"));
  const auto name = segment_file_name({k1, size.number_of(start)}, size);
  ASSERT_FALSE(std::filesystem::exists(cluster().data_directory() / "pg_wal" / name));
  auto connection = replicate();
  auto started = connection.start_replication({}, start, k1);
  Result<StreamMessage> message = ReceiveTimeout{};
  while (started && message) message = connection.receive(Seconds(30));
  const auto error = started ? message.error() : started.error();
  EXPECT_EQ(error.kind(), ErrorKind::kNotFound) << error.message();
  EXPECT_THAT(error.message(), HasSubstr(name));
}

TEST_F(ReplicationLiveTest, ATerminatedWalsenderIsTransient) {
  auto connection = replicate();
  must(connection.create_physical_slot("doomed", true, true));
  must(connection.start_replication("doomed", flushed(cluster()), k1));
  must(
      cluster().sql("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
                    "WHERE slot_name = 'doomed'"));
  Result<StreamMessage> message = ReceiveTimeout{};
  while (message) message = connection.receive(Seconds(30));
  EXPECT_EQ(message.error().kind(), ErrorKind::kTransient) << message.error().message();
}

TEST_F(ReplicationLiveTest, ACleanShutdownEndsTheStreamAfterItsLastByte) {
  auto server = must(TestCluster::create());
  must(server.start());
  auto connection = replicate(server);
  auto next = flushed(server);
  must(connection.start_replication({}, next, k1));
  std::jthread stopper([&] { (void)server.stop(); });
  while (true) {
    const auto message = must(connection.receive(Seconds(30)));
    if (std::holds_alternative<EndOfStream>(message)) break;
    ASSERT_FALSE(std::holds_alternative<ReceiveTimeout>(message));
    if (const auto* data = std::get_if<WalData>(&message)) next = data->start + data->bytes.size();
    must(connection.send_feedback({.written = next, .flushed = next, .applied = {}},
                                  SystemClock().now()));
  }
  stopper.join();
  const auto control = must(read_control_file(server.data_directory()));
  EXPECT_EQ(control.state, ClusterState::kShutDown);
  EXPECT_GT(next, control.checkpoint);
}

TEST_F(ReplicationLiveTest, AFinishedTimelineLeadsToTheNext) {
  auto standby = must(cluster().make_standby());
  must(standby.start());
  write_wal(cluster(), 64);
  const auto before = flushed(cluster());
  must(standby.wait_until("SELECT pg_last_wal_replay_lsn() >= '" + to_string(before) + "'"));
  must(standby.promote());
  auto connection = replicate(standby);
  const auto identity = must(connection.identify_system());
  EXPECT_EQ(identity.timeline, k2);
  const auto content = must(connection.timeline_history(k2));
  const auto history = must(TimelineHistory::parse(k2, as_text(content)));
  const auto switch_point = history.switch_point(k1).value();

  const auto size = must(connection.wal_segment_size());
  const auto start = size.round_down(switch_point);
  must(connection.start_replication({}, start, k1));
  const auto old = receive_until(connection, start, Lsn(UINT64_MAX));
  ASSERT_TRUE(old.end && std::holds_alternative<EndOfTimeline>(*old.end));
  const auto end = std::get<EndOfTimeline>(*old.end);
  EXPECT_EQ(end.next_timeline, k2);
  EXPECT_EQ(end.next_start, switch_point);
  EXPECT_GE(old.next(), switch_point);

  // At the switch point itself there is nothing to stream.
  must(connection.start_replication({}, switch_point, k1));
  EXPECT_TRUE(connection
                  .send_feedback({.written = switch_point, .flushed = switch_point, .applied = {}},
                                 SystemClock().now())
                  .has_value());
  const auto at_once = must(connection.receive(Milliseconds(0)));
  ASSERT_TRUE(std::holds_alternative<EndOfTimeline>(at_once));
  EXPECT_EQ(std::get<EndOfTimeline>(at_once).next_start, switch_point);

  must(connection.start_replication({}, start, k2));
  const auto next = receive_until(connection, start, identity.position);
  ASSERT_FALSE(next.end);
  const auto shared = static_cast<std::ptrdiff_t>(switch_point - start);
  EXPECT_TRUE(std::equal(next.bytes.begin(), next.bytes.begin() + shared, old.bytes.begin()));
}

}  // namespace
}  // namespace pitr::test
