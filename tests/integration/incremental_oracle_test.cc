// Incremental backups against an oracle: a random workload of everything that rewrites, drops,
// moves or reuses files runs while backups are taken that read only what the WAL names; then each
// of them, and the first, full one, is restored to the end of the same WAL. All must be the same:
// rows and objects, pg_dumpall, indexes against tables, visibility maps against tables. And an
// independent backup at the end must find no block that changed without WAL, where hint bits are
// logged.
//
// PITR_ORACLE_SEED repeats a run's choices (not its timing; an odd one logs hint bits where there
// are no checksums), PITR_ORACLE_ROUNDS is how many backups are taken after the first one (1 here),
// PITR_ORACLE_STEPS how many statements before each (50).
#include <fmt/format.h>

#include <iostream>
#include <map>
#include <regex>
#include <thread>

#include "support/compare_scans.h"
#include "support/database_state.h"
#include "support/random_statements.h"
#include "support/restored_backup.h"

namespace pitr::test {
namespace {

constexpr int kNewestDumped = 15;

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
                                                   {"lock_timeout", "100ms"},
                                                   {"autovacuum_naptime", "1s"}}}))),
        statements_(seed_, cluster_.major()) {
    std::cout << "PITR_ORACLE_SEED=" << seed_ << std::endl;
    if (cluster_.major() >= 15) must(cluster_.configure({{"allow_in_place_tablespaces", "on"}}));
    must(cluster_.start());
    must(cluster_.sql("CREATE EXTENSION pg_visibility; CREATE EXTENSION amcheck"));
    RandomStatements::make_tables(cluster_);
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
    return must(repository_->take_backup_under_load(request));
  }

  // What diff says, its beginning.
  std::string difference(const std::string& expected, const std::string& found) {
    must(write_file_durably(home_ / "expected", as_bytes(expected)));
    must(write_file_durably(home_ / "found", as_bytes(found)));
    return must(run_command({"diff", "-U1", home_ / "expected", home_ / "found"}))
        .out.substr(0, 4000);
  }
  std::string restore(const BackupManifest& manifest);
  std::string dump(TestCluster& restored) const;
  using Sequences = std::map<std::string, std::int64_t>;
  static Sequences sequences_of(TestCluster& cluster);
  void check_sequences(TestCluster& restored);

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

// Empty where the server is newer than Debian's pg_dumpall, which then refuses it.
std::string IncrementalOracleTest::dump(TestCluster& restored) const {
  if (restored.major() > kNewestDumped) return {};
  const auto dump = must(
      run_successfully({ServerBinaries::client("pg_dumpall"), "-h", restored.socket_directory(),
                        "-p", std::to_string(restored.port()), "-U", "postgres"}));
  // pg_dump's newer releases wrap each dump with a key of its own. Sequences are checked by
  // themselves.
  return std::regex_replace(
      dump, std::regex("\\\\(un)?restrict [^\n]*\n|SELECT pg_catalog.setval[^\n]*\n"), "");
}

std::string IncrementalOracleTest::restore(const BackupManifest& manifest) {
  SCOPED_TRACE(manifest.id.text() + ": " + manifest.reading_reason);
  const auto directory = home_ / manifest.id.text();
  auto restored = start_restored(*repository_, manifest, directory);
  auto found = state_of(restored) + dump(restored);
  check_sequences(restored);
  check_tables_and_indexes(restored);
  must(restored.stop(StopMode::kImmediate));
  must(remove_tree(directory));
  return found;
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
