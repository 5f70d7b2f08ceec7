// Storage that hangs under a receiver: the server shuts down all the same, a synchronous commit
// waits, and nothing is missing afterwards.

#include <atomic>

#include "storage/memory/memory_storage.h"
#include "support/streamed_repository.h"

namespace pitr::test {
namespace {

constexpr Milliseconds kStallTimeout{1'000};
// For a server to shut down on a machine that is busy with other things.
constexpr Milliseconds kPromptly{15'000};

class StallTest : public testing::Test {
 protected:
  void start(const std::map<std::string, std::string>& settings, Milliseconds stall_timeout) {
    cluster.emplace(must(TestCluster::create({.wal_segment_size_mb = 1, .settings = settings})));
    must(cluster->start());
    repository = std::make_unique<StreamedRepository>(*cluster, storage);
    options.conninfo = cluster->conninfo();
    options.slot_name = options.application_name = "pitr_main";
    options.stall_timeout = stall_timeout;
    options.watermark_interval = Milliseconds(200);
    options.longest_reconnect_delay = Milliseconds(500);
    repository->start_streaming(options);
    // Synchronous commits work from here on as well.
    must(cluster->wait_until(
        "SELECT count(*) = 1 FROM pg_stat_replication WHERE flush_lsn > '0/0'"));
    from = repository->status().durable_lsn;
  }
  std::shared_ptr<Gate> hang(std::set<StorageCall> calls, const std::string& key_contains) {
    Fault fault;
    fault.calls = std::move(calls);
    fault.key_contains = key_contains;
    fault.times = Fault::kEveryTime;
    fault.gate = std::make_shared<Gate>();
    storage.faults().add(fault);
    return fault.gate;
  }
  void come_back(Gate& gate) {
    storage.faults().clear();
    gate.open();
  }
  void expect_no_hole() {
    const auto begin = repository->archive().segment_size().round_down(from);
    const auto covered =
        must(wal_coverage(repository->archive(), repository->facts(),
                          TimelineHistory::without_ancestors(TimelineId(1)), begin));
    EXPECT_GE(covered.end + 8, repository->status().durable_lsn) << covered.ended_by;
    EXPECT_FALSE(covered.has_gap);
    EXPECT_EQ(repository->status().gaps, 0u);
  }
  void expect_prompt_stop() {
    const auto before = std::chrono::steady_clock::now();
    must(cluster->stop(StopMode::kFast, Seconds(60)));
    EXPECT_LT(std::chrono::steady_clock::now() - before, kPromptly);
  }
  void write_rows() {
    must(cluster->sql(
        "CREATE TABLE IF NOT EXISTS t(i int, filler text);"
        "INSERT INTO t SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 500) i"));
  }

  SystemClock clock;
  MemoryStorage storage{clock};
  std::optional<TestCluster> cluster;
  std::unique_ptr<StreamedRepository> repository;
  WalReceiverOptions options;
  Lsn from;
};

TEST_F(StallTest, TheServerStopsPromptlyWhileTheRepositoryHangs) {
  start({}, kStallTimeout);
  const auto gate = hang({StorageCall::kAppend}, ".tail-");
  write_rows();
  gate->wait_until_reached();
  expect_prompt_stop();

  come_back(*gate);
  must(cluster->start());
  write_rows();
  repository->catch_up(*cluster);
  expect_no_hole();
}

// The streaming thread got an error of its own then, and ends while the sealer hangs.
TEST_F(StallTest, TheServerStopsPromptlyWhileAnEndedSessionWaitsForItsSealer) {
  start({}, kStallTimeout);
  const auto gate = hang({StorageCall::kPutIfAbsent}, "/wal/");
  write_rows();
  must(cluster->sql("SELECT pg_switch_wal()"));
  gate->wait_until_reached();
  Fault failing;
  failing.calls = {StorageCall::kAppend};
  failing.times = Fault::kEveryTime;
  failing.error = Error::transient("storage is away");
  storage.faults().add(failing);
  write_rows();
  while (storage.faults().hits() < 2) std::this_thread::yield();
  expect_prompt_stop();

  come_back(*gate);
  must(cluster->start());
  write_rows();
  repository->catch_up(*cluster);
  expect_no_hole();
}

TEST_F(StallTest, ASynchronousCommitWaitsWhileStorageHangsAndReturnsAfterwards) {
  for (const auto stall_timeout : {Milliseconds(600'000), kStallTimeout}) {
    SCOPED_TRACE(stall_timeout.count());
    start({{"synchronous_standby_names", "pitr_main"}}, stall_timeout);
    must(cluster->sql("CREATE TABLE s(i int)"));
    const auto gate = hang({StorageCall::kAppend}, ".tail-");
    std::atomic<bool> returned = false;
    std::jthread committing([&] {
      EXPECT_TRUE(cluster->sql("INSERT INTO s VALUES (1)").has_value());
      returned = true;
    });
    gate->wait_until_reached();
    must(cluster->wait_until(
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"));
    if (stall_timeout == kStallTimeout) {
      must(cluster->wait_until("SELECT count(*) = 0 FROM pg_stat_replication"));
    }
    EXPECT_FALSE(returned);
    come_back(*gate);
    committing.join();
    EXPECT_TRUE(returned);
    expect_no_hole();
    repository.reset();
    storage.power_loss();
    for (const auto& object : must(list_all(storage, ""))) must(storage.remove(object.key));
  }
}

}  // namespace
}  // namespace pitr::test
