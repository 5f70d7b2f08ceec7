#include "storage/retry/retrying_storage.h"

#include "storage/conformance.h"
#include "storage/memory/memory_storage.h"

namespace pitr {
namespace {

const Error kBroken = Error::transient("planned");

RetryPolicy quick_retries(int attempts) {
  return {.first_delay = Milliseconds(0), .longest_delay = Milliseconds(0), .attempts = attempts};
}

// A store where a fifth of the repeatable calls fail, before or after their effect.
class FlakyUnderTest final : public StorageUnderTest {
 public:
  FlakyUnderTest() {
    using enum StorageCall;
    const std::set<StorageCall> calls = {kPut,  kStartUpload, kGet,    kGetRange,
                                         kStat, kList,        kRemove, kEnsureDurable};
    memory_.faults().add({.calls = calls,
                          .times = Fault::kEveryTime,
                          .probability = 0.1,
                          .moment = Fault::Moment::kBefore,
                          .error = kBroken});
    memory_.faults().add({.calls = {kPut, kPutIfAbsent, kStartUpload, kRemove},
                          .times = Fault::kEveryTime,
                          .probability = 0.1,
                          .moment = Fault::Moment::kAfter,
                          .error = kBroken});
  }
  Storage& storage() override { return retrying_; }

 private:
  SystemClock clock_;
  MemoryStorage memory_{clock_};
  RetryingStorage retrying_{memory_, quick_retries(20)};
};

INSTANTIATE_TEST_SUITE_P(RetryingFlakyMemory, StorageConformanceTest,
                         testing::Values(StorageFactory{
                             "Memory", [] { return std::make_unique<FlakyUnderTest>(); }}),
                         factory_name);

class RetryingStorageTest : public testing::Test {
 protected:
  SystemClock clock_;
  MemoryStorage memory_{clock_};
  RetryingStorage storage_{memory_, quick_retries(3)};
};

TEST_F(RetryingStorageTest, TransientErrorsAreTriedAgainAsOftenAsThePolicySays) {
  memory_.faults().add({.calls = {StorageCall::kPut}, .times = 2, .error = kBroken});
  EXPECT_TRUE(storage_.put(key("a"), as_bytes("x")));
  EXPECT_EQ(memory_.faults().hits(), 2u);
  memory_.faults().add({.calls = {StorageCall::kPut}, .times = 3, .error = kBroken});
  EXPECT_EQ(storage_.put(key("a"), as_bytes("x")).error().kind(), ErrorKind::kTransient);
}

TEST_F(RetryingStorageTest, OtherErrorsAreNotTriedAgain) {
  memory_.faults().add(
      {.calls = {StorageCall::kGet}, .times = Fault::kEveryTime, .error = Error::denied("no")});
  EXPECT_EQ(storage_.get(key("a"), 9).error().kind(), ErrorKind::kDenied);
  EXPECT_EQ(memory_.faults().hits(), 1u);
}

TEST_F(RetryingStorageTest, AConflictWithItsOwnLostAnswerIsSuccess) {
  memory_.faults().add(
      {.calls = {StorageCall::kPutIfAbsent}, .moment = Fault::Moment::kInFlight, .error = kBroken});
  EXPECT_TRUE(storage_.put_if_absent(key("a"), as_bytes("mine")));
  memory_.power_loss();
  EXPECT_EQ(memory_.get(key("a"), 9).value(), bytes_of("mine"));
}

TEST_F(RetryingStorageTest, AConflictWithOtherBytesStays) {
  for (const char* other : {"othr", "longer", "s"}) {
    ASSERT_TRUE(memory_.put(key(other), as_bytes(other)));
    memory_.faults().add({.calls = {StorageCall::kPutIfAbsent}, .error = kBroken});
    EXPECT_EQ(storage_.put_if_absent(key(other), as_bytes("mine")).error().kind(),
              ErrorKind::kConflict);
  }
}

TEST_F(RetryingStorageTest, AConflictOnTheFirstAttemptStaysThoughTheBytesAreTheSame) {
  ASSERT_TRUE(memory_.put(key("a"), as_bytes("x")));
  EXPECT_EQ(storage_.put_if_absent(key("a"), as_bytes("x")).error().kind(), ErrorKind::kConflict);
}

TEST_F(RetryingStorageTest, AStopEndsTheWaiting) {
  std::stop_source stop;
  stop.request_stop();
  RetryingStorage stopped(memory_, {.first_delay = Milliseconds(60'000)}, stop.get_token());
  memory_.faults().add({.calls = {StorageCall::kPut}, .error = kBroken});
  EXPECT_EQ(stopped.put(key("a"), {}).error().kind(), ErrorKind::kTransient);
}

}  // namespace
}  // namespace pitr
