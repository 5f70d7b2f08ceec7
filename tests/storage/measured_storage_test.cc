#include "storage/measured/measured_storage.h"

#include <thread>

#include "storage/conformance.h"
#include "storage/memory/memory_storage.h"

namespace pitr {
namespace {

class MeasuredUnderTest : public StorageUnderTest {
 public:
  Storage& storage() override { return measured_; }

 private:
  SystemClock clock_;
  MemoryStorage memory_{clock_};
  StorageMeter meter_;
  MeasuredStorage measured_{memory_, meter_};
};

INSTANTIATE_TEST_SUITE_P(Measured, StorageConformanceTest,
                         testing::Values(StorageFactory{
                             "Memory", [] { return std::make_unique<MeasuredUnderTest>(); }}),
                         factory_name);

class MeasuredStorageTest : public testing::Test {
 protected:
  SystemClock clock_;
  MemoryStorage memory_{clock_};
  StorageMeter meter_;
  MeasuredStorage storage_{memory_, meter_};
};

std::uint64_t measured(const StorageMeter& meter, StorageRequest request) {
  std::uint64_t sum = 0;
  for (const auto count : meter.of(request).latency.snapshot().counts) sum += count;
  return sum;
}

TEST_F(MeasuredStorageTest, AnAnswerIsASuccessAndTroubleIsAFailure) {
  ASSERT_TRUE(storage_.put_if_absent(key("a"), as_bytes("x")));
  EXPECT_FALSE(storage_.put_if_absent(key("a"), as_bytes("y")));  // there already
  EXPECT_FALSE(storage_.get(key("b"), 10));                       // not there
  EXPECT_EQ(meter_.of(StorageRequest::kPut).succeeded, 2u);
  EXPECT_EQ(meter_.of(StorageRequest::kGet).succeeded, 1u);
  memory_.faults().add({.error = Error::transient("unplugged")});
  EXPECT_FALSE(storage_.stat(key("a")));
  EXPECT_EQ(meter_.of(StorageRequest::kStat).failed, 1u);
  EXPECT_EQ(meter_.of(StorageRequest::kStat).succeeded, 0u);
  EXPECT_EQ(measured(meter_, StorageRequest::kStat), 1u);
  EXPECT_EQ(measured(meter_, StorageRequest::kPut), 2u);
}

TEST_F(MeasuredStorageTest, StepsOfStreamsAreCounted) {
  auto upload = storage_.start_upload(key("u")).value();
  ASSERT_TRUE(upload->write(as_bytes("x")));
  ASSERT_TRUE(upload->commit());
  EXPECT_EQ(meter_.of(StorageRequest::kUpload).succeeded, 3u);
  auto appender = storage_.start_append(key("t")).value();
  ASSERT_TRUE(appender->append(as_bytes("x")));
  EXPECT_EQ(meter_.of(StorageRequest::kAppend).succeeded, 2u);
}

TEST_F(MeasuredStorageTest, WhatHangsIsInProgress) {
  const auto gate = std::make_shared<Gate>();
  memory_.faults().add({.gate = gate});
  std::jthread reader([&] { (void)storage_.stat(key("a")); });
  gate->wait_until_reached();
  EXPECT_EQ(meter_.in_progress(), 1u);
  gate->open();
  reader.join();
  EXPECT_EQ(meter_.in_progress(), 0u);
}

}  // namespace
}  // namespace pitr
