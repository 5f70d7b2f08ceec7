#include "common/bounded_queue.h"

#include <thread>

namespace pitr {
namespace {

TEST(BoundedQueueTest, AClosedQueueStillDeliversWhatIsInIt) {
  BoundedQueue<int> queue(2);
  ASSERT_TRUE(queue.push(1));
  ASSERT_TRUE(queue.push(2));
  queue.close();
  EXPECT_EQ(queue.pop().value(), 1);
  EXPECT_EQ(queue.pop().value(), 2);
  EXPECT_EQ(queue.pop().value(), std::nullopt);
  EXPECT_FALSE(queue.push(3));
}

TEST(BoundedQueueTest, AnAbortReachesBothSides) {
  BoundedQueue<int> queue(1);
  ASSERT_TRUE(queue.push(1));
  std::jthread aborter([&] { queue.abort(Error::transient("storage away")); });
  EXPECT_EQ(queue.push(2).error().message(), "storage away");
  EXPECT_EQ(queue.pop().error().message(), "storage away");
}

TEST(BoundedQueueTest, AStopWakesABlockedReader) {
  BoundedQueue<int> queue(1);
  std::jthread reader([&](std::stop_token stop) {
    EXPECT_EQ(queue.pop(stop).error().kind(), ErrorKind::kCancelled);
  });
  reader.request_stop();
}

}  // namespace
}  // namespace pitr
