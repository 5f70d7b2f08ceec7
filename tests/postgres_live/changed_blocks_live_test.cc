// Changed blocks against what a server's data files really became: after random work of every kind,
// each block that differs must be in the facts. Between two clean stops, and across crashes. Where
// hint bits aren't logged, what isn't in the facts may differ in hint bits only.
#include <fmt/format.h>

#include <filesystem>
#include <random>

#include "live_test.h"
#include "postgres/control_file.h"
#include "postgres/wal/segment_facts.h"
#include "postgres/wal/xact_scan.h"
#include "relation_snapshot.h"

namespace pitr::test {
namespace {

using wal::ChangedBlocks;
using wal::RelationId;

// Every kind of change, at random; which statements fail doesn't matter.
class Workload {
 public:
  Workload(TestCluster& server, std::uint64_t seed) : server_(server), random_(seed) {}

  void prepare() {
    for (const auto* name : {"ts1", "ts2"}) {
      const auto place = server_.socket_directory() / (std::string("tablespace_") + name);
      std::filesystem::create_directories(place.native());
      must(server_.sql(fmt::format("CREATE TABLESPACE {} LOCATION '{}'", name, place.native())));
    }
    must(server_.sql("CREATE EXTENSION IF NOT EXISTS btree_gist; CREATE SEQUENCE s"));
    for (int table = 0; table < kTables; ++table) {
      must(server_.sql(fmt::format(
          "CREATE TABLE t{0} (i int, v text, p point, a int[]);"
          "INSERT INTO t{0} SELECT g, repeat(md5(g::text), 4), point(g, -g), ARRAY[g % 50, g % 7] "
          "FROM generate_series(1, 6000) g",
          table)));
    }
    must(
        server_.sql("BEGIN; CREATE TABLE left_prepared AS SELECT generate_series(1, 3000) g;"
                    "PREPARE TRANSACTION 'g_rollback'"));
    must(
        server_.sql("CREATE TABLE to_be_dropped AS SELECT generate_series(1, 3000) g;"
                    "BEGIN; DROP TABLE to_be_dropped; PREPARE TRANSACTION 'g_commit'"));
    must(server_.sql(
        "CREATE TABLE shrinking (i int, v text) WITH (autovacuum_enabled = off);"
        "INSERT INTO shrinking SELECT g, md5(g::text) FROM generate_series(1, 9000) g"));
    create_database("db0", "");
  }

  // VACUUM gives the end of the file back, and nothing grows there again.
  void shrink() {
    must(
        server_.sql("DELETE FROM shrinking WHERE i > (SELECT max(i) * 0.8 FROM shrinking);"
                    "VACUUM shrinking"));
  }

  // What was prepared before the first snapshot.
  void end_prepared() {
    must(server_.sql("ROLLBACK PREPARED 'g_rollback'; COMMIT PREPARED 'g_commit'"));
  }

  void run(int actions) {
    for (int i = 0; i < actions; ++i) {
      const auto action = next_action();
      log_ += action + "\n";
      (void)server_.sql(action);
    }
  }

  void create_database(const std::string& name, const std::string& options) {
    (void)server_.sql(fmt::format("CREATE DATABASE {} {}", name, options));
    (void)server_.sql(
        "CREATE TABLE x AS SELECT g, repeat('x', 100) FROM generate_series(1, 2000) g", name);
  }
  const std::string& log() const { return log_; }

 private:
  static constexpr int kTables = 4;
  int pick(int below) { return static_cast<int>(random_() % static_cast<std::uint64_t>(below)); }

  std::string next_action() { return pick(30) < 13 ? change_rows() : change_relations(); }

  std::string change_rows() {
    const auto t = pick(kTables);
    const auto n = pick(8000);
    switch (pick(13)) {
      case 0:
      case 1:
        return fmt::format(
            "INSERT INTO t{} SELECT g, repeat(md5(g::text), 4), point(g, g), "
            "ARRAY[g % 9] FROM generate_series(1, {}) g",
            t, n / 4);
      case 2:
      case 3:
        return fmt::format("UPDATE t{} SET v = v || 'u' WHERE i BETWEEN {} AND {}", t, n, n + 200);
      case 4:
        return fmt::format("UPDATE t{} SET i = i + 1 WHERE i % 97 = {}", t, n % 97);
      case 5:
        return fmt::format("DELETE FROM t{} WHERE i BETWEEN {} AND {}", t, n, n + 500);
      case 6:  // the end goes, VACUUM truncates, new rows come
        return fmt::format(
            "DELETE FROM t{0} WHERE ctid > '({1},0)'; VACUUM t{0};"
            "INSERT INTO t{0} SELECT g, md5(g::text) FROM generate_series(1, {2}) g",
            t, n % 200, n / 2);
      case 7:
        return fmt::format("TRUNCATE t{}", t);
      case 8:  // in the transaction that created it: in place
        return fmt::format(
            "BEGIN; CREATE TABLE n{0} (i int); INSERT INTO n{0} SELECT "
            "generate_series(1, 2000); TRUNCATE n{0}; INSERT INTO n{0} SELECT "
            "generate_series(1, 300); COMMIT",
            n);
      case 9:
        return fmt::format(
            "BEGIN; CREATE TABLE gone (i int); INSERT INTO gone SELECT "
            "generate_series(1, 3000); TRUNCATE t{}; ROLLBACK",
            t);
      case 10:
        return fmt::format(
            "BEGIN; SAVEPOINT a; CREATE TABLE sp{0} AS SELECT generate_series(1, {0}) "
            "g; ROLLBACK TO a; UPDATE t{1} SET v = 'sub' WHERE i < 100; COMMIT",
            n, t);
      case 11:
        return fmt::format("VACUUM FULL t{}", t);
      default:
        return fmt::format("VACUUM (FREEZE) t{}", t);
    }
  }

  std::string change_relations() {
    const auto t = pick(kTables);
    const auto n = pick(8000);
    switch (13 + pick(17)) {
      case 13: {
        static constexpr const char* kKinds[] = {"btree (i)", "hash (i)",     "gist (p)",
                                                 "gin (a)",   "brin (i)",     "spgist (p)",
                                                 "btree (v)", "btree (i, v) "};
        return fmt::format("DROP INDEX IF EXISTS x{0}_{1}; CREATE INDEX x{0}_{1} ON t{0} USING {2}",
                           t, n % 3, kKinds[pick(8)]);
      }
      case 14:
        return fmt::format("DROP INDEX IF EXISTS x{}_{}", t, n % 3);
      case 15:
        return fmt::format("CREATE INDEX IF NOT EXISTS xc{0} ON t{0} (i); CLUSTER t{0} USING xc{0}",
                           t);
      case 16:
        return fmt::format("REINDEX TABLE t{}", t);
      case 17:
        return fmt::format("ALTER TABLE t{} SET {}", t, pick(2) == 0 ? "UNLOGGED" : "LOGGED");
      case 18:
        return fmt::format(
            "ALTER TABLE t{} SET TABLESPACE {}", t,
            std::array{"ts1", "ts2", "pg_default"}[static_cast<std::size_t>(pick(3))]);
      case 19:
        return fmt::format(
            "BEGIN; CREATE TABLE pr{0} AS SELECT generate_series(1, 500) g; UPDATE t{1} "
            "SET v = 'p' WHERE i = {0}; PREPARE TRANSACTION 'g{0}'; {2} PREPARED 'g{0}'",
            n, t, pick(2) == 0 ? "COMMIT" : "ROLLBACK");
      case 20:
        return fmt::format("SELECT nextval('s') FROM generate_series(1, {})", 1 + n % 40);
      case 21: {
        const auto strategy = server_.major() < 15 ? ""
                              : pick(2) == 0       ? "STRATEGY file_copy"
                                                   : "STRATEGY wal_log";
        create_database(fmt::format("db{}", n % 3), fmt::format("TEMPLATE template0 {}", strategy));
        return "SELECT 1";
      }
      case 22:
        return fmt::format("DROP DATABASE IF EXISTS db{}", n % 3);
      case 23:
        return fmt::format(
            "ALTER DATABASE db{} SET TABLESPACE {}", n % 3,
            std::array{"ts1", "ts2", "pg_default"}[static_cast<std::size_t>(pick(3))]);
      case 24:
        return fmt::format("ALTER TABLE t{} ADD COLUMN IF NOT EXISTS r{} float DEFAULT random()", t,
                           n % 5);
      case 25:
        return "CHECKPOINT";
      case 26:
        return fmt::format("VACUUM t{}; SELECT count(*) FROM t{}", t, pick(kTables));
      case 27:
        return fmt::format("SELECT count(*) FROM t{} WHERE i < {} FOR UPDATE", t, n);
      case 28:
        return fmt::format("DROP TABLE IF EXISTS n{}; CREATE TABLE IF NOT EXISTS k{} AS TABLE t{}",
                           n, n % 3, t);
      default:
        return fmt::format("DROP TABLE IF EXISTS k{}; SELECT pg_switch_wal()", n % 3);
    }
  }

  TestCluster& server_;
  std::mt19937_64 random_;
  std::string log_;
};

class ChangedBlocksLiveTest : public ::testing::TestWithParam<Hints> {
 protected:
  static TestCluster start_server() {
    ClusterOptions options;
    options.wal_segment_size_mb = 1;
    options.data_checksums = GetParam() == Hints::kByChecksums;
    options.settings = {{"wal_keep_size", "20GB"},
                        {"max_wal_size", "20GB"},
                        {"checkpoint_timeout", "1d"},
                        {"max_prepared_transactions", "10"},
                        {"autovacuum_naptime", "1s"},
                        {"wal_compression", "on"},
                        {"wal_log_hints", GetParam() == Hints::kBySetting ? "on" : "off"}};
    auto server = must(TestCluster::create(options));
    must(server.start());
    return server;
  }

  static Lsn redo_of(const TestCluster& server) {
    return must(read_control_file(server.data_directory())).redo;
  }

  // The facts of all segments, stored and read again, as a backup gets them.
  static ChangedBlocks changes(const TestCluster& server, Lsn from, Lsn to) {
    const auto control = must(read_control_file(server.data_directory()));
    wal::DecoderOptions options;
    options.segment_size = control.wal_segment_size;
    options.system_identifier = control.system_identifier;
    options.timeline = TimelineId(1);
    ChangedBlocks all;
    std::optional<wal::Carry> carry;
    const auto last = options.segment_size.number_of(to - 1);
    for (auto number = options.segment_size.number_of(from); number <= last; ++number) {
      const SegmentId segment{options.timeline, number};
      const auto bytes = must(read_file(server.data_directory() / "pg_wal" /
                                        segment_file_name(segment, options.segment_size)));
      const Lsn start = options.segment_size.start_of(number);
      wal::FactsCollector collector(segment, options.segment_size);
      auto decoder = must(
          wal::WalDecoder::start(options, start, std::move(carry),
                                 [&](const wal::Record& record) { return collector.add(record); }));
      must(decoder.push(ByteView(bytes).first(std::min<std::uint64_t>(to - start, bytes.size()))));
      if (number < last) carry = must(decoder.carry());
      const auto facts = wal::encode_facts(collector.finish(decoder));
      all.merge(*must(wal::decode_facts(facts)).changes);
    }
    return all;
  }

  static std::string name(const RelationId& id) {
    return fmt::format("{}/{}/{}", id.tablespace, id.database, id.number);
  }

  // Returns how many blocks differed.
  static std::uint64_t expect_told(const Snapshot& before, const Snapshot& after,
                                   const ChangedBlocks& changed) {
    EXPECT_FALSE(changed.distrusted()) << changed.distrusted()->reason;
    std::uint64_t differing = 0;
    for (const auto& [file, blocks] : after) {
      const auto& [id, number] = file;
      const auto old = before.find(file);
      if (old == before.end()) {
        // A relation's later segments appear by growing alone. A crash loses the WAL of a
        // relation whose transaction was rolled back, and leaves its empty file.
        if (number == 0 && !blocks.empty())
          EXPECT_TRUE(changed.wanted(id, 0).whole) << name(id) << " is new";
        continue;
      }
      const auto wanted = changed.wanted(id, number);
      const auto shared = std::min(blocks.size(), old->second.size());
      for (std::size_t block = 0; block < shared; ++block) {
        if (blocks[block] == old->second[block]) continue;
        ++differing;
        EXPECT_TRUE(wanted.whole ||
                    changed.contains(id, static_cast<std::uint32_t>(number * 131072 + block)))
            << name(id) << " block " << block << " of segment " << number;
      }
      if (blocks.size() < old->second.size()) {
        EXPECT_LE(changed.limit_of(id), number * 131072 + blocks.size())
            << name(id) << " is shorter";
      }
    }
    for (const auto& [file, blocks] : before) {
      const auto& [id, number] = file;
      if (after.contains(file) || number > 0) continue;
      EXPECT_TRUE(changed.wanted(id, 0).whole) << name(id) << " is gone";
    }
    return differing;
  }
};

TEST_P(ChangedBlocksLiveTest, EveryBlockThatDiffersIsInTheFacts) {
  const char* given = std::getenv("PITR_SEED");
  const std::uint64_t seed = given ? std::stoull(given) : std::random_device{}();
  const char* more = std::getenv("PITR_ROUNDS");
  const int rounds = more ? std::stoi(more) : 4;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  auto server = start_server();
  Workload workload(server, seed);
  workload.prepare();
  must(server.stop());

  std::vector<std::pair<Lsn, Snapshot>> states;
  states.emplace_back(redo_of(server), snapshot_of(server, GetParam()));
  for (int round = 0; round < rounds; ++round) {
    must(server.start());
    if (round == 0) workload.end_prepared();
    workload.run(40);
    workload.shrink();
    if (round % 2 == 1) {
      server.kill_postmaster();
      must(server.start());
    }
    must(server.stop());
    states.emplace_back(redo_of(server), snapshot_of(server, GetParam()));
    // From the state before, and from the first one.
    for (const std::size_t from : {states.size() - 2, std::size_t{0}}) {
      const auto& [lsn, before] = states[from];
      const auto& [end, after] = states.back();
      const auto changed = changes(server, lsn, end);
      const auto differing = expect_told(before, after, changed);
      EXPECT_GT(differing, 0u);
      if (HasFailure()) FAIL() << workload.log();
    }
  }
}

std::string name_of(const testing::TestParamInfo<Hints>& info) {
  return info.param == Hints::kByChecksums ? "checksums"
         : info.param == Hints::kBySetting ? "wal_log_hints"
                                           : "unlogged_hints";
}

INSTANTIATE_TEST_SUITE_P(Hints, ChangedBlocksLiveTest,
                         testing::Values(Hints::kByChecksums, Hints::kBySetting, Hints::kUnlogged),
                         name_of);

}  // namespace
}  // namespace pitr::test
