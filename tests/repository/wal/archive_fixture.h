// A repository on each kind of store, and WAL to put into it, for the tests of this folder.
#pragma once

#include <random>

#include "repository/wal/wal_archive.h"
#include "storage/local/local_storage.h"
#include "storage/memory/memory_storage.h"
#include "support/must.h"
#include "support/temporary_directory.h"

namespace pitr::test {

inline const IncarnationId kIncarnation{"main", 7301234567890123456, 15};
inline const SegmentSize kSmallSegments = SegmentSize::from_bytes(1 << 20).value();

inline SegmentId segment_number(std::uint64_t number, std::uint32_t timeline = 1) {
  return {TimelineId(timeline), number};
}

// Half compressible, half not; the same for the same seed.
inline Bytes make_wal(std::uint64_t seed, std::size_t size_bytes = kSmallSegments.bytes()) {
  std::mt19937_64 random(seed);
  Bytes bytes(size_bytes);
  for (std::size_t i = 0; i + 8 <= size_bytes; i += 8) {
    store<std::uint64_t>(bytes.data() + i, i % 128 < 64 ? random() : seed);
  }
  return bytes;
}

inline KeyEncryptionKey make_key() {
  return must(KeyEncryptionKey::generate());
}

// An encrypted repository with one incarnation of small segments.
class TestRepository {
 public:
  explicit TestRepository(Storage& storage)
      : key_(make_key()), repository_(must(Repository::init(storage, key_))) {}

  const KeyEncryptionKey& key() const { return key_; }
  Repository& repository() { return *repository_; }
  IncarnationStore store() { return {*repository_, kIncarnation, kSmallSegments}; }

 private:
  KeyEncryptionKey key_;
  std::unique_ptr<Repository> repository_;
};

inline Bytes stored_bytes(Storage& storage, const ObjectKey& key) {
  return must(storage.get(key, 1ull << 30));
}

// Damage: what no writer does.
inline void replace_object(Storage& storage, const ObjectKey& key, ByteView bytes) {
  must(storage.remove(key));
  must(storage.put(key, bytes));
}
inline void flip_byte(Storage& storage, const ObjectKey& key, std::size_t at) {
  auto bytes = stored_bytes(storage, key);
  bytes.at(at) ^= 0x20;
  replace_object(storage, key, bytes);
}
inline void swap_objects(Storage& storage, const ObjectKey& a, const ObjectKey& b) {
  const auto bytes_of_a = stored_bytes(storage, a);
  const auto bytes_of_b = stored_bytes(storage, b);
  replace_object(storage, a, bytes_of_b);
  replace_object(storage, b, bytes_of_a);
}

inline std::vector<std::string> keys_below(Storage& storage, std::string_view prefix) {
  std::vector<std::string> keys;
  for (const auto& object : must(list_all(storage, prefix))) keys.push_back(object.key.text());
  return keys;
}

// What went wrong, for EXPECT_EQ; fails where nothing did.
template <typename T>
ErrorKind kind_of(const Result<T>& result) {
  EXPECT_FALSE(result.has_value());
  return result.has_value() ? ErrorKind::kInternal : result.error().kind();
}

enum class StoreKind { kMemory, kMemoryWithoutAppend, kLocal };

// Runs a test on every kind of store.
class OnEveryStore : public testing::TestWithParam<StoreKind> {
 protected:
  OnEveryStore() : directory_(must(TemporaryDirectory::create())) {
    if (GetParam() == StoreKind::kLocal) {
      storage_ = must(LocalStorage::create(directory_ / "repository", clock_));
    } else {
      const bool can_append = GetParam() == StoreKind::kMemory;
      storage_ = std::make_unique<MemoryStorage>(
          clock_, MemoryStorageOptions{.seed = 1, .can_append = can_append, .list_page_size = 3});
    }
  }

  Storage& storage() { return *storage_; }

 private:
  SystemClock clock_;
  TemporaryDirectory directory_;
  std::unique_ptr<Storage> storage_;
};

inline std::string store_name(const testing::TestParamInfo<StoreKind>& info) {
  switch (info.param) {
    case StoreKind::kMemory:
      return "Memory";
    case StoreKind::kMemoryWithoutAppend:
      return "MemoryWithoutAppend";
    case StoreKind::kLocal:
      return "Local";
  }
  return "";
}

}  // namespace pitr::test
