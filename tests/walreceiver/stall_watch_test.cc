#include "walreceiver/stall_watch.h"

#include <poll.h>
#include <sys/socket.h>

#include "common/file.h"

namespace pitr {
namespace {

class StallWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    int fds[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    ours = UniqueFd(fds[0]);
    servers = UniqueFd(fds[1]);
  }
  // Whether the server's end sees the connection end within this time.
  bool sees_end_within(Milliseconds timeout) {
    pollfd polled{servers.get(), POLLIN, 0};
    if (::poll(&polled, 1, static_cast<int>(timeout.count())) != 1) return false;
    char byte = 0;
    return ::recv(servers.get(), &byte, 1, 0) == 0;
  }

  UniqueFd ours;
  UniqueFd servers;
};

TEST_F(StallWatchTest, AWriteThatHangsCutsTheConnection) {
  StallWatch watch(ours.get(), Milliseconds(50));
  const auto guard = watch.storing();
  ASSERT_TRUE(sees_end_within(Milliseconds(10'000)));
  char byte = 0;
  EXPECT_EQ(::recv(ours.get(), &byte, 1, 0), 0);
}

TEST_F(StallWatchTest, ManyWritesThatReturnInTimeAndIdlenessDoNot) {
  StallWatch watch(ours.get(), Milliseconds(200));
  for (int i = 0; i < 5; ++i) {
    const auto guard = watch.storing();
    EXPECT_FALSE(sees_end_within(Milliseconds(60)));
  }
  EXPECT_FALSE(sees_end_within(Milliseconds(400)));
  EXPECT_FALSE(watch.has_cut());
}

TEST_F(StallWatchTest, DestructionDoesNotWaitForTheTimeout) {
  const auto before = std::chrono::steady_clock::now();
  {
    StallWatch watch(ours.get(), Milliseconds(600'000));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(60));
  EXPECT_FALSE(sees_end_within(Milliseconds(0)));
}

}  // namespace
}  // namespace pitr
