#include "restore/files/work_shares.h"

#include <atomic>

namespace pitr {
namespace {

TEST(WorkSharesTest, EveryItemIsTakenExactlyOnce) {
  for (const std::size_t count : {0, 1, 2, 7, 1000}) {
    for (const unsigned workers : {0u, 1u, 3u, 8u, 100u}) {
      std::vector<std::atomic<int>> taken(count);
      const auto done = share_work(count, workers, [&](WorkShares& shares, unsigned worker) {
        while (const auto item = shares.next(worker)) ++taken[*item];
        return Result<void>();
      });
      ASSERT_TRUE(done);
      for (const auto& times : taken) ASSERT_EQ(times, 1) << count << " items, " << workers;
    }
  }
}

TEST(WorkSharesTest, AWorkerHasNeighboursToItselfAndThenHelpsOthers) {
  WorkShares shares(10, 3);  // 0-3, 4-6, 7-9
  std::vector<std::size_t> order;
  for (int i = 0; i < 2; ++i) order.push_back(*shares.next(1));
  EXPECT_EQ(*shares.next(2), 7u);
  while (const auto item = shares.next(1)) order.push_back(*item);
  EXPECT_EQ(order, (std::vector<std::size_t>{4, 5, 6, 8, 9, 0, 1, 2, 3}));
  EXPECT_FALSE(shares.next(0));
}

TEST(WorkSharesTest, TheFirstErrorStopsTheOthersAndIsReturned) {
  std::atomic<std::size_t> taken = 0;
  const auto done = share_work(1'000'000, 4, [&](WorkShares& shares, unsigned worker) {
    while (const auto item = shares.next(worker)) {
      ++taken;
      if (*item == 0) return Result<void>(Error::invalid("item 0 is bad"));
    }
    return Result<void>();
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message(), "item 0 is bad");
  EXPECT_LE(taken, 1'000'000u);
}

TEST(WorkSharesTest, NothingIsGivenOutAfterStop) {
  WorkShares shares(3, 1);
  EXPECT_TRUE(shares.next(0));
  shares.stop();
  EXPECT_FALSE(shares.next(0));
}

}  // namespace
}  // namespace pitr
