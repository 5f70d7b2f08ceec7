// Incremental backups against an oracle: a random workload of everything that rewrites, drops,
// moves or reuses files runs while backups are taken that read only what the WAL names; then each
// of them, and the first, full one, is restored to the end of the same WAL. All must be the same:
// pg_dumpall, indexes against tables, visibility maps against tables. And an independent backup at
// the end must find no block that changed without WAL, where hint bits are logged.
//
// PITR_ORACLE_SEED repeats a run's choices (not its timing; an odd one logs hint bits where there
// are no checksums), PITR_ORACLE_ROUNDS is how many backups are taken after the first one (1 here),
// PITR_ORACLE_STEPS how many statements before each (50).
#include <fmt/format.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <regex>
#include <thread>

#include "support/amcheck.h"
#include "support/restored_backup.h"

namespace pitr::test {
namespace {

std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

// Statements, most of which work at any time. Those that don't (a table that isn't there) are part
// of the game.
class RandomStatements {
 public:
  RandomStatements(std::uint64_t seed, int major) : random_(seed), major_(major) {}

  struct Statement {
    std::string sql;
    std::string database = "postgres";
  };
  Statement next();

 private:
  int number(int from, int to) { return std::uniform_int_distribution(from, to)(random_); }
  template <typename... Args>
  std::string one_of(Args... texts) {
    const std::vector<std::string> all = {texts...};
    return all[static_cast<std::size_t>(number(0, static_cast<int>(all.size()) - 1))];
  }
  std::string rows();
  std::string rewrite();
  std::string index();
  std::string undone();
  std::string object();
  Statement database();

  std::mt19937_64 random_;
  const int major_;
  int count_ = 0;
};

RandomStatements::Statement RandomStatements::next() {
  ++count_;
  switch (number(0, 9)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return {rows()};
    case 4:
      return {rewrite()};
    case 5:
      return {index()};
    case 6:
      return {undone()};
    case 7:
      return {object()};
    case 8:
      return database();
    default:
      return {one_of("CHECKPOINT", "SELECT pg_switch_wal()", "SELECT sum(hashtext(filler)) FROM t0",
                     "SELECT count(n) FROM t1 WHERE n > 5", "VACUUM", "VACUUM (FREEZE) t0",
                     "ANALYZE", "SELECT nextval('numbers') FROM generate_series(1, 50)")};
  }
}

std::string RandomStatements::rows() {
  const auto t = fmt::format("t{}", number(0, 5));
  const int from = number(1, 9000);
  switch (number(0, 6)) {
    case 0:
      return fmt::format(
          "INSERT INTO {} (id, n, filler, place) SELECT i, i % 100, repeat(md5(i::text), {}), "
          "point(i, -i) FROM generate_series({}, {}) i ON CONFLICT DO NOTHING",
          t, number(1, 8), from, from + number(1, 1500));
    case 1:
      return fmt::format("UPDATE {} SET n = n + 1 WHERE id % {} = {}", t, number(20, 300),
                         number(0, 19));
    case 2:
      return fmt::format("UPDATE {} SET filler = repeat('{}', {}) WHERE id BETWEEN {} AND {}", t,
                         number(0, 9), number(1, 3000), from, from + number(1, 200));
    case 3:
      return fmt::format("DELETE FROM {} WHERE id BETWEEN {} AND {}", t, from,
                         from + number(1, 900));
    case 4:
      return fmt::format("COPY {} (id, n) FROM PROGRAM 'seq -f \"%.0f\t1\" {} {}'", t,
                         100'000 * count_, 100'000 * count_ + number(10, 800));
    case 5:
      return fmt::format("SELECT * FROM {} WHERE id < 100 FOR UPDATE", t);
    default:
      return fmt::format("DELETE FROM {} WHERE id > {}; VACUUM {}", t, from, t);
  }
}

std::string RandomStatements::rewrite() {
  const auto t = fmt::format("t{}", number(0, 5));
  return fmt::format(
      fmt::runtime(one_of("TRUNCATE {0}", "VACUUM FULL {0}", "CLUSTER {0} USING {0}_pkey",
                          "ALTER TABLE {0} SET UNLOGGED", "ALTER TABLE {0} SET LOGGED",
                          "ALTER TABLE {0} SET TABLESPACE space",
                          "ALTER TABLE {0} SET TABLESPACE pg_default",
                          "ALTER TABLE {0} ADD COLUMN c{1} double precision DEFAULT random()",
                          "ALTER TABLE {0} ALTER n TYPE bigint",
                          "ALTER TABLE {0} ALTER n TYPE int USING n::int", "REINDEX TABLE {0}")),
      t, count_);
}

std::string RandomStatements::index() {
  const auto t = fmt::format("t{}", number(0, 5));
  return fmt::format(
      fmt::runtime(one_of("CREATE INDEX {0}_hash ON {0} USING hash (n)",
                          "CREATE INDEX {0}_gin ON {0} USING gin (to_tsvector('simple', filler))",
                          "CREATE INDEX {0}_gist ON {0} USING gist (place)",
                          "CREATE INDEX {0}_spgist ON {0} USING spgist (place)",
                          "CREATE INDEX {0}_brin ON {0} USING brin (id)",
                          "CREATE INDEX {0}_n ON {0} (n) INCLUDE (id)", "DROP INDEX {0}_hash",
                          "DROP INDEX {0}_gin", "DROP INDEX {0}_gist", "DROP INDEX {0}_spgist",
                          "DROP INDEX {0}_brin", "DROP INDEX {0}_n", "REINDEX TABLE {0}")),
      t);
}

std::string RandomStatements::undone() {
  const auto t = fmt::format("t{}", number(0, 5));
  switch (number(0, 4)) {
    case 0:
      return fmt::format(
          "BEGIN; TRUNCATE {0}; INSERT INTO {0} (id) SELECT generate_series(1, 500); ROLLBACK", t);
    case 1:
      return fmt::format(
          "BEGIN; CREATE TABLE undone AS SELECT * FROM {}; CREATE INDEX ON undone (id); ROLLBACK",
          t);
    case 2:
      return fmt::format("BEGIN; UPDATE {} SET n = -1 WHERE id % 30 = 0; ROLLBACK", t);
    case 3:
      return fmt::format(
          "BEGIN; INSERT INTO {0} (id, n) VALUES ({1}, 1); CREATE TABLE p{1}(i int); "
          "PREPARE TRANSACTION 'p{1}'",
          t, 1'000'000 + count_);
    default:
      return one_of(
          "SELECT format('COMMIT PREPARED %L', gid) FROM pg_prepared_xacts LIMIT 1 \\gexec",
          "SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts LIMIT 1 \\gexec");
  }
}

std::string RandomStatements::object() {
  const auto name = fmt::format("o{}", number(0, 4));
  switch (number(0, 4)) {
    case 0:
      return fmt::format(
          "CREATE TABLE {} AS SELECT i, repeat('x', 200) FROM generate_series(1, "
          "{}) i",
          name, number(10, 3000));
    case 1:
      return fmt::format("DROP TABLE {}", name);
    case 2:
      return fmt::format("CREATE SEQUENCE s{0}; SELECT nextval('s{0}')", count_);
    case 3:
      return "SELECT setval('numbers', 1000 + nextval('numbers'))";
    default:
      return fmt::format("CREATE MATERIALIZED VIEW m{} AS SELECT id, n FROM t0", count_);
  }
}

RandomStatements::Statement RandomStatements::database() {
  const auto name = fmt::format("d{}", number(0, 1));
  switch (number(0, 4)) {
    case 0:
      return {fmt::format("CREATE DATABASE {} TEMPLATE template0{}", name,
                          major_ < 15 ? "" : " STRATEGY " + one_of("wal_log", "file_copy"))};
    case 1:
      return {fmt::format("DROP DATABASE {}", name)};
    case 2:
      return {
          fmt::format("ALTER DATABASE {} SET TABLESPACE {}", name, one_of("space", "pg_default"))};
    case 3:
      return {
          "CREATE TABLE IF NOT EXISTS inside(i int PRIMARY KEY); INSERT INTO inside SELECT "
          "generate_series(1, 2000) ON CONFLICT DO NOTHING",
          name};
    default:
      return {"DELETE FROM inside WHERE i % 7 = 0; VACUUM inside", name};
  }
}

enum class Checksums { kOn, kOff };

class IncrementalOracleTest : public testing::TestWithParam<Checksums> {
 protected:
  IncrementalOracleTest()
      : seed_(number_from_environment("PITR_ORACLE_SEED", std::random_device{}())),
        data_checksums_(GetParam() == Checksums::kOn),
        wal_log_hints_(!data_checksums_ && seed_ % 2 == 1),
        cluster_(
            must(TestCluster::create({.data_checksums = data_checksums_,
                                      .settings = {{"wal_log_hints", wal_log_hints_ ? "on" : "off"},
                                                   {"max_prepared_transactions", "20"},
                                                   {"allow_in_place_tablespaces", "on"},
                                                   {"lock_timeout", "100ms"},
                                                   {"autovacuum_naptime", "1s"}}}))),
        statements_(seed_, cluster_.major()) {
    std::cout << "PITR_ORACLE_SEED=" << seed_ << std::endl;
    must(cluster_.start());
    must(
        cluster_.sql("CREATE EXTENSION pg_visibility; CREATE EXTENSION amcheck;"
                     "CREATE SEQUENCE numbers; CREATE TABLESPACE space LOCATION ''"));
    for (int i = 0; i < 6; ++i) {
      must(cluster_.sql(
          fmt::format("CREATE TABLE t{0}(id bigint PRIMARY KEY, n int, filler text, place point);"
                      "INSERT INTO t{0} SELECT i, i % 100, repeat(md5(i::text), 4), point(i, i) "
                      "FROM generate_series(1, 6000) i",
                      i)));
    }
    repository_.emplace(cluster_);
    repository_->start_streaming(cluster_);
  }

  void run_statements(std::uint64_t count, std::stop_token stop = {}) {
    for (std::uint64_t i = 0; i < count && !stop.stop_requested(); ++i) {
      const auto statement = statements_.next();
      (cluster_.sql(statement.sql, statement.database).has_value() ? done_ : failed_) += 1;
    }
  }
  // With statements running all the while.
  BackupManifest back_up(ReadRequest read) {
    std::jthread load([&](std::stop_token stop) { run_statements(~0ull, stop); });
    auto request = repository_->backup_request(cluster_);
    request.read = read;
    return must(repository_->take_backup(request));
  }

  // What diff says, its beginning.
  std::string difference(const std::string& expected, const std::string& found) {
    must(write_file_durably(home_ / "expected", as_bytes(expected)));
    must(write_file_durably(home_ / "found", as_bytes(found)));
    return must(run_command({"diff", "-U1", home_ / "expected", home_ / "found"}))
        .out.substr(0, 4000);
  }
  std::string restore(const BackupManifest& manifest);
  using Sequences = std::map<std::string, std::int64_t>;
  static Sequences sequences_of(TestCluster& cluster);
  void check_sequences(TestCluster& restored);
  void compare_scans(TestCluster& restored, const std::string& table);

  const std::uint64_t seed_;
  const bool data_checksums_;
  const bool wal_log_hints_;
  TestCluster cluster_;
  RandomStatements statements_;
  std::optional<StreamedRepository> repository_;
  TemporaryDirectory home_ = must(TemporaryDirectory::create());
  Sequences sequences_;  // in the end
  std::uint64_t done_ = 0, failed_ = 0;
};

// By index, and by heap; and what the visibility map says, against what is visible.
void IncrementalOracleTest::compare_scans(TestCluster& restored, const std::string& table) {
  const auto ask = [&](const std::string& on, const std::string& what) {
    std::string sql = "SET max_parallel_workers_per_gather = 0;";
    for (const auto* scan : {"seqscan", "indexscan", "indexonlyscan", "bitmapscan"}) {
      sql += fmt::format("SET enable_{} = {};", scan, on == scan ? "on" : "off");
    }
    return must(restored.sql_value(sql + fmt::format("SELECT {} FROM {}", what, table)));
  };
  const auto* ids = "count(id) || ' ' || coalesce(sum(id), 0)";
  EXPECT_EQ(ask("indexonlyscan", ids), ask("seqscan", ids)) << table;
  const auto* all = "count(*) || ' ' || coalesce(sum(hashtext(filler)), 0)";
  EXPECT_EQ(ask("indexscan", std::string(all) + " || ' ' || coalesce(max(id), 0)"),
            ask("seqscan", std::string(all) + " || ' ' || coalesce(max(id), 0)"))
      << table;
  EXPECT_EQ(
      must(restored.sql_value(fmt::format("SELECT (SELECT count(*) FROM pg_check_visible('{0}')) + "
                                          "(SELECT count(*) FROM pg_check_frozen('{0}'))",
                                          table))),
      "0")
      << table;
}

IncrementalOracleTest::Sequences IncrementalOracleTest::sequences_of(TestCluster& cluster) {
  Sequences sequences;
  for (const auto& row : must(cluster.sql("SELECT sequencename, coalesce(last_value, 0) "
                                          "FROM pg_sequences"))) {
    sequences[row[0]] = std::stoll(row[1]);
  }
  return sequences;
}

// A sequence's WAL is up to 32 values ahead of it: replay may give any of them, but none twice.
void IncrementalOracleTest::check_sequences(TestCluster& restored) {
  const auto found = sequences_of(restored);
  EXPECT_EQ(found.size(), sequences_.size());
  for (const auto& [name, value] : sequences_) {
    const auto other = found.find(name);
    ASSERT_NE(other, found.end()) << name;
    EXPECT_GE(other->second, value) << name;
    EXPECT_LE(other->second, value + 33) << name;
  }
}

std::string IncrementalOracleTest::restore(const BackupManifest& manifest) {
  SCOPED_TRACE(manifest.id.text() + ": " + manifest.reading_reason);
  const auto directory = home_ / manifest.id.text();
  auto restored = start_restored(*repository_, manifest, directory);
  auto dump = must(run_successfully({cluster_.binary_directory() / "pg_dumpall", "-h",
                                     restored.socket_directory(), "-p",
                                     std::to_string(restored.port()), "-U", "postgres"}));
  // pg_dump's newer releases wrap each dump with a key of its own. Sequences see below.
  dump = std::regex_replace(
      dump, std::regex("\\\\(un)?restrict [^\n]*\n|SELECT pg_catalog.setval[^\n]*\n"), "");
  check_sequences(restored);
  for (const auto& row : must(restored.sql(
           "SELECT relname FROM pg_class WHERE relname ~ '^t[0-9]$' AND relpersistence = 'p'"))) {
    compare_scans(restored, row[0]);
  }
  for (const auto& row : must(restored.sql(
           "SELECT datname FROM pg_database WHERE datallowconn AND datname !~ 'template'"))) {
    check_with_amcheck(restored, row[0]);
  }
  must(restored.stop(StopMode::kImmediate));
  std::filesystem::remove_all(directory);
  return dump;
}

TEST_P(IncrementalOracleTest, IncrementalsRestoreToWhatTheFullOneRestoresTo) {
  const auto rounds = number_from_environment("PITR_ORACLE_ROUNDS", 1);
  const auto steps = number_from_environment("PITR_ORACLE_STEPS", 50);
  run_statements(20);
  std::vector<BackupManifest> backups = {back_up(ReadRequest::kAuto)};
  for (std::uint64_t round = 0; round < rounds; ++round) {
    run_statements(steps);
    if (round % 2 == 0) must(cluster_.restart(StopMode::kImmediate));
    run_statements(5);
    backups.push_back(back_up(ReadRequest::kAuto));
    EXPECT_EQ(backups.back().reading, BackupReading::kChangedBlocks)
        << backups.back().reading_reason;
  }
  run_statements(10);
  const auto independent = back_up(ReadRequest::kIndependent);
  if (data_checksums_ || wal_log_hints_) {
    EXPECT_GT(independent.promise.checked_blocks, 100u);
  }
  for (const auto& block : independent.promise.blocks) {
    ADD_FAILURE() << block.path << " block " << block.block << " changed without WAL";
  }
  run_statements(5);
  sequences_ = sequences_of(cluster_);
  repository_->catch_up(cluster_);
  repository_->stop_streaming();
  std::cout << fmt::format("{} statements done, {} refused", done_, failed_) << std::endl;

  const auto expected = restore(backups.front());
  for (std::size_t i = 1; i < backups.size(); ++i) {
    const auto& backup = backups[i];
    std::cout << fmt::format("backup {}: {} of {} bytes read, {} stored", i, backup.read_bytes,
                             backup.total_bytes, backup.stored_bytes)
              << std::endl;
    EXPECT_EQ(difference(expected, restore(backup)), "") << "backup " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Checksums, IncrementalOracleTest,
                         testing::Values(Checksums::kOn, Checksums::kOff),
                         [](const auto& checksums) {
                           return checksums.param == Checksums::kOn ? "on" : "off";
                         });

}  // namespace
}  // namespace pitr::test
