#include "storage/conformance.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <random>
#include <set>
#include <thread>

namespace pitr {

Bytes bytes_of(std::string_view text) {
  const ByteView view = as_bytes(text);
  return Bytes(view.begin(), view.end());
}

Bytes random_bytes(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

std::vector<std::string> listed_keys(Storage& storage, std::string_view prefix) {
  const auto objects = list_all(storage, prefix);
  EXPECT_TRUE(objects.has_value()) << objects.error().message();
  std::vector<std::string> keys;
  if (objects) {
    for (const auto& object : *objects) keys.push_back(object.key.text());
  }
  return keys;
}

namespace {

constexpr std::uint64_t kLimit = 64 << 20;

TEST_P(StorageConformanceTest, APutObjectIsReadBackWhole) {
  const Bytes bytes = random_bytes(100'000, 1);
  ASSERT_TRUE(storage_.put(key("backup/b1/pack-000001"), bytes));
  EXPECT_EQ(storage_.get(key("backup/b1/pack-000001"), kLimit).value(), bytes);
  const auto info = storage_.stat(key("backup/b1/pack-000001"));
  ASSERT_TRUE(info);
  EXPECT_EQ(info->size_bytes, bytes.size());
  EXPECT_EQ(info->key.text(), "backup/b1/pack-000001");
  EXPECT_GT(info->modified, Timestamp::from_unix_us(0));
}

TEST_P(StorageConformanceTest, NamesOfAllKindsWork) {
  const std::vector<std::string> names = {"a",
                                          "A",
                                          "0",
                                          "x/y/z",
                                          "a-b_c.d",
                                          "UPPER/lower",
                                          "wal/00000001/00000000/tail-00.partial",
                                          std::string(255, 'n'),
                                          std::string(250, 'p') + "/" + std::string(250, 'q'),
                                          "trailing.",
                                          "-"};
  for (const auto& name : names) ASSERT_TRUE(storage_.put(key(name), as_bytes(name))) << name;
  for (const auto& name : names) {
    EXPECT_EQ(storage_.get(key(name), kLimit).value(), bytes_of(name)) << name;
  }
  EXPECT_EQ(listed_keys(storage_, "").size(), names.size());
}

TEST_P(StorageConformanceTest, AnEmptyObjectExists) {
  ASSERT_TRUE(storage_.put(key("empty"), {}));
  EXPECT_EQ(storage_.get(key("empty"), 0).value(), Bytes());
  EXPECT_EQ(storage_.stat(key("empty"))->size_bytes, 0u);
  EXPECT_TRUE(storage_.get_range(key("empty"), 0, {}));
}

TEST_P(StorageConformanceTest, PuttingTheSameBytesAgainSucceeds) {
  ASSERT_TRUE(storage_.put(key("a/b"), as_bytes("same")));
  ASSERT_TRUE(storage_.put(key("a/b"), as_bytes("same")));
  EXPECT_EQ(storage_.get(key("a/b"), kLimit).value(), bytes_of("same"));
  EXPECT_EQ(listed_keys(storage_, ""), std::vector<std::string>{"a/b"});
}

TEST_P(StorageConformanceTest, GetRefusesAnObjectAboveTheLimit) {
  ASSERT_TRUE(storage_.put(key("a"), as_bytes("12345")));
  EXPECT_TRUE(storage_.get(key("a"), 5));
  EXPECT_EQ(storage_.get(key("a"), 4).error().kind(), ErrorKind::kInvalid);
}

TEST_P(StorageConformanceTest, AnExpectedRangeNeedNotBeThere) {
  const Bytes bytes = random_bytes(10'000, 3);
  ASSERT_TRUE(storage_.put(key("r"), bytes));
  storage_.expect_range(key("r"), 1000, 2000);
  storage_.expect_range(key("r"), 9000, 2000);
  storage_.expect_range(key("r"), 20'000, 1);
  storage_.expect_range(key("missing"), 0, 1);
  EXPECT_EQ(storage_.get(key("r"), kLimit).value(), bytes);
  EXPECT_EQ(listed_keys(storage_, ""), std::vector<std::string>{"r"});
}

TEST_P(StorageConformanceTest, RangesAreExact) {
  const Bytes bytes = random_bytes(10'000, 2);
  ASSERT_TRUE(storage_.put(key("r"), bytes));
  const auto range = [&](std::uint64_t offset, std::size_t size) {
    Bytes into(size);
    const auto got = storage_.get_range(key("r"), offset, into);
    if (!got) return Result<Bytes>(got.error());
    return Result<Bytes>(into);
  };
  const auto part = [&](std::size_t from, std::size_t to) {
    return Bytes(bytes.begin() + static_cast<long>(from), bytes.begin() + static_cast<long>(to));
  };
  EXPECT_EQ(range(0, 1).value(), part(0, 1));
  EXPECT_EQ(range(4095, 2).value(), part(4095, 4097));
  EXPECT_EQ(range(9'999, 1).value(), part(9'999, 10'000));
  EXPECT_EQ(range(0, 10'000).value(), bytes);
  EXPECT_EQ(range(10'000, 0).value(), Bytes());
  EXPECT_EQ(range(9'999, 2).error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(range(10'000, 1).error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(range(20'000, 1).error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(range(~0ull, 2).error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(range(1ull << 63, 2).error().kind(), ErrorKind::kCorrupt);
}

TEST_P(StorageConformanceTest, WhatIsMissingIsNotFoundInEveryCall) {
  ASSERT_TRUE(storage_.put(key("there/object"), as_bytes("x")));
  // Also below an object, and at the place of a directory.
  for (const char* name : {"missing", "missing/below", "there/other", "there", "there/object/b"}) {
    Bytes into(1);
    EXPECT_EQ(storage_.get(key(name), kLimit).error().kind(), ErrorKind::kNotFound) << name;
    EXPECT_EQ(storage_.get_range(key(name), 0, into).error().kind(), ErrorKind::kNotFound) << name;
    EXPECT_EQ(storage_.get_range(key(name), 0, {}).error().kind(), ErrorKind::kNotFound) << name;
    EXPECT_EQ(storage_.stat(key(name)).error().kind(), ErrorKind::kNotFound) << name;
    EXPECT_EQ(storage_.ensure_durable(key(name)).error().kind(), ErrorKind::kNotFound) << name;
    EXPECT_TRUE(storage_.remove(key(name))) << name;
  }
  EXPECT_EQ(listed_keys(storage_, "missing/"), std::vector<std::string>{});
  EXPECT_EQ(listed_keys(storage_, ""), std::vector<std::string>{"there/object"});
}

TEST_P(StorageConformanceTest, ARemovedObjectIsGoneAndCanBePutAgain) {
  ASSERT_TRUE(storage_.put(key("a/b/c"), as_bytes("1")));
  ASSERT_TRUE(storage_.remove(key("a/b/c")));
  EXPECT_EQ(storage_.stat(key("a/b/c")).error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(listed_keys(storage_, ""), std::vector<std::string>{});
  ASSERT_TRUE(storage_.put_if_absent(key("a/b/c"), as_bytes("2")));
  EXPECT_EQ(storage_.get(key("a/b/c"), kLimit).value(), bytes_of("2"));
}

TEST_P(StorageConformanceTest, PutIfAbsentRefusesAnExistingObject) {
  ASSERT_TRUE(storage_.put_if_absent(key("lock/1"), as_bytes("first")));
  EXPECT_EQ(storage_.put_if_absent(key("lock/1"), as_bytes("second")).error().kind(),
            ErrorKind::kConflict);
  EXPECT_EQ(storage_.put_if_absent(key("lock/1"), as_bytes("first")).error().kind(),
            ErrorKind::kConflict);
  EXPECT_EQ(storage_.get(key("lock/1"), kLimit).value(), bytes_of("first"));
  EXPECT_TRUE(storage_.ensure_durable(key("lock/1")));
}

TEST_P(StorageConformanceTest, ExactlyOneOfSeveralPutIfAbsentWins) {
  constexpr int kThreads = 4;
  for (int round = 0; round < 25; ++round) {
    const ObjectKey contested = key(fmt::format("race/{}/object", round));
    std::latch start(kThreads);
    std::atomic<int> winners = 0;
    std::atomic<int> winner = -1;
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < kThreads; ++i) {
        threads.emplace_back([&, i] {
          start.arrive_and_wait();
          const auto stored = storage_.put_if_absent(contested, as_bytes(std::to_string(i)));
          if (stored) {
            ++winners;
            winner = i;
          } else {
            EXPECT_EQ(stored.error().kind(), ErrorKind::kConflict) << stored.error().message();
          }
        });
      }
    }
    ASSERT_EQ(winners, 1);
    EXPECT_EQ(storage_.get(contested, kLimit).value(), bytes_of(std::to_string(winner)));
  }
}

TEST_P(StorageConformanceTest, AnUploadIsInvisibleUntilCommitted) {
  auto upload = storage_.start_upload(key("p/1")).value();
  ASSERT_TRUE(upload->write(as_bytes("one")));
  ASSERT_TRUE(upload->write({}));
  ASSERT_TRUE(upload->write(as_bytes("two")));
  EXPECT_EQ(storage_.stat(key("p/1")).error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(listed_keys(storage_, ""), std::vector<std::string>{});
  ASSERT_TRUE(upload->commit());
  EXPECT_EQ(storage_.get(key("p/1"), kLimit).value(), bytes_of("onetwo"));
  EXPECT_FALSE(upload->write(as_bytes("late")));
  EXPECT_FALSE(upload->commit());
  upload.reset();
  EXPECT_EQ(storage_.get(key("p/1"), kLimit).value(), bytes_of("onetwo"));
}

TEST_P(StorageConformanceTest, AnUploadDestroyedWithoutCommitLeavesNothing) {
  {
    auto upload = storage_.start_upload(key("p/1")).value();
    ASSERT_TRUE(upload->write(random_bytes(3 << 20, 3)));
  }
  EXPECT_EQ(storage_.stat(key("p/1")).error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(listed_keys(storage_, ""), std::vector<std::string>{});
}

TEST_P(StorageConformanceTest, LargeObjectsKeepTheirBytes) {
  const Bytes bytes = random_bytes(20 << 20, 4);
  ASSERT_TRUE(storage_.put(key("large/put"), bytes));
  auto upload = storage_.start_upload(key("large/upload")).value();
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t size = std::min<std::size_t>(700'001, bytes.size() - at);
    ASSERT_TRUE(upload->write(ByteView(bytes).subspan(at, size)));
    at += size;
  }
  ASSERT_TRUE(upload->commit());
  EXPECT_TRUE(storage_.get(key("large/put"), kLimit).value() == bytes);
  EXPECT_TRUE(storage_.get(key("large/upload"), kLimit).value() == bytes);
  Bytes into(65'536);
  ASSERT_TRUE(storage_.get_range(key("large/upload"), 19'000'001, into));
  EXPECT_TRUE(std::equal(into.begin(), into.end(), bytes.begin() + 19'000'001));
}

TEST_P(StorageConformanceTest, AppendedBytesAreVisibleAtOnce) {
  if (!storage_.supports_append()) {
    EXPECT_EQ(storage_.start_append(key("t")).error().kind(), ErrorKind::kInvalid);
    GTEST_SKIP() << "this storage cannot append";
  }
  auto appender = storage_.start_append(key("wal/1/tail-0")).value();
  EXPECT_EQ(storage_.stat(key("wal/1/tail-0"))->size_bytes, 0u);
  Bytes all;
  for (int i = 0; i < 20; ++i) {
    const Bytes part = random_bytes(static_cast<std::size_t>(i) * 777, static_cast<unsigned>(i));
    ASSERT_TRUE(appender->append(part));
    all.insert(all.end(), part.begin(), part.end());
    ASSERT_EQ(storage_.stat(key("wal/1/tail-0"))->size_bytes, all.size());
  }
  EXPECT_EQ(storage_.get(key("wal/1/tail-0"), kLimit).value(), all);
  EXPECT_EQ(storage_.start_append(key("wal/1/tail-0")).error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(storage_.put_if_absent(key("wal/1/tail-0"), {}).error().kind(), ErrorKind::kConflict);
  appender.reset();
  EXPECT_TRUE(storage_.ensure_durable(key("wal/1/tail-0")));
  EXPECT_EQ(storage_.get(key("wal/1/tail-0"), kLimit).value(), all);
  ASSERT_TRUE(storage_.remove(key("wal/1/tail-0")));
  EXPECT_TRUE(storage_.start_append(key("wal/1/tail-0")));
}

TEST_P(StorageConformanceTest, ListsAscendByTheBytesOfTheWholeKey) {
  // '-' and '.' sort before '/', digits and letters after it.
  std::vector<std::string> names = {"a-b",  "a.b", "a/b",    "a/b-c/d",  "a/b.c",   "a/bc",
                                    "a0",   "a_",  "aa/x",   "B/y",      "b/c/d/e", "b/c-d",
                                    "b/c0", "z",   "a/b-c0", "a/b-c.x/1"};
  for (const auto& name : names) ASSERT_TRUE(storage_.put(key(name), as_bytes(name)));
  std::ranges::sort(names);
  EXPECT_EQ(listed_keys(storage_, ""), names);
  const ListPage page = storage_.list("", "").value();
  for (const auto& object : page.objects) {
    EXPECT_EQ(object.size_bytes, object.key.text().size());
  }
}

TEST_P(StorageConformanceTest, APrefixMayEndInTheMiddleOfAName) {
  const std::vector<std::string> names = {"wal/1/0001", "wal/1/0002", "wal/1/0002.tail-0",
                                          "wal/1/01",   "wal/10/1",   "walk/1"};
  for (const auto& name : names) ASSERT_TRUE(storage_.put(key(name), {}));
  using Keys = std::vector<std::string>;
  EXPECT_EQ(listed_keys(storage_, "wal/1/0002"), (Keys{"wal/1/0002", "wal/1/0002.tail-0"}));
  EXPECT_EQ(listed_keys(storage_, "wal/1/000"),
            (Keys{"wal/1/0001", "wal/1/0002", "wal/1/0002.tail-0"}));
  EXPECT_EQ(listed_keys(storage_, "wal/1").size(), 5u);
  EXPECT_EQ(listed_keys(storage_, "wal/1/").size(), 4u);
  EXPECT_EQ(listed_keys(storage_, "wal").size(), 6u);
  EXPECT_EQ(listed_keys(storage_, "walk"), Keys{"walk/1"});
  for (const char* none : {"x", "wal/2", "wal/1/0001/", "wal/1/0001x", "wal//", "/", "/wal", "..",
                           "../", "wal/../", ".", ".pitr-tmp/", "wal/1/.", "wal/\n"}) {
    EXPECT_EQ(listed_keys(storage_, none), Keys{}) << none;
  }
}

TEST_P(StorageConformanceTest, PagesJoinWithoutGapsOrRepeats) {
  std::vector<std::string> names;
  for (int i = 0; i < 2'300; ++i) {
    names.push_back(i % 3 == 0 ? fmt::format("many/{:04}/x", i) : fmt::format("many/{:04}", i));
    ASSERT_TRUE(storage_.put(key(names.back()), {}));
  }
  ASSERT_TRUE(storage_.put(key("other"), {}));
  EXPECT_EQ(listed_keys(storage_, "many/"), names);
  const auto first = storage_.list("many/", "").value();
  EXPECT_LE(first.objects.size(), 1000u);
  EXPECT_FALSE(first.next_token.empty());
  EXPECT_EQ(list_all(storage_, "many/", 100).error().kind(), ErrorKind::kInvalid);
}

TEST_P(StorageConformanceTest, ObjectsThatStayAreListedWhileOthersComeAndGo) {
  std::vector<std::string> names;
  for (int i = 0; i < 1'200; ++i) {
    names.push_back(fmt::format("stay/{:04}", i));
    ASSERT_TRUE(storage_.put(key(names.back()), {}));
  }
  std::jthread churn([&](const std::stop_token& stop) {
    for (int i = 0; !stop.stop_requested(); i = (i + 7) % 1'200) {
      const ObjectKey passing = key(fmt::format("stay/{:04}-passing", i));
      EXPECT_TRUE(storage_.put(passing, {}));
      EXPECT_TRUE(storage_.remove(passing));
    }
  });
  for (int round = 0; round < 5; ++round) {
    auto listed = listed_keys(storage_, "stay/");
    EXPECT_TRUE(std::ranges::is_sorted(listed));
    std::erase_if(listed, [](const auto& name) { return name.ends_with("-passing"); });
    ASSERT_EQ(listed, names);
  }
}

TEST_P(StorageConformanceTest, ThreadsWorkSideBySide) {
  constexpr int kThreads = 4;
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 30; ++i) {
        const ObjectKey name = key(fmt::format("shared/{}/{}", i % 5, t * 100 + i));
        const Bytes bytes = random_bytes(10'000, static_cast<unsigned>(t * 1000 + i));
        if (i % 2 == 0) {
          EXPECT_TRUE(storage_.put(name, bytes));
        } else {
          auto upload = storage_.start_upload(name).value();
          EXPECT_TRUE(upload->write(bytes));
          EXPECT_TRUE(upload->commit());
        }
        EXPECT_EQ(storage_.get(name, kLimit).value(), bytes);
        if (i % 3 != 0) continue;
        EXPECT_TRUE(storage_.remove(name));
      }
    });
  }
  threads.clear();
  EXPECT_EQ(listed_keys(storage_, "shared/").size(), kThreads * 20u);
}

}  // namespace
}  // namespace pitr
