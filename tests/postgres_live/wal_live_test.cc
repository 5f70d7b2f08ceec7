// The WAL decoder against what a server really wrote, with pg_waldump as the judge.
#include <cstdio>
#include <filesystem>

#include "live_test.h"
#include "postgres/control_file.h"
#include "postgres/wal/segment_facts.h"
#include "postgres/wal/xact_scan.h"
#include "support/pgbench.h"
#include "support/subprocess.h"

namespace pitr::test {
namespace {

using ::testing::HasSubstr;

struct RecordLine {
  std::string rmgr;
  std::uint32_t length = 0;
  std::uint32_t xid = 0;
  Lsn start;
  Lsn previous;
  std::string description;
};

std::vector<RecordLine> waldump(const TestCluster& server, const std::string& first,
                                const std::string& last) {
  SubprocessOptions options;
  options.environment["TZ"] = "UTC";
  const auto output = must(run_command({server.binary_directory() / "pg_waldump", "-p",
                                        server.data_directory() / "pg_wal", first, last},
                                       options));
  std::vector<RecordLine> records;
  std::istringstream lines(output.out);
  for (std::string line; std::getline(lines, line);) {
    char rmgr[32];
    unsigned without_images = 0, length = 0, xid = 0, high = 0, low = 0, prev_high = 0,
             prev_low = 0;
    int description = 0;
    const int fields = std::sscanf(
        line.c_str(), "rmgr: %31s len (rec/tot): %u/ %u, tx: %u, lsn: %X/%X, prev %X/%X, desc: %n",
        rmgr, &without_images, &length, &xid, &high, &low, &prev_high, &prev_low, &description);
    EXPECT_EQ(fields, 8) << line;
    records.push_back({rmgr, length, xid, Lsn((std::uint64_t{high} << 32) + low),
                       Lsn((std::uint64_t{prev_high} << 32) + prev_low),
                       line.substr(static_cast<std::size_t>(description))});
  }
  return records;
}

const char* const kRmgrNames[] = {"XLOG",     "Transaction",   "Storage",   "CLOG",
                                  "Database", "Tablespace",    "MultiXact", "RelMap",
                                  "Standby",  "Heap2",         "Heap",      "Btree",
                                  "Hash",     "Gin",           "Gist",      "Sequence",
                                  "SPGist",   "BRIN",          "CommitTs",  "ReplicationOrigin",
                                  "Generic",  "LogicalMessage"};

// As pg_waldump begins the description of a transaction's end.
std::string description_of(const wal::XactEnd& xact) {
  static constexpr const char* kNames[] = {"COMMIT", "ABORT", "COMMIT_PREPARED", "ABORT_PREPARED"};
  const auto kind = static_cast<std::size_t>(xact.kind);
  const auto time = to_string(xact.time).substr(0, 26);
  if (kind < 2) return std::string(kNames[kind]) + " " + time;
  return std::string(kNames[kind]) + " " + std::to_string(xact.xid) + ": " + time;
}

std::vector<std::string> segments_of(const TestCluster& server, const std::string& timeline) {
  std::vector<std::string> names;
  for (const auto& entry :
       std::filesystem::directory_iterator(server.data_directory() / "pg_wal")) {
    const auto name = entry.path().filename().string();
    if (name.size() == 24 && name.starts_with(timeline)) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

class WalLiveTest : public ::testing::TestWithParam<int> {
 protected:
  static TestCluster start_server(int segment_mb) {
    ClusterOptions options;
    options.wal_segment_size_mb = segment_mb;
    options.settings = {
        {"wal_keep_size", "4GB"}, {"max_wal_size", "4GB"}, {"max_prepared_transactions", "5"}};
    auto server = must(TestCluster::create(options));
    must(server.start());
    return server;
  }

  // Everything at whose records the decoder looks, or which is laid out in an odd way.
  static void write_wal(TestCluster& server) {
    must(PgBench::initialize(server));
    auto load = must(PgBench::start(server, {.duration = Seconds(1)}));
    must(server.sql(
        "SELECT pg_create_restore_point('first point');"
        "SELECT pg_switch_wal();"
        "SELECT pg_logical_emit_message(false, 'x', repeat('abc', 900000));"
        "SELECT pg_logical_emit_message(true, 'x', repeat('abc', 30000));"
        "DROP TABLE IF EXISTS t; CREATE TABLE t (i int, s text);"
        "BEGIN; INSERT INTO t VALUES (1, 'p'); SAVEPOINT a; INSERT INTO t VALUES (2);"
        "CREATE TABLE q (i int); PREPARE TRANSACTION 'g1';"
        "BEGIN; INSERT INTO t VALUES (3); PREPARE TRANSACTION 'g2';"
        "COMMIT PREPARED 'g1'; ROLLBACK PREPARED 'g2';"
        "BEGIN; INSERT INTO t VALUES (4); ROLLBACK;"
        "DROP TABLE q; CHECKPOINT; TRUNCATE t;"
        "INSERT INTO t SELECT g, repeat(md5(g::text), 50) FROM generate_series(1, 5000) g"));
    must(load.finish());
  }

  // Decodes all segments of the timeline, and holds every record against pg_waldump's.
  static void compare_with_waldump(const TestCluster& server, std::uint32_t timeline) {
    const auto names = segments_of(server, to_hex8(TimelineId(timeline)));
    ASSERT_FALSE(names.empty());
    const auto expected = waldump(server, names.front(), names.back());
    ASSERT_GT(expected.size(), 1000u);

    const auto control = must(read_control_file(server.data_directory()));
    wal::DecoderOptions options;
    options.segment_size = control.wal_segment_size;
    options.system_identifier = control.system_identifier;
    options.timeline = TimelineId(timeline);
    std::size_t index = 0;
    std::size_t xacts = 0;
    const auto sink = [&](const wal::Record& record) -> Result<void> {
      if (index >= expected.size()) return Error::internal("more records than pg_waldump found");
      const auto& line = expected[index++];
      EXPECT_EQ(record.start, line.start);
      EXPECT_EQ(record.header.previous, line.previous);
      EXPECT_EQ(record.header.total_length, line.length);
      EXPECT_EQ(record.header.xid, line.xid);
      EXPECT_EQ(kRmgrNames[record.header.rmgr], line.rmgr);
      const auto xact = TRY(wal::parse_xact_end(record));
      const auto point = TRY(wal::parse_restore_point(record));
      TRY(wal::parse_fragments(record));
      if (xact) {
        EXPECT_THAT(line.description, HasSubstr(description_of(*xact)));
        ++xacts;
      }
      if (point) {
        EXPECT_THAT(line.description, HasSubstr(point->name));
      }
      if (::testing::Test::HasFailure()) return Error::internal("see " + to_string(record.start));
      return {};
    };
    const auto first = must(parse_segment_file_name(names.front(), options.segment_size)).number;
    const auto last = must(parse_segment_file_name(names.back(), options.segment_size)).number;
    const auto end = must(wal::scan_segments(
        options, first, last,
        [&](std::uint64_t number) -> Result<Bytes> {
          return read_file(server.data_directory() / "pg_wal" /
                           segment_file_name({options.timeline, number}, options.segment_size));
        },
        {.xact_end = {}, .restore_point = {}, .record = sink}));
    EXPECT_EQ(index, expected.size()) << end.end.stopped_by;
    EXPECT_EQ(end.end.last_record, expected.back().start);
    EXPECT_GT(xacts, 100u);
  }
};
INSTANTIATE_TEST_SUITE_P(SegmentMegabytes, WalLiveTest, ::testing::Values(1, 16));

TEST_P(WalLiveTest, FindsTheRecordsAndCommitTimesThatPgWaldumpFinds) {
  auto server = start_server(GetParam());
  write_wal(server);
  must(server.stop());
  compare_with_waldump(server, 1);
}

TEST_P(WalLiveTest, FollowsAPromotionInsideASegment) {
  auto server = start_server(GetParam());
  auto standby = must(server.make_standby());
  must(standby.start());
  write_wal(server);
  const auto position = must(server.sql_value("SELECT pg_current_wal_lsn()"));
  must(standby.wait_until("SELECT pg_last_wal_replay_lsn() >= '" + position + "'"));
  must(server.stop());
  must(standby.promote());
  write_wal(standby);
  must(standby.stop());
  compare_with_waldump(standby, 2);

  // The pages before the switch point carry timeline 1 in the new timeline's first segment.
  const auto name = segments_of(standby, "00000002").front();
  const auto bytes = must(read_file(standby.data_directory() / "pg_wal" / name));
  EXPECT_EQ(must(wal::parse_page_header(bytes)).timeline, TimelineId(1));
  wal::DecoderOptions options;
  options.segment_size = must(SegmentSize::from_bytes(bytes.size()));
  options.timeline = TimelineId(2);
  const auto history =
      must(read_text_file(standby.data_directory() / "pg_wal" / history_file_name(TimelineId(2))));
  options.history = must(TimelineHistory::parse(TimelineId(2), history));
  const auto segment = must(parse_segment_file_name(name, options.segment_size));
  const auto facts = must(wal::build_segment_facts(segment, options, {}, bytes));
  EXPECT_TRUE(facts.has_end_of_recovery);
}

}  // namespace
}  // namespace pitr::test
