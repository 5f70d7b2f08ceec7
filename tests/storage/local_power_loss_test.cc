// LocalStorage on a file system that forgets what was not synced: a workload is stopped at each of
// its steps in turn, and what was acknowledged must be there afterwards.
#include <fmt/format.h>

#include <functional>
#include <optional>

#include "storage/conformance.h"
#include "storage/local/local_storage.h"
#include "storage/retry/retrying_storage.h"
#include "support/simulated_filesystem.h"

namespace pitr {
namespace {

class SimulatedUnderTest final : public StorageUnderTest {
 public:
  SimulatedUnderTest()
      : storage_(LocalStorage::create_on(std::make_shared<SimulatedFileSystem>(), clock_).value()) {
  }
  Storage& storage() override { return *storage_; }

 private:
  SystemClock clock_;
  std::unique_ptr<LocalStorage> storage_;
};

INSTANTIATE_TEST_SUITE_P(LocalOnSimulatedFiles, StorageConformanceTest,
                         testing::Values(StorageFactory{
                             "Local", [] { return std::make_unique<SimulatedUnderTest>(); }}),
                         factory_name);

constexpr std::uint64_t kLimit = 1 << 20;

// What the storage promised, and what it was asked for.
class Ledger {
 public:
  void attempt(const std::string& name, const Bytes& bytes) { attempted_[name] = bytes; }
  void acknowledge(const std::string& name, const Bytes& bytes) { acknowledged_[name] = bytes; }
  void attempt_append(const std::string& name, const Bytes& all) { appended_[name] = all; }

  void check(Storage& storage) const {
    for (const auto& [name, bytes] : acknowledged_) {
      const auto found = storage.get(key(name), kLimit);
      ASSERT_TRUE(found) << "lost " << name << ": " << found.error().message();
      if (appended_.contains(name)) {
        ASSERT_GE(found->size(), bytes.size()) << name;
        ASSERT_TRUE(std::equal(bytes.begin(), bytes.end(), found->begin())) << name;
      } else {
        ASSERT_TRUE(*found == bytes) << "wrong bytes in " << name;
      }
    }
    for (const auto& name : listed_keys(storage, "")) {
      const auto found = storage.get(key(name), kLimit).value();
      if (const auto appended = appended_.find(name); appended != appended_.end()) {
        ASSERT_LE(found.size(), appended->second.size()) << name;
        continue;
      }
      ASSERT_TRUE(attempted_.contains(name)) << "nobody wrote " << name;
      ASSERT_TRUE(found == attempted_.at(name)) << "part of " << name << " is visible";
    }
  }

 private:
  std::map<std::string, Bytes> attempted_;
  std::map<std::string, Bytes> acknowledged_;
  std::map<std::string, Bytes> appended_;
};

void put(Storage& storage, Ledger& ledger, const std::string& name, bool if_absent = false) {
  const Bytes bytes = random_bytes(9'000, std::hash<std::string>()(name));
  ledger.attempt(name, bytes);
  const auto stored =
      if_absent ? storage.put_if_absent(key(name), bytes) : storage.put(key(name), bytes);
  // A conflict says that the object is durable; here nobody else has written it.
  if (stored || stored.error().kind() == ErrorKind::kConflict) ledger.acknowledge(name, bytes);
}

void upload(Storage& storage, Ledger& ledger, const std::string& name) {
  const Bytes bytes = random_bytes(15'000, 7);
  ledger.attempt(name, bytes);
  auto started = storage.start_upload(key(name));
  if (!started) return;
  if (!(*started)->write(ByteView(bytes).first(6'000))) return;
  if (!(*started)->write(ByteView(bytes).subspan(6'000))) return;
  if ((*started)->commit()) ledger.acknowledge(name, bytes);
}

void append(Storage& storage, Ledger& ledger, const std::string& name) {
  ledger.attempt_append(name, {});
  auto appender = storage.start_append(key(name));
  if (!appender) return;
  Bytes all;
  ledger.acknowledge(name, all);
  for (unsigned i = 1; i <= 4; ++i) {
    const Bytes part = random_bytes(i * 1'500, i);
    all.insert(all.end(), part.begin(), part.end());
    ledger.attempt_append(name, all);
    if (!(*appender)->append(part)) return;
    ledger.acknowledge(name, all);
  }
}

void run_workload(Storage& storage, Ledger& ledger) {
  put(storage, ledger, "top");
  put(storage, ledger, "wal/1/0/a");
  put(storage, ledger, "wal/1/0/b");
  append(storage, ledger, "wal/1/1/tail");
  upload(storage, ledger, "pack/1");
  put(storage, ledger, "keyring/1", true);
  put(storage, ledger, "keyring/1", true);
  put(storage, ledger, "wal/1/0/a");  // again
}

RetryPolicy quick_retries() {
  return {.first_delay = Milliseconds(0), .longest_delay = Milliseconds(0), .attempts = 3};
}

struct World {
  explicit World(std::uint64_t seed) : files(std::make_shared<SimulatedFileSystem>(seed)) {
    storage = LocalStorage::create_on(files, clock).value();
  }
  void reopen() { storage = LocalStorage::open_on(files, clock).value(); }

  SystemClock clock;
  std::shared_ptr<SimulatedFileSystem> files;
  std::unique_ptr<LocalStorage> storage;
  Ledger ledger;
};

std::uint64_t steps_of_workload() {
  World world(1);
  const std::uint64_t before = world.files->steps();
  run_workload(*world.storage, world.ledger);
  return world.files->steps() - before;
}

constexpr std::uint64_t kSeeds = 12;

TEST(LocalPowerLossTest, AtEveryStepWhatWasAcknowledgedSurvivesWhole) {
  const std::uint64_t steps = steps_of_workload();
  ASSERT_GT(steps, 50u);
  for (std::uint64_t step = 0; step <= steps; ++step) {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      SCOPED_TRACE(fmt::format("step {} seed {}", step, seed));
      World world(seed);
      world.files->stop_at_step(step);
      run_workload(*world.storage, world.ledger);
      ASSERT_EQ(world.files->has_stopped(), step < steps);
      world.files->restart_after_power_loss();
      world.reopen();
      world.ledger.check(*world.storage);
      if (HasFatalFailure()) return;
      // And it works on from there.
      run_workload(*world.storage, world.ledger);
      put(*world.storage, world.ledger, "wal/1/1/after");
      world.files->restart_after_power_loss();
      world.reopen();
      ASSERT_TRUE(world.storage->stat(key("wal/1/1/after")));
    }
  }
}

TEST(LocalPowerLossTest, WhatAKilledProcessLeftIsDurableAfterEnsureDurable) {
  const std::uint64_t steps = steps_of_workload();
  for (std::uint64_t step = 0; step <= steps; ++step) {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      SCOPED_TRACE(fmt::format("step {} seed {}", step, seed));
      World world(seed);
      world.files->stop_at_step(step);
      run_workload(*world.storage, world.ledger);
      world.files->restart_after_kill();
      world.reopen();
      world.ledger.check(*world.storage);
      for (const auto& name : listed_keys(*world.storage, "")) {
        ASSERT_TRUE(world.storage->ensure_durable(key(name)));
        world.ledger.acknowledge(name, world.storage->get(key(name), kLimit).value());
      }
      world.files->restart_after_power_loss();
      world.reopen();
      world.ledger.check(*world.storage);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(LocalPowerLossTest, AConflictAfterAKillMeansThatTheObjectSurvives) {
  for (std::uint64_t step = 0; step < 12; ++step) {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      SCOPED_TRACE(fmt::format("step {} seed {}", step, seed));
      World world(seed);
      world.files->stop_at_step(step);
      put(*world.storage, world.ledger, "a/b/c", true);
      world.files->restart_after_kill();
      world.reopen();
      put(*world.storage, world.ledger, "a/b/c", true);
      world.files->restart_after_power_loss();
      world.reopen();
      world.ledger.check(*world.storage);
      ASSERT_TRUE(world.storage->stat(key("a/b/c")));
      if (HasFatalFailure()) return;
    }
  }
}

TEST(LocalPowerLossTest, AStepThatFailsOnceIsNotCoveredUpByTheRetry) {
  const std::uint64_t steps = steps_of_workload();
  for (std::uint64_t step = 0; step <= steps; ++step) {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      SCOPED_TRACE(fmt::format("step {} seed {}", step, seed));
      World world(seed);
      RetryingStorage retrying(*world.storage, quick_retries());
      world.files->fail_at_step(step);
      run_workload(retrying, world.ledger);
      for (const auto& name : listed_keys(*world.storage, "")) {
        if (!world.storage->ensure_durable(key(name))) continue;
        world.ledger.acknowledge(name, world.storage->get(key(name), kLimit).value());
      }
      world.ledger.check(*world.storage);
      world.files->restart_after_power_loss();
      world.reopen();
      world.ledger.check(*world.storage);
      if (HasFatalFailure()) return;
    }
  }
}

// The process that knows of the failure is gone; only the bytes are there, and a sync of them would
// succeed and bring nothing back.
TEST(LocalPowerLossTest, AFailureThenAKillIsNotCoveredUpByTheNextProcess) {
  const std::uint64_t steps = steps_of_workload();
  for (std::uint64_t failing = 0; failing < steps; ++failing) {
    for (std::uint64_t killed = failing + 1; killed <= std::min(failing + 12, steps); ++killed) {
      for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        SCOPED_TRACE(fmt::format("failing {} killed {} seed {}", failing, killed, seed));
        World world(seed);
        world.files->fail_at_step(failing);
        world.files->stop_at_step(killed);
        run_workload(*world.storage, world.ledger);
        world.files->restart_after_kill();
        world.reopen();
        for (const auto& name : listed_keys(*world.storage, "")) {
          ASSERT_TRUE(world.storage->ensure_durable(key(name)));
          world.ledger.acknowledge(name, world.storage->get(key(name), kLimit).value());
        }
        put(*world.storage, world.ledger, "wal/1/1/after");
        put(*world.storage, world.ledger, "keyring/after");
        world.files->restart_after_power_loss();
        world.reopen();
        world.ledger.check(*world.storage);
        if (HasFatalFailure()) return;
      }
    }
  }
}

// Another process asks for it, or this one after its directory's sync failed.
TEST(LocalPowerLossTest, AnObjectThatIsBeingAppendedToIsMadeDurableInItsPlace) {
  for (const bool is_own : {false, true}) {
    World world(1);
    ASSERT_TRUE(world.storage->put(key("wal/other"), as_bytes("x")));
    auto appender = world.storage->start_append(key("wal/tail")).value();
    ASSERT_TRUE(appender->append(as_bytes("one ")));
    const auto other = LocalStorage::open_on(world.files, world.clock).value();
    if (is_own) {
      world.files->fail_at_step(4);  // of create, write, sync, rename, sync of the directory
      (void)world.storage->put(key("wal/third"), as_bytes("x"));
      world.files->fail_at_step(SimulatedFileSystem::kNever);
    }
    ASSERT_TRUE((is_own ? *world.storage : *other).ensure_durable(key("wal/tail")));
    ASSERT_TRUE(appender->append(as_bytes("two")));
    world.files->restart_after_power_loss();
    world.reopen();
    EXPECT_EQ(as_text(world.storage->get(key("wal/tail"), 99).value()), "one two");
  }
}

TEST(LocalPowerLossTest, AFailedSyncOfAnObjectIsRetriedFromScratchAndSucceeds) {
  World world(1);
  ASSERT_TRUE(world.storage->put(key("a/first"), {}));
  // create, write, sync file, rename, sync directory: each of the five fails once.
  for (std::uint64_t step = 0; step < 5; ++step) {
    const std::string name = fmt::format("a/{}", step);
    RetryingStorage retrying(*world.storage, quick_retries());
    world.files->fail_at_step(step);
    EXPECT_TRUE(retrying.put_if_absent(key(name), as_bytes("x"))) << step;
    world.files->restart_after_power_loss();
    EXPECT_EQ(world.storage->get(key(name), 9).value(), bytes_of("x")) << step;
  }
}

TEST(LocalStorageOnSimulatedFilesTest, AFullDiskIsTransientAndLeavesWhatWasAcknowledged) {
  World world(1);
  world.files->set_capacity(100'000);
  EXPECT_EQ(world.storage->free_bytes().value(), 100'000u);
  EXPECT_EQ(world.storage->capacity_bytes().value(), 100'000u);
  auto appender = world.storage->start_append(key("t")).value();
  ASSERT_TRUE(appender->append(Bytes(30'000)));
  const auto full = world.storage->put(key("large"), Bytes(90'000));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind(), ErrorKind::kTransient);
  EXPECT_FALSE(full.error().hint().empty());
  EXPECT_EQ(appender->append(Bytes(10)).error().kind(), ErrorKind::kTransient);
  EXPECT_EQ(appender->append(Bytes(10)).error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(world.storage->stat(key("t"))->size_bytes, 30'000u);
  EXPECT_EQ(listed_keys(*world.storage, ""), std::vector<std::string>{"t"});
}

TEST(LocalStorageOnSimulatedFilesTest, AReadOnlyFileSystemIsOpenedAndDeniesWrites) {
  World world(1);
  ASSERT_TRUE(world.storage->put(key("a"), as_bytes("x")));
  world.files->set_read_only(true);
  world.reopen();
  EXPECT_EQ(world.storage->get(key("a"), 9).value(), bytes_of("x"));
  const auto denied = world.storage->put(key("b"), as_bytes("x"));
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().kind(), ErrorKind::kDenied);
  EXPECT_NE(denied.error().hint().find("mount it for writing"), std::string::npos);
}

}  // namespace
}  // namespace pitr
