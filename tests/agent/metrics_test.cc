// What a scrape says of a real cluster: while all is well, and while database, repository or both
// are away.
#include "agent/metrics/metrics.h"

#include "agent/agent.h"
#include "agent/metrics/metric_page.h"
#include "agent/pitr_site.h"
#include "agent/repository_access.h"
#include "agent/scrape.h"
#include "common/readable.h"
#include "storage/memory/memory_storage.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;

constexpr MetricsIntervals kQuick{.server = Milliseconds(50),
                                  .probe = Milliseconds(50),
                                  .report = Milliseconds(50),
                                  .survey = Milliseconds(100),
                                  .patience = Milliseconds(500)};

void take_backup(const Path& socket, const std::string& body) {
  std::string last;
  const auto request = must(http::Request::create("POST", "/v1/clusters/main/backups", body));
  must(http::Client(socket).for_each_line(request, [&](std::string_view line) {
    last = line;
    return Result<void>();
  }));
  ASSERT_THAT(last, HasSubstr(R"("event":"done")"));
}

// On a storage in memory that can be made to fail and to hang.
class MetricsTest : public testing::Test {
 protected:
  void start(const PitrSite& site) {
    site_ = &site;
    repository_ = must(Repository::init(measured_, std::nullopt));
    agent_ = must(Agent::start(site.config(), *repository_, clock_,
                               {.storage_meter = &meter_, .metrics = kQuick}));
  }
  // Also sees to it that no counter ever goes down.
  Scrape scrape() {
    auto now = Scrape::take(site_->socket());
    for (const auto& [name, before] : counters_) {
      EXPECT_GE(now.sample(name), before) << name << " went down, or away";
    }
    counters_ = now.counters();
    return now;
  }
  // Until a scrape has the value.
  bool becomes(double value, const std::string& name, const std::string& labels = "") {
    return eventually([&] { return scrape().value(name, labels) == value; });
  }
  bool repository_becomes(bool up) {
    return eventually([&] { return scrape().sample("pitr_repository_up") == up; });
  }
  bool streams() { return becomes(1, "pitr_receiver_state", ",state=\"streaming\""); }

  // The quickest of fifty: on a busy machine any one of them may have to wait for its turn.
  Microseconds quickest_scrape() {
    auto quickest = Microseconds::max();
    for (int i = 0; i < 50; ++i) {
      const Stopwatch watch;
      scrape();
      quickest = std::min(quickest, watch.elapsed());
    }
    return quickest;
  }

  SystemClock clock_;
  MemoryStorage storage_{clock_};
  StorageMeter meter_;
  MeasuredStorage measured_{storage_, meter_};
  std::unique_ptr<Repository> repository_;
  const PitrSite* site_ = nullptr;
  std::unique_ptr<Agent> agent_;
  std::map<std::string, double> counters_;
};

TEST_F(MetricsTest, FollowTheWalAndTheBackups) {
  auto cluster = started_cluster({.wal_segment_size_mb = 1});
  const PitrSite site(cluster);
  start(site);
  ASSERT_TRUE(streams());
  EXPECT_TRUE(becomes(0, "pitr_backup_last_success_timestamp_seconds", ",type=\"full\""));
  const auto segment = switch_segment(cluster);
  EXPECT_TRUE(becomes(1, "pitr_wal_segments_total", ",way=\"streamed\",outcome=\"stored\"") ||
              scrape().value("pitr_wal_segments_total", ",way=\"streamed\",outcome=\"stored\"") >
                  1);
  const auto archived = must(
      http::Client(site.socket())
          .send(must(http::Request::create(
              "POST", "/v1/clusters/main/wal?path=" + http::percent_encode(segment.native())))));
  ASSERT_EQ(archived.status, 200) << archived.body;
  const auto with_archived = scrape();
  EXPECT_EQ(with_archived.value("pitr_archive_requests_total", ",outcome=\"already_there\"") +
                with_archived.value("pitr_archive_requests_total", ",outcome=\"stored\""),
            1);
  EXPECT_EQ(with_archived.value("pitr_archive_request_duration_seconds_count"), 1);

  take_backup(site.socket(), R"({"read":"full"})");
  must(cluster.sql("CREATE TABLE t AS SELECT generate_series(1, 1000)"));
  take_backup(site.socket(), "{}");
  EXPECT_TRUE(becomes(2, "pitr_backups"));
  EXPECT_TRUE(becomes(2, "pitr_backups_by_tier", ",tier=\"last\""));
  const auto now = scrape();
  EXPECT_EQ(now.value("pitr_backup_runs_total", ",type=\"full\",outcome=\"success\""), 1);
  EXPECT_EQ(now.value("pitr_backup_runs_total", ",type=\"incremental\",outcome=\"success\""), 1);
  EXPECT_GT(now.value("pitr_backup_total_bytes", ",type=\"full\""), 1e6);
  EXPECT_LT(now.value("pitr_backup_stored_bytes", ",type=\"incremental\""),
            now.value("pitr_backup_stored_bytes", ",type=\"full\""));
  EXPECT_GT(now.value("pitr_stored_bytes", ",kind=\"pack\""), 1e6);
  EXPECT_GT(now.value("pitr_recovery_estimated_seconds"), 0);
  const double wall = to_seconds(Microseconds(clock_.now().unix_us()));
  EXPECT_NEAR(now.value("pitr_backup_last_success_timestamp_seconds", ",type=\"incremental\""),
              wall, 300);
  EXPECT_NEAR(now.value("pitr_recovery_window_start_timestamp_seconds"), wall, 300);
  EXPECT_LE(now.value("pitr_wal_durable_lsn_bytes"), now.value("pitr_wal_received_lsn_bytes"));
  EXPECT_LE(now.value("pitr_wal_received_lsn_bytes"), now.value("pitr_wal_server_lsn_bytes"));
  EXPECT_TRUE(eventually(
      [&] { return scrape().value("pitr_wal_watermark_timestamp_seconds") > wall - 300; }));
}

TEST_F(MetricsTest, FailedBackupsAreCounted) {
  const PitrSite site("host=/nonexistent");
  start(site);
  const auto request = must(http::Request::create("POST", "/v1/clusters/main/backups", "{}"));
  must(http::Client(site.socket()).for_each_line(request, [](std::string_view) {
    return Result<void>();
  }));
  const auto now = scrape();
  EXPECT_EQ(now.value("pitr_backup_runs_total", ",type=\"unknown\",outcome=\"failure\""), 1);
  EXPECT_GT(now.value("pitr_backup_last_failure_timestamp_seconds"), 0);
  EXPECT_EQ(now.value("pitr_server_up"), 0);
  EXPECT_FALSE(now.has("pitr_slot_exists"));
  // Nobody knows yet whether there is a backup, since nobody knows which database this is.
  EXPECT_FALSE(now.has("pitr_backup_last_success_timestamp_seconds", ",type=\"full\""));
}

TEST_F(MetricsTest, AScrapeIsQuickAndTrueWhileAnythingIsDown) {
  auto cluster = started_cluster();
  const PitrSite site(cluster);
  start(site);
  ASSERT_TRUE(streams());
  ASSERT_TRUE(becomes(1, "pitr_slot_active"));
  EXPECT_LT(quickest_scrape(), Milliseconds(10));

  ASSERT_TRUE(cluster.stop(StopMode::kFast));
  EXPECT_TRUE(becomes(0, "pitr_server_up"));
  auto now = scrape();
  EXPECT_EQ(now.sample("pitr_repository_up"), 1);
  EXPECT_EQ(now.value("pitr_receiver_state", ",state=\"streaming\""), 0);
  EXPECT_EQ(now.value("pitr_slot_exists"), 1);  // the last that was seen
  EXPECT_LT(quickest_scrape(), Milliseconds(10));

  // The repository answers with errors.
  storage_.faults().add({.times = Fault::kEveryTime, .error = Error::transient("unplugged")});
  EXPECT_TRUE(repository_becomes(false));
  EXPECT_LT(quickest_scrape(), Milliseconds(10));
  EXPECT_TRUE(eventually([&] {
    return scrape().sample(R"(pitr_storage_requests_total{request="stat",outcome="failure"})") > 0;
  }));
  storage_.faults().clear();
  EXPECT_TRUE(repository_becomes(true));

  // It doesn't answer at all, and the database isn't back.
  const auto gate = std::make_shared<Gate>();
  storage_.faults().add({.times = Fault::kEveryTime, .gate = gate});
  EXPECT_TRUE(repository_becomes(false));
  EXPECT_GE(scrape().sample("pitr_storage_requests_in_progress"), 1);
  EXPECT_LT(quickest_scrape(), Milliseconds(10));
  now = scrape();
  EXPECT_EQ(now.value("pitr_server_up"), 0);

  must(cluster.start());
  EXPECT_TRUE(becomes(1, "pitr_server_up"));
  EXPECT_EQ(scrape().sample("pitr_repository_up"), 0);
  EXPECT_LT(quickest_scrape(), Milliseconds(10));

  storage_.faults().clear();
  gate->open();
  EXPECT_TRUE(repository_becomes(true));
  EXPECT_TRUE(streams());
}

// Each scrape of this test checks that no counter is below the one before.
TEST_F(MetricsTest, CountersSurviveReconnects) {
  auto cluster = started_cluster({.wal_segment_size_mb = 1});
  const PitrSite site(cluster);
  start(site);
  ASSERT_TRUE(streams());
  switch_segment(cluster);
  const auto stored = [&] {
    return scrape().value("pitr_wal_segments_total", ",way=\"streamed\",outcome=\"stored\"");
  };
  ASSERT_TRUE(eventually([&] { return stored() >= 1; }));
  for (int i = 0; i < 2; ++i) {
    must(cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_replication"));
    const auto connections = scrape().value("pitr_receiver_connections_total");
    ASSERT_TRUE(eventually(
        [&] { return scrape().value("pitr_receiver_connections_total") > connections; }));
    ASSERT_TRUE(streams());
    const auto before = stored();
    switch_segment(cluster);
    ASSERT_TRUE(eventually([&] { return stored() > before; }));
  }
}

TEST_F(MetricsTest, AClusterInTroubleHidesNoOther) {
  auto cluster = started_cluster();
  const PitrSite site(cluster);
  const auto yaml = must(read_text_file(site.config_file()));
  write_text(site.config_file(), yaml + "  broken:\n    connection: host=/nonexistent\n");
  start(site);
  ASSERT_TRUE(streams());
  ASSERT_TRUE(becomes(1, "pitr_server_up"));
  const auto now = scrape();
  EXPECT_EQ(now.sample("pitr_server_up{cluster=\"broken\"}"), 0);
  EXPECT_EQ(now.label_values().at("cluster"), (std::set<std::string>{"main", "broken"}));
}

}  // namespace
}  // namespace pitr::test
