#include "storage/memory/memory_storage.h"

#include <thread>

#include "storage/conformance.h"

namespace pitr {
namespace {

class MemoryUnderTest final : public StorageUnderTest {
 public:
  explicit MemoryUnderTest(bool can_append) : storage_(clock_, {.can_append = can_append}) {}
  Storage& storage() override { return storage_; }

 private:
  SystemClock clock_;
  MemoryStorage storage_;
};

INSTANTIATE_TEST_SUITE_P(
    Memory, StorageConformanceTest,
    testing::Values(StorageFactory{"Memory",
                                   [] { return std::make_unique<MemoryUnderTest>(true); }},
                    StorageFactory{"MemoryWithoutAppend",
                                   [] { return std::make_unique<MemoryUnderTest>(false); }}),
    factory_name);

class MemoryStorageTest : public testing::TestWithParam<std::uint64_t> {
 protected:
  SystemClock clock_;
  MemoryStorage storage_{clock_, {.seed = GetParam()}};
};

const Error kBroken = Error::transient("planned");

TEST_P(MemoryStorageTest, AcknowledgedObjectsSurvivePowerLoss) {
  ASSERT_TRUE(storage_.put(key("a"), as_bytes("1")));
  ASSERT_TRUE(storage_.put_if_absent(key("b"), as_bytes("2")));
  auto upload = storage_.start_upload(key("c")).value();
  ASSERT_TRUE(upload->write(as_bytes("3")));
  ASSERT_TRUE(upload->commit());
  auto appender = storage_.start_append(key("d")).value();
  ASSERT_TRUE(appender->append(as_bytes("45")));
  storage_.power_loss();
  EXPECT_EQ(storage_.get(key("a"), 9).value(), bytes_of("1"));
  EXPECT_EQ(storage_.get(key("b"), 9).value(), bytes_of("2"));
  EXPECT_EQ(storage_.get(key("c"), 9).value(), bytes_of("3"));
  EXPECT_EQ(storage_.get(key("d"), 9).value(), bytes_of("45"));
  EXPECT_EQ(appender->append(as_bytes("6")).error().kind(), ErrorKind::kTransient);
  EXPECT_EQ(storage_.get(key("d"), 9).value(), bytes_of("45"));
}

TEST_P(MemoryStorageTest, AnObjectInFlightIsKeptWholeOrDropped) {
  storage_.faults().add(
      {.calls = {StorageCall::kPut}, .moment = Fault::Moment::kInFlight, .error = kBroken});
  EXPECT_FALSE(storage_.put(key("a"), as_bytes("whole")));
  EXPECT_EQ(storage_.get(key("a"), 9).value(), bytes_of("whole"));  // visible, not durable
  storage_.power_loss();
  const auto after = storage_.get(key("a"), 9);
  const Bytes bytes = after.value_or(bytes_of("whole"));
  EXPECT_EQ(bytes, bytes_of("whole"));
}

TEST_P(MemoryStorageTest, ATornAppendKeepsWhatWasAcknowledged) {
  auto appender = storage_.start_append(key("t")).value();
  ASSERT_TRUE(appender->append(as_bytes("acknowledged")));
  storage_.faults().add(
      {.calls = {StorageCall::kAppend}, .moment = Fault::Moment::kInFlight, .error = kBroken});
  EXPECT_EQ(appender->append(as_bytes("torn")).error().kind(), ErrorKind::kTransient);
  EXPECT_EQ(appender->append(as_bytes("more")).error().kind(), ErrorKind::kInvalid);
  storage_.power_loss();
  const Bytes after = storage_.get(key("t"), 99).value();
  EXPECT_TRUE(as_text(after).starts_with("acknowledged"));
  EXPECT_LE(after.size(), 16u);
}

TEST_P(MemoryStorageTest, EnsureDurableKeepsWhatAKilledWriterLeft) {
  storage_.faults().add({.moment = Fault::Moment::kInFlight, .error = kBroken});
  EXPECT_FALSE(storage_.put(key("a"), as_bytes("left behind")));
  ASSERT_TRUE(storage_.ensure_durable(key("a")));
  storage_.power_loss();
  EXPECT_EQ(storage_.get(key("a"), 99).value(), bytes_of("left behind"));
}

TEST_P(MemoryStorageTest, AConflictMeansThatTheOtherObjectIsDurable) {
  storage_.faults().add({.moment = Fault::Moment::kInFlight, .error = kBroken});
  EXPECT_FALSE(storage_.put_if_absent(key("a"), as_bytes("x")));
  EXPECT_EQ(storage_.put_if_absent(key("a"), as_bytes("y")).error().kind(), ErrorKind::kConflict);
  storage_.power_loss();
  EXPECT_EQ(storage_.get(key("a"), 99).value(), bytes_of("x"));
}

TEST_P(MemoryStorageTest, ACallAtAGateHangsUntilItIsOpened) {
  const auto gate = std::make_shared<Gate>();
  storage_.faults().add({.calls = {StorageCall::kPut}, .gate = gate});
  Result<void> stored = Error::internal("not run");
  std::jthread writer([&] { stored = storage_.put(key("a"), as_bytes("x")); });
  gate->wait_until_reached();
  EXPECT_EQ(storage_.stat(key("a")).error().kind(), ErrorKind::kNotFound);
  gate->open();
  writer.join();
  EXPECT_TRUE(stored);
  EXPECT_TRUE(storage_.stat(key("a")));
}

TEST_P(MemoryStorageTest, PowerLossFailsCallsThatHang) {
  auto appender = storage_.start_append(key("t")).value();
  ASSERT_TRUE(appender->append(as_bytes("kept")));
  const auto gate = std::make_shared<Gate>();
  storage_.faults().add(
      {.calls = {StorageCall::kAppend}, .moment = Fault::Moment::kInFlight, .gate = gate});
  Result<void> appended;
  std::jthread writer([&] { appended = appender->append(as_bytes("lost")); });
  gate->wait_until_reached();
  storage_.power_loss();
  writer.join();
  EXPECT_EQ(appended.error().kind(), ErrorKind::kTransient);
  EXPECT_TRUE(as_text(storage_.get(key("t"), 99).value()).starts_with("kept"));
}

TEST_P(MemoryStorageTest, RemovedObjectsMayComeBackButOnlyWhole) {
  ASSERT_TRUE(storage_.put(key("a"), as_bytes("old")));
  ASSERT_TRUE(storage_.remove(key("a")));
  EXPECT_EQ(storage_.stat(key("a")).error().kind(), ErrorKind::kNotFound);
  storage_.power_loss();
  const auto after = storage_.get(key("a"), 9);
  EXPECT_EQ(after.value_or(bytes_of("old")), bytes_of("old"));
}

INSTANTIATE_TEST_SUITE_P(Seeds, MemoryStorageTest, testing::Range<std::uint64_t>(1, 21));

TEST(FaultPlanTest, HitsTheCallsThatItNames) {
  FaultPlan plan(1);
  plan.add({.calls = {StorageCall::kPut}, .key_contains = "wal", .skip = 1, .times = 2});
  EXPECT_FALSE(plan.next(StorageCall::kGet, "wal/1"));
  EXPECT_FALSE(plan.next(StorageCall::kPut, "backup/1"));
  EXPECT_FALSE(plan.next(StorageCall::kPut, "wal/1"));  // skipped
  EXPECT_TRUE(plan.next(StorageCall::kPut, "wal/1"));
  EXPECT_TRUE(plan.next(StorageCall::kPut, "wal/2"));
  EXPECT_FALSE(plan.next(StorageCall::kPut, "wal/3"));
  EXPECT_EQ(plan.hits(), 2u);
}

TEST(FaultPlanTest, ProbabilityIsRepeatedByTheSeed) {
  const auto hits = [](std::uint64_t seed) {
    FaultPlan plan(seed);
    plan.add({.times = Fault::kEveryTime, .probability = 0.3});
    std::string pattern;
    for (int i = 0; i < 200; ++i) pattern += plan.next(StorageCall::kGet, "x") ? '1' : '0';
    return pattern;
  };
  EXPECT_EQ(hits(5), hits(5));
  EXPECT_NE(hits(5), hits(6));
}

}  // namespace
}  // namespace pitr
