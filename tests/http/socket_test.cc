#include "http/socket.h"

#include <sys/socket.h>

#include <array>

namespace pitr::http {
namespace {

// However much the other side sends, a request is over in time.
TEST(SocketTest, AReadBehindItsDeadlineFailsThoughSomethingIsThere) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  const UniqueFd other(ends[0]);
  const auto wake = Wake::create().value();
  const auto stream = make_stream(UniqueFd(ends[1]), wake);
  ASSERT_EQ(::send(other.get(), "ab", 2, MSG_NOSIGNAL), 2);
  std::array<char, 1> into{};
  const auto now = std::chrono::steady_clock::now();
  const auto late = stream->read_some(into, now - Milliseconds(1));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind(), ErrorKind::kTransient);
  EXPECT_EQ(stream->read_some(into, now + Seconds(30)).value(), 1u);
}

}  // namespace
}  // namespace pitr::http
