// What every Storage must do, as one parameterised suite. A backend's own test file instantiates
// it:
//
//   INSTANTIATE_TEST_SUITE_P(Memory, StorageConformanceTest, testing::Values(kMemory),
//   factory_name);
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "storage/storage.h"

namespace pitr {

// A fresh, empty storage and whatever it stands on.
class StorageUnderTest {
 public:
  virtual ~StorageUnderTest() = default;
  virtual Storage& storage() = 0;
};

struct StorageFactory {
  std::string name;
  std::function<std::unique_ptr<StorageUnderTest>()> make;
};

inline std::string factory_name(const testing::TestParamInfo<StorageFactory>& info) {
  return info.param.name;
}

class StorageConformanceTest : public testing::TestWithParam<StorageFactory> {
 protected:
  StorageConformanceTest() : under_test_(GetParam().make()), storage_(under_test_->storage()) {}

  std::unique_ptr<StorageUnderTest> under_test_;
  Storage& storage_;
};

inline ObjectKey key(std::string_view text) {
  return ObjectKey::from_parts(text);
}
Bytes bytes_of(std::string_view text);
Bytes random_bytes(std::size_t size, std::uint64_t seed);
// Of every page in order.
std::vector<std::string> listed_keys(Storage& storage, std::string_view prefix);

}  // namespace pitr
