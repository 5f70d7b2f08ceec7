#include "repository/verify/verify_cycle.h"

#include <fmt/format.h>

#include "repository/expire/stepped_storage.h"
#include "repository/verify/verify_fixture.h"
#include "repository/verify/verify_records.h"

namespace pitr::test {
namespace {

using std::chrono::days;
using std::chrono::hours;

const Timestamp kStart = Timestamp::from_unix_us(1'772'356'500'000'000);

std::vector<CycleUnit> equal_units(std::size_t count, Timestamp since) {
  std::vector<CycleUnit> units;
  for (std::size_t i = 0; i < count; ++i) units.push_back({fmt::format("{:04}", i), 100, since});
  return units;
}

TEST(VerifyCycleTest, ABudgetTakesWhatWaitsLongest) {
  auto units = equal_units(5, kStart);
  units[3].since = kStart - days(2);
  units[1].since = kStart - days(1);
  VerifyCycle cycle;
  cycle.budget_bytes = 250;
  EXPECT_EQ(units_due(units, cycle, days(1), kStart), (std::vector<std::size_t>{3, 1}));
  cycle.budget_bytes = 1;  // one at least, else nothing would ever be verified
  EXPECT_EQ(units_due(units, cycle, days(1), kStart), std::vector<std::size_t>{3});
  EXPECT_TRUE(units_due({}, cycle, days(1), kStart).empty());
}

// Sizes differ, packs come and go: a simulated half year.
TEST(VerifyCycleTest, NothingWaitsLongerThanThePeriod) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    std::mt19937_64 random(seed);
    const VerifyCycle cycle{.period = days(30)};
    auto now = kStart;
    auto units = equal_units(200, now);
    for (auto& unit : units) unit.size_bytes = 1 + random() % 1000;
    std::uint64_t read_bytes = 0, stored_bytes = 0;
    auto before = now - days(1);
    for (int run = 0; run < 180; ++run) {
      const auto due = units_due(units, cycle, now - before, now);
      ASSERT_FALSE(due.empty());
      for (const auto i : due) {
        read_bytes += units[i].size_bytes;
        units[i].since = now;
      }
      for (const auto& unit : units) {
        stored_bytes += unit.size_bytes;
        ASSERT_LE(now - unit.since, cycle.period) << "run " << run;
      }
      for (auto i = random() % 12; i > 0; --i) {
        units.erase(units.begin() + static_cast<std::ptrdiff_t>(random() % units.size()));
        units.push_back({fmt::format("n{}", random()), 1 + random() % 1000, now});
      }
      before = now;
      now = now + hours(24);
    }
    // About a thirtieth of what is stored in each run.
    EXPECT_LT(read_bytes, stored_bytes / 20);
  }
}

class CycleRunTest : public ::testing::Test {
 protected:
  // All runs are on this clock; objects are as old as they are.
  VerifyReport run(VerifyCycle cycle, std::stop_token stop = {}) {
    VerifyOptions options;
    options.depth = VerifyDepth::kFull;
    options.cycle = cycle;
    NullObserver observer;
    return must(verify_cluster(repository.repository(), "main", options, observer, clock, stop));
  }
  CycleState state() { return must(read_cycle_state(repository.store())); }

  VerifiedRepository repository;
  SimulatedClock clock{SystemClock().now() + hours(1)};
};

TEST_F(CycleRunTest, AllPacksAndWalGetTheirTurnInAMonth) {
  const auto packs = must(list_all(repository.memory(), repository.store().names().pack_prefix()));
  ASSERT_GT(packs.size(), 2u);
  const auto began = clock.now();
  std::set<std::string> checked;
  for (int day = 0; day < 30; ++day) {
    const auto report = run({.period = days(30)});
    EXPECT_TRUE(report.findings.empty());
    for (const auto& [unit, one] : state().checked) {
      if (one.time == clock.now()) checked.insert(unit);
    }
    if (day == 0) {
      EXPECT_LT(checked.size(), packs.size());
      EXPECT_EQ(report.backups.front().verdict, BackupVerdict::kNotChecked);
      EXPECT_FALSE(must(last_verification(repository.store(), repository.first().id)));
    }
    clock.advance(hours(24));
  }
  EXPECT_EQ(checked.size(), packs.size() + 1);  // and one log of WAL
  for (const auto& [unit, one] : state().checked) EXPECT_GE(one.time, began) << unit;
  const auto verified = must(last_verification(repository.store(), repository.first().id));
  ASSERT_TRUE(verified);
  EXPECT_EQ(verified->how, VerifiedHow::kInTurn);
  const auto prefix = repository.store().names().prefix() + "verify/";
  EXPECT_EQ(must(list_all(repository.memory(), prefix)).size(), 1u);
}

TEST_F(CycleRunTest, DamageIsToldUntilItIsMendedAndDoesNotHoldUpTheRest) {
  const auto pack = repository.first().packs.back().key;
  const auto right = must(repository.memory().get(pack, 1 << 30));
  repository.put_back(pack, Bytes(100'000));
  const auto units = must(list_all(repository.memory(), repository.store().names().pack_prefix()));
  bool is_found = false;
  for (std::size_t i = 0; i < units.size() + 3; ++i) {
    const auto report = run({.period = days(30), .budget_bytes = 1});
    if (is_found) EXPECT_TRUE(report.found_damage()) << "run " << i;
    is_found |= report.found_damage();
    for (const auto& backup : report.backups) EXPECT_NE(backup.verdict, BackupVerdict::kGood);
    clock.advance(hours(1));
  }
  EXPECT_TRUE(is_found);
  EXPECT_EQ(state().checked.size(), units.size() + 1);
  repository.put_back(pack, right);
  const auto report = run({.period = days(30), .budget_bytes = 1});
  EXPECT_FALSE(report.found_damage());
  for (const auto& backup : report.backups) EXPECT_EQ(backup.verdict, BackupVerdict::kGood);
}

TEST_F(CycleRunTest, ALogThatGrowsAllTheTimeGetsItsTurn) {
  const auto packs = must(list_all(repository.memory(), repository.store().names().pack_prefix()));
  const auto has_log = [&] {
    return std::ranges::any_of(state().checked,
                               [](const auto& one) { return one.first.starts_with("wal/"); });
  };
  for (std::size_t day = 0; day <= 2 * packs.size(); ++day) {
    repository.clock().advance(hours(24));
    clock.advance(hours(24));
    const auto next = repository.store().names().segment(repository.segment(10 + day));
    must(repository.memory().put(next, as_bytes("it grows")));
    run({.period = days(30), .budget_bytes = 1});
  }
  EXPECT_TRUE(has_log());
}

// Of a log that was read what comes into it later is no more verified than before.
TEST_F(CycleRunTest, WhatCameAfterItsLogWasReadIsNotVerified) {
  const VerifyCycle all{.period = days(30), .budget_bytes = 1ull << 40};
  for (const auto& backup : run(all).backups) EXPECT_EQ(backup.verdict, BackupVerdict::kGood);
  repository.clock().advance(hours(24));
  clock.advance(hours(24));
  const auto segment = repository.store().names().segment(repository.segment(0));
  repository.put_back(segment, must(repository.memory().get(segment, 1 << 30)));
  const auto report = run({.period = days(30), .budget_bytes = 1});
  EXPECT_EQ(report.backups.at(0).verdict, BackupVerdict::kNotChecked);
  EXPECT_EQ(report.backups.at(1).verdict, BackupVerdict::kGood);
  for (const auto& backup : run(all).backups) EXPECT_EQ(backup.verdict, BackupVerdict::kGood);
}

TEST_F(CycleRunTest, TheStoresClockMayBeAhead) {
  clock.advance(-hours(5));
  const auto report = run({.period = days(30), .budget_bytes = 1ull << 40});
  for (const auto& backup : report.backups) EXPECT_EQ(backup.verdict, BackupVerdict::kGood);
}

TEST_F(CycleRunTest, AStateOfTheFirstVersionIsRead) {
  ByteWriter out;
  out.u8(1);
  for (int i = 0; i < 2; ++i) out.u64(static_cast<std::uint64_t>(kStart.unix_us()));
  out.varint(1);
  out.string("wal/00000001/00000000");
  out.u64(static_cast<std::uint64_t>((kStart + days(1)).unix_us()));
  out.u8(1);
  const auto& store = repository.store();
  must(store.put_sealed(ContainerKind::kVerifications,
                        ObjectKey::from_parts(store.names().prefix() + "verify/0123456789abcdef"),
                        out.bytes()));
  const auto checked = state().checked.at("wal/00000001/00000000");
  EXPECT_TRUE(checked.is_right);
  EXPECT_EQ(checked.time, kStart + days(1));
  EXPECT_EQ(checked.newest, checked.time);
}

// Each table is right, and those that the backup needs aren't named.
TEST_F(CycleRunTest, AMapWithAHoleIsFound) {
  auto wrong = repository.second();
  wrong.block_tables.clear();
  const auto& names = repository.store().names();
  const auto key = names.backup_manifest(wrong.id);
  must(repository.memory().remove(key));
  must(repository.store().put_sealed(ContainerKind::kManifest, key, encode_manifest(wrong)));
  const auto report = run({.period = days(30), .budget_bytes = 1});
  EXPECT_EQ(findings_of(report),
            std::set<std::string>{"damaged " + key.text().substr(names.prefix().size())});
  EXPECT_EQ(report.backups.at(1).verdict, BackupVerdict::kDamaged);
}

TEST_F(CycleRunTest, AStoppedRunKeepsWhatWasKnown) {
  run({.period = days(30), .budget_bytes = 1ull << 40});
  const auto before = state().checked.size();
  EXPECT_GT(before, 2u);
  clock.advance(days(3));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_TRUE(run({.period = days(30)}, stop.get_token()).was_stopped);
  EXPECT_EQ(state().checked.size(), before);
}

// Killed at any storage call, with or without what was under way then.
TEST(CycleKillTest, NothingThatWasKnownIsLost) {
  VerifiedRepository repository(/*encrypted=*/false);
  SimulatedClock clock{SystemClock().now() + hours(1)};
  VerifyOptions options;
  options.depth = VerifyDepth::kFull;
  options.workers = 1;
  options.cycle = VerifyCycle{.budget_bytes = 1ull << 40};
  const auto work = [&](Storage& storage) {
    const auto opened = Repository::open(storage, std::nullopt);
    NullObserver observer;
    if (opened) (void)verify_cluster(**opened, "main", options, observer, clock, {}).has_value();
  };
  work(repository.memory());
  auto before = must(read_cycle_state(repository.store())).checked;
  ASSERT_GT(before.size(), 2u);
  bool is_done = false;
  int newer = 0;
  for (std::uint64_t calls = 0; !is_done; calls += 5) {
    SCOPED_TRACE(fmt::format("killed at call {}", calls));
    clock.advance(hours(1));
    {
      Actor actor(repository.memory(), "verify", work);
      for (std::uint64_t i = 0; i < calls && !actor.is_done(); ++i) actor.step();
      is_done = actor.is_done();
      const auto late = actor.kill();
      if (late && calls % 2 == 0) late();
    }
    const auto after = must(read_cycle_state(repository.store())).checked;
    ASSERT_EQ(after.size(), before.size());
    for (const auto& [unit, checked] : after) {
      EXPECT_TRUE(checked.is_right) << unit;
      EXPECT_GE(checked.time, before.at(unit).time) << unit;
      newer += checked.time > before.at(unit).time ? 1 : 0;
    }
    before = after;
  }
  EXPECT_GT(newer, 10);
  EXPECT_EQ(must(damaged_packs(repository.store())).size(), 0u);
}

}  // namespace
}  // namespace pitr::test
