#include "http/client.h"

#include <thread>

#include "support/raw_socket.h"

namespace pitr::http {
namespace {

using testing_support::ScriptedServer;

class ClientTest : public testing::Test {
 protected:
  ClientTest() {
    std::string name = testing::TempDir() + "pitr-http-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    socket_ = directory_ / "s";
  }
  ~ClientTest() override { std::filesystem::remove_all(directory_); }

  Result<Response> get(ClientOptions options = {}) {
    return Client(socket_, options).send(Request::create("GET", "/a").value());
  }
  Result<Response> get_lines(ClientOptions options, std::vector<std::string>& lines) {
    return Client(socket_, options)
        .for_each_line(Request::create("GET", "/a").value(),
                       [&](std::string_view line) -> Result<void> {
                         lines.emplace_back(line);
                         return {};
                       });
  }

  Path directory_;
  Path socket_;
};

TEST_F(ClientTest, NobodyThereIsNotFound) {
  EXPECT_EQ(get().error().kind(), ErrorKind::kNotFound);
  socket_ = "/nonexistent/directory/s";
  EXPECT_EQ(get().error().kind(), ErrorKind::kNotFound);
}

TEST_F(ClientTest, AnAnswerThatDoesNotComeIsTransient) {
  ScriptedServer server(socket_, "HTTP/1.1 200 OK\r\n", ScriptedServer::After::kHold);
  EXPECT_EQ(get({.timeout = Milliseconds(50)}).error().kind(), ErrorKind::kTransient);
}

TEST_F(ClientTest, AnAnswerThatIsCutOffIsTransient) {
  for (const char* answer :
       {"", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"}) {
    ScriptedServer server(socket_, answer);
    const auto response = get();
    ASSERT_FALSE(response) << answer;
    EXPECT_EQ(response.error().kind(), ErrorKind::kTransient) << answer;
  }
}

TEST_F(ClientTest, AnAnswerThatIsNotHttpOrHasNoLengthIsCorrupt) {
  for (const char* answer : {"SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nabc",
                             "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"}) {
    ScriptedServer server(socket_, answer);
    const auto response = get();
    ASSERT_FALSE(response) << answer;
    EXPECT_EQ(response.error().kind(), ErrorKind::kCorrupt) << answer;
  }
}

TEST_F(ClientTest, AnAnswerBeyondTheLimitsIsCorrupt) {
  {
    ScriptedServer server(socket_, "HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x'));
    EXPECT_EQ(get().error().kind(), ErrorKind::kCorrupt);
  }
  {
    ScriptedServer server(socket_, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n0123456789\n");
    EXPECT_EQ(get({.body_limit_bytes = 10}).error().kind(), ErrorKind::kCorrupt);
  }
  {
    ScriptedServer server(socket_,
                          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "5\r\n01234\r\n6\r\n56789\n\r\n0\r\n\r\n");
    EXPECT_EQ(get({.body_limit_bytes = 10}).error().kind(), ErrorKind::kCorrupt);
    std::vector<std::string> lines;
    EXPECT_EQ(get_lines({.line_limit_bytes = 9}, lines).error().kind(), ErrorKind::kCorrupt);
    EXPECT_TRUE(lines.empty());
    EXPECT_TRUE(get_lines({.body_limit_bytes = 1, .line_limit_bytes = 10}, lines));
    EXPECT_EQ(lines, std::vector<std::string>{"0123456789"});
  }
}

TEST_F(ClientTest, AHostileLengthIsRefusedBeforeItIsReserved) {
  ScriptedServer server(socket_,
                        "HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000000\r\n\r\nx\n");
  std::vector<std::string> lines;
  EXPECT_EQ(get().error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(get_lines({}, lines).error().kind(), ErrorKind::kCorrupt);
}

TEST_F(ClientTest, AnErrorInsteadOfLinesIsAResponse) {
  ScriptedServer server(socket_, "HTTP/1.1 409 Conflict\r\nContent-Length: 9\r\n\r\none\ntwo\n\n");
  std::vector<std::string> lines;
  const auto response = get_lines({}, lines);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 409);
  EXPECT_EQ(response->error().message(), "one\ntwo");
  EXPECT_TRUE(lines.empty());
}

TEST_F(ClientTest, AnErrorOfTheLineHandlerEndsTheExchange) {
  ScriptedServer server(socket_, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\none\n",
                        ScriptedServer::After::kHold);
  const auto response = Client(socket_).for_each_line(
      Request::create("GET", "/a").value(),
      [](std::string_view) -> Result<void> { return Error::conflict("enough"); });
  EXPECT_EQ(response.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(response.error().message(), "enough");
}

TEST_F(ClientTest, StopEndsTheWait) {
  ScriptedServer server(socket_, "", ScriptedServer::After::kHold);
  std::stop_source stop;
  std::jthread stopper([&] {
    server.wait_for_request();
    stop.request_stop();
  });
  const auto response =
      Client(socket_).send(Request::create("GET", "/a").value(), stop.get_token());
  EXPECT_EQ(response.error().kind(), ErrorKind::kCancelled);
}

}  // namespace
}  // namespace pitr::http
