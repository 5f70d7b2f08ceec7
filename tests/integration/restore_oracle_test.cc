// Restores against an oracle: concurrent writers note what each transaction changed, pg_waldump
// says in which order transactions ended and when, and every restored server must have exactly the
// rows that the definition of its target gives: for a time, the prefix of WAL before the first
// commit or abort that is later.
//
// PITR_ORACLE_RESTORES: how many random restores besides the fixed ones (0 here). PITR_ORACLE_SEED
// repeats a run's choices.

#include <fmt/format.h>

#include <cstdlib>
#include <future>
#include <iostream>

#include "restore/plan/plan.h"
#include "support/concurrent_writers.h"
#include "support/restore_program.h"
#include "support/stepped_clock.h"
#include "support/wal_model.h"

namespace pitr::test {
namespace {

std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

// A target as pitr-restore and as the planner take it, and how much of the model it keeps.
struct AskedTarget {
  std::vector<std::string> arguments;
  RestoreTarget target;
  std::function<std::size_t(const WalModel&, const BackupManifest&)> kept;
  std::string text() const {
    std::string joined;
    for (const auto& argument : arguments) joined += (joined.empty() ? "" : " ") + argument;
    return joined;
  }
};

AskedTarget at_time(Timestamp time, bool inclusive) {
  AskedTarget asked{{"--timestamp", to_string(time)}, TargetTime{time, inclusive}, {}};
  if (!inclusive) asked.arguments.emplace_back("--exclusive");
  asked.kept = [=](const WalModel& model, const BackupManifest& backup) {
    return model.kept_by_time(time, inclusive, backup.stop_lsn);
  };
  return asked;
}

AskedTarget at_lsn(Lsn lsn, bool inclusive) {
  AskedTarget asked{{"--lsn", to_string(lsn)}, TargetLsn{lsn, inclusive}, {}};
  if (!inclusive) asked.arguments.emplace_back("--exclusive");
  asked.kept = [=](const WalModel& model, const BackupManifest&) {
    return model.kept_by_lsn(lsn, inclusive);
  };
  return asked;
}

AskedTarget at_xid(std::uint32_t xid, bool inclusive) {
  AskedTarget asked{{"--xid", std::to_string(xid)}, TargetXid{xid, inclusive}, {}};
  if (!inclusive) asked.arguments.emplace_back("--exclusive");
  asked.kept = [=](const WalModel& model, const BackupManifest&) {
    return model.kept_by_xid(xid, inclusive);
  };
  return asked;
}

AskedTarget at_name(const std::string& name) {
  return {{"--name", name}, TargetName{name}, [=](const WalModel& model, const BackupManifest&) {
            return model.kept_by_name(name);
          }};
}

AskedTarget at_latest() {
  return {{"--latest"}, TargetLatest(), [](const WalModel& model, const BackupManifest&) {
            return model.records().size();
          }};
}

AskedTarget at_immediate() {
  return {
      {"--immediate"}, TargetImmediate(), [](const WalModel& model, const BackupManifest& backup) {
        return model.kept_before(backup.stop_lsn);
      }};
}

// Writers under a stepping clock, with a local backup and a remote one in their midst.
class RestoreOracleTest : public testing::Test {
 protected:
  RestoreOracleTest()
      : seed_(number_from_environment("PITR_ORACLE_SEED", std::random_device{}())),
        random_(seed_),
        clock_(PITR_STEPPED_CLOCK),
        cluster_(must(TestCluster::create({.wal_segment_size_mb = 1,
                                           .settings = {{"max_prepared_transactions", "64"},
                                                        {"track_commit_timestamp", "on"},
                                                        {"wal_keep_size", "4GB"}}}))),
        repository_(cluster_) {
    std::cout << "PITR_ORACLE_SEED=" << seed_ << std::endl;
    must(cluster_.start());
    clock_.release();
    register_cluster(repository_);
    must(cluster_.sql("CREATE TABLE rows(id bigint PRIMARY KEY, filler text)"));
    const Lsn begin = must(Lsn::parse(must(cluster_.sql_value("SELECT pg_current_wal_lsn()"))));
    repository_.start_streaming(cluster_);
    write_and_back_up();
    repository_.catch_up(cluster_);
    repository_.stop_streaming();
    model_ = WalModel::read(cluster_, TimelineId(1), begin);
    program_.emplace(repository_.directory() / "repository", repository_.key());
  }

  void write_and_back_up() {
    ConcurrentWriters writers(cluster_, 4, seed_);
    writers.run_for(150);
    local_ = must(repository_.take_backup(repository_.backup_request(cluster_)));
    writers.run_for(100);
    for (const int step_ms : {-400, 150, -150, 0}) {
      clock_.set(Milliseconds(step_ms));
      writers.run_for(60);
    }
    auto request = repository_.backup_request(cluster_);
    request.data_directory.reset();
    remote_ = must(repository_.take_backup(request));
    writers.run_for(60);
    for (const int step_ms : {200, -300, 0}) {
      clock_.set(Milliseconds(step_ms));
      writers.run_for(60);
    }
    writers.stop();
    changes_ = writers.changes();
    // No target is the last record: what a plan keeps too much of is seen behind every target.
    must(cluster_.sql("SELECT pg_logical_emit_message(false, 'oracle', 'the last record')"));
  }

  const BackupManifest& backup_of(const std::string& id) const {
    return id == remote_->id.text() ? *remote_ : *local_;
  }

  // Times at which the first backup can be restored and some stored commit is later.
  std::pair<Timestamp, Timestamp> times() const {
    Timestamp first = local_->stop_time;
    Timestamp last;
    for (const auto& record : model_.records()) {
      if (!record.ends_xact()) continue;
      if (record.start < local_->stop_lsn) first = std::max(first, record.time);
      last = std::max(last, record.time);
    }
    return {first, last - Microseconds(1)};
  }
  // Ends of transactions behind the first backup's stop, in the order of WAL.
  std::vector<ModelRecord> ends() const {
    std::vector<ModelRecord> ended;
    for (const auto& record : model_.records()) {
      if (record.ends_xact() && record.start >= local_->stop_lsn) ended.push_back(record);
    }
    return ended;
  }
  std::vector<std::string> points() const {
    std::vector<std::string> names;
    for (const auto& record : model_.records()) {
      if (record.kind == ModelRecord::Kind::kRestorePoint && record.start >= local_->stop_lsn) {
        names.push_back(record.name);
      }
    }
    return names;
  }
  template <typename T>
  const T& one_of(const std::vector<T>& all) {
    return all.at(std::uniform_int_distribution<std::size_t>(0, all.size() - 1)(random_));
  }
  bool coin() { return std::uniform_int_distribution<int>(0, 1)(random_) == 1; }

  // Exactly a commit's time, or a microsecond beside it, or anything.
  AskedTarget random_time() {
    const auto [first, last] = times();
    const int beside = std::uniform_int_distribution<int>(-2, 2)(random_);
    auto time = one_of(ends()).time + Microseconds(beside);
    if (beside == 2) {
      time = Timestamp::from_unix_us(
          std::uniform_int_distribution<std::int64_t>(first.unix_us(), last.unix_us())(random_));
    }
    return at_time(std::clamp(time, first + Microseconds(1), last), coin());
  }
  AskedTarget random_lsn() {
    const auto last = model_.records().back().start.value() - 1;
    return at_lsn(
        Lsn(std::uniform_int_distribution<std::uint64_t>(local_->stop_lsn.value(), last)(random_)),
        true);
  }
  AskedTarget random_record() {
    const auto& records = model_.records();
    const auto from = model_.kept_before(local_->stop_lsn) + 1;
    const auto index =
        std::uniform_int_distribution<std::size_t>(from, records.size() - 2)(random_);
    return at_lsn(records[index].start, coin());
  }
  AskedTarget random_xid() {
    auto all = ends();
    all.erase(all.begin());  // excluding the first one could end before the backup's stop
    return at_xid(one_of(all).xid, coin());
  }
  AskedTarget random_target() {
    switch (std::uniform_int_distribution<int>(0, 5)(random_)) {
      case 0:
        return random_lsn();
      case 1:
        return random_record();
      case 2:
        return random_xid();
      case 3:
        return at_name(one_of(points()));
      default:
        return random_time();
    }
  }

  void check_plan(const AskedTarget& asked);
  void check_restore(const AskedTarget& asked);
  void check_prepared(RestoredServer& server, std::size_t kept);

  const std::uint64_t seed_;
  std::mt19937_64 random_;
  SteppedClock clock_;
  TestCluster cluster_;
  StreamedRepository repository_;
  std::optional<BackupManifest> local_, remote_;
  ChangesByXid changes_;
  WalModel model_;
  std::optional<RestoreProgram> program_;
  std::set<int> timelines_;
};

void RestoreOracleTest::check_plan(const AskedTarget& asked) {
  SCOPED_TRACE(asked.text());
  PlanSources sources{repository_.archive(), repository_.facts(), {*local_, *remote_}};
  const auto plan = make_plan(sources, {asked.target, std::nullopt, std::nullopt});
  ASSERT_TRUE(plan.has_value()) << plan.error().message();
  const auto expected = asked.kept(model_, plan->backup);
  const auto planned = model_.kept_by_lsn(plan->target_lsn, plan->inclusive);
  ASSERT_EQ(model_.committed(planned), model_.committed(expected))
      << "backup up to " << to_string(plan->backup.stop_lsn) << ", planned "
      << to_string(plan->target_lsn) << (plan->inclusive ? " inclusive" : " exclusive");
  if (std::holds_alternative<TargetLatest>(asked.target)) return;
  EXPECT_EQ(planned, expected);
  EXPECT_LT(planned, model_.records().size());
  EXPECT_EQ(plan->end >= plan->backup.stop_lsn, true);
}

void RestoreOracleTest::check_restore(const AskedTarget& asked) {
  SCOPED_TRACE(asked.text());
  RestoredServer server(cluster_);
  const auto& output = server.restore(*program_, asked.arguments);
  ASSERT_EQ(output.status.exit_code, 0) << server.story();
  const auto outcome = server.outcome();
  const auto& backup = backup_of(outcome["plan"]["backup"]["id"]);
  const auto kept = asked.kept(model_, backup);
  EXPECT_TRUE(outcome["server"]["reached"].get<bool>());
  EXPECT_TRUE(timelines_.insert(outcome["new_timeline"].get<int>()).second)
      << "the timeline was taken already";

  std::set<std::int64_t> rows;
  for (const auto& id : server.column("SELECT id FROM rows")) rows.insert(std::stoll(id));
  EXPECT_EQ(rows, rows_after(changes_, model_.committed(kept))) << server.story();
  check_prepared(server, kept);
  server.check_with_amcheck();
}

// They are still prepared, and can be committed.
void RestoreOracleTest::check_prepared(RestoredServer& server, std::size_t kept) {
  std::set<std::uint32_t> prepared;
  for (const auto& xid : server.column("SELECT transaction FROM pg_prepared_xacts")) {
    prepared.insert(static_cast<std::uint32_t>(std::stoul(xid)));
  }
  EXPECT_EQ(prepared, model_.prepared(kept));
  for (const auto& gid : server.column("SELECT gid FROM pg_prepared_xacts")) {
    server.command(fmt::format("COMMIT PREPARED '{}'", gid));
  }
  auto all = model_.committed(kept);
  all.insert(all.end(), prepared.begin(), prepared.end());
  EXPECT_EQ(server.ask("SELECT count(*) FROM rows"),
            std::to_string(rows_after(changes_, all).size()));
}

TEST_F(RestoreOracleTest, EveryTargetGivesExactlyItsState) {
  // The server agrees with pg_waldump about times, so the model is read rightly.
  for (const auto& row : must(cluster_.sql("SELECT x::text, (extract(epoch FROM "
                                           "pg_xact_commit_timestamp(x::text::xid)) * 1000000)"
                                           "::bigint FROM (SELECT xmin AS x FROM rows) q "
                                           "ORDER BY 2 LIMIT 50"))) {
    const auto xid = static_cast<std::uint32_t>(std::stoul(row[0]));
    for (const auto& record : model_.records()) {
      if (record.ends_xact() && record.xid == xid) {
        EXPECT_EQ(record.time.unix_us(), std::stoll(row[1])) << xid;
      }
    }
  }
  std::cout << fmt::format(
                   "{} records, {} transactions, {} of them earlier than one before them, "
                   "{} restore points",
                   model_.records().size(), ends().size(), model_.inversions(), points().size())
            << std::endl;
  ASSERT_GT(model_.inversions(), 5u);
  ASSERT_GT(model_.prepared(model_.records().size()).size(), 0u);

  for (int i = 0; i < 300 && !HasFailure(); ++i) check_plan(random_target());
  check_plan(at_latest());
  check_plan(at_immediate());
  if (HasFailure()) return;

  check_restore(random_time());
  check_restore(random_time());
  check_restore(random_record());
  check_restore(random_xid());
  check_restore(at_name(one_of(points())));
  check_restore(at_latest());
  check_restore(at_immediate());
  const auto more = number_from_environment("PITR_ORACLE_RESTORES", 0);
  for (std::uint64_t i = 0; i < more && !HasFailure(); ++i) check_restore(random_target());
}

// The server skips the rest of the segment behind a switch: so its WAL ends at the segment's end.
TEST(RestoreToASwitchTest, TheLastRecordMayBeASwitch) {
  auto cluster = must(TestCluster::create({.wal_segment_size_mb = 1}));
  must(cluster.start());
  StreamedRepository repository(cluster);
  register_cluster(repository);
  repository.start_streaming(cluster);
  must(cluster.sql("CREATE TABLE rows(id int)"));
  must(repository.take_backup(repository.backup_request(cluster)));
  must(cluster.sql("INSERT INTO rows VALUES (1); SELECT pg_switch_wal()"));
  const auto behind = must(cluster.sql_value("SELECT pg_current_wal_insert_lsn()"));
  must(cluster.sql("INSERT INTO rows VALUES (2)"));
  repository.catch_up(cluster);

  const RestoreProgram program(repository.directory() / "repository", repository.key());
  RestoredServer server(cluster);
  const auto& output = server.restore(program, {"--lsn", behind, "--exclusive"});
  ASSERT_EQ(output.status.exit_code, 0) << server.story();
  EXPECT_EQ(server.ask("string_agg(id::text, ',')", "FROM rows"), "1");
}

// A standby is promoted in the middle of a segment: the WAL before the switch is in the file of
// timeline 2 as well, and the file of timeline 1 was never completed.
TEST(RestoreAcrossTimelinesTest, TargetsOnBothSidesOfAPromotionInsideASegment) {
  auto primary = must(TestCluster::create());
  auto standby = must(primary.make_standby());
  must(primary.start());
  must(standby.start());
  must(primary.sql("CREATE TABLE rows(id int)"));
  const auto follow = [&] {
    must(standby.wait_until(fmt::format("SELECT pg_last_wal_replay_lsn() >= '{}'",
                                        must(primary.sql_value("SELECT pg_current_wal_lsn()")))));
  };
  follow();
  StreamedRepository repository(primary);
  register_cluster(repository);
  repository.start_streaming(standby);
  auto request = repository.backup_request(standby);
  request.data_directory.reset();
  auto backup = std::async(std::launch::async, [&] { return repository.take_backup(request); });
  while (backup.wait_for(Milliseconds(100)) != std::future_status::ready) {
    must(primary.sql("SELECT pg_switch_wal()"));  // the backup of a standby waits for this
  }
  must(backup.get());
  const auto first_xid =
      must(primary.sql_value("INSERT INTO rows VALUES (1) RETURNING pg_current_xact_id()"));
  must(primary.sql("INSERT INTO rows VALUES (2)"));
  follow();
  must(primary.stop());
  must(standby.promote());
  const auto third_xid =
      must(standby.sql_value("INSERT INTO rows VALUES (3) RETURNING pg_current_xact_id()"));
  must(standby.sql("INSERT INTO rows VALUES (4)"));
  repository.catch_up(standby);

  const RestoreProgram program(repository.directory() / "repository", repository.key());
  const auto rows_of = [&](const std::vector<std::string>& arguments, int* new_timeline) {
    RestoredServer server(standby);
    const auto& output = server.restore(program, arguments);
    EXPECT_EQ(output.status.exit_code, 0) << server.story();
    if (output.status.exit_code != 0) return std::string("(failed)");
    *new_timeline = server.outcome()["new_timeline"].get<int>();
    return server.ask("string_agg(id::text, ',' ORDER BY id)", "FROM rows");
  };
  int timelines[4] = {};
  EXPECT_EQ(rows_of({"--xid", first_xid}, &timelines[0]), "1");
  EXPECT_EQ(rows_of({"--xid", third_xid}, &timelines[1]), "1,2,3");
  EXPECT_EQ(rows_of({"--latest"}, &timelines[2]), "1,2,3,4");
  EXPECT_EQ(rows_of({"--xid", first_xid, "--timeline", "1"}, &timelines[3]), "1");
  EXPECT_EQ(std::set<int>(std::begin(timelines), std::end(timelines)).size(), 4u);
}

}  // namespace
}  // namespace pitr::test
