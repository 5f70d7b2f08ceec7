// The server over TCP: whatever clients send or leave out, others are served, and what is too much
// is refused with an answer.
#include <sys/resource.h>

#include <atomic>
#include <thread>

#include "http/server.h"
#include "support/raw_socket.h"

namespace pitr::http {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using testing_support::connect_to_port;
using testing_support::RawConnection;

class TcpServerTest : public testing::Test {
 protected:
  TcpServerTest() {
    router_.add("GET", "/metrics", [](const Request&) {
      Response response;
      response.body = "all is well\n";
      return response;
    });
  }
  void start() {
    auto server = Server::start(options_, router_);
    ASSERT_TRUE(server) << server.error().message();
    server_ = std::move(*server);
  }
  RawConnection connection() { return RawConnection(connect_to_port(server_->port())); }
  std::string exchange(std::string_view bytes) {
    auto client = connection();
    client.send(bytes);
    return client.read_to_end();
  }
  std::string scrape() { return exchange("GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n"); }

  TcpServerOptions options_;
  Router router_;
  std::unique_ptr<Server> server_;
};

TEST_F(TcpServerTest, ServesWhatItsRouterHasAndNothingElse) {
  start();
  EXPECT_THAT(scrape(), testing::EndsWith("\r\n\r\nall is well\n"));
  EXPECT_THAT(exchange("GET /v1/status HTTP/1.1\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(exchange("POST /metrics HTTP/1.1\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 405"));
}

TEST_F(TcpServerTest, ListensOnlyWhereItWasTold) {
  options_.address = "127.0.0.2";
  start();
  EXPECT_THROW(connection(), std::runtime_error);  // 127.0.0.1
  server_.reset();
  options_.address = "::1";
  if (const auto v6 = Server::start(options_, router_); !v6) {
    EXPECT_EQ(v6.error().kind(), ErrorKind::kInvalid);  // a machine without IPv6
  }
}

TEST_F(TcpServerTest, AnAddressThatCannotBeHadIsAnErrorThatSaysWhy) {
  start();
  options_.port = server_->port();
  const auto second = Server::start(options_, router_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kConflict);
  options_.address = "192.0.2.1";  // of the range for documentation
  EXPECT_EQ(Server::start(options_, router_).error().kind(), ErrorKind::kInvalid);
  options_.address = "localhost";
  EXPECT_EQ(Server::start(options_, router_).error().kind(), ErrorKind::kInvalid);
}

TEST_F(TcpServerTest, MalformedAndHugeRequestsAreRefused) {
  start();
  EXPECT_THAT(exchange("\x16\x03\x01\x02 nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(exchange("GET /metrics HTTP/9.9\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(exchange("GET /../../etc/passwd HTTP/1.1\r\nConnection: close\r\n\r\n"),
              testing::Not(StartsWith("HTTP/1.1 200")));
  EXPECT_THAT(exchange("GET /" + std::string(1 << 20, 'x')), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(exchange("GET /metrics HTTP/1.1\r\nX: " + std::string(1 << 20, 'x') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(exchange("POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(scrape(), HasSubstr("all is well"));
}

// All threads are taken by clients that send a byte now and then, and the queue by others: each is
// cut off by its own deadline, and the scrape behind them comes.
TEST_F(TcpServerTest, SlowClientsAreCutOffAndDoNotShutOutOthers) {
  options_.limits.connections = 2;
  options_.limits.request_timeout = Milliseconds(100);
  start();
  std::vector<RawConnection> slow;
  for (int i = 0; i < 6; ++i) {
    slow.push_back(connection());
    slow.back().send("GET /met");
  }
  std::jthread dripping([&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      for (auto& client : slow) client.send("r");
      std::this_thread::sleep_for(Milliseconds(20));
    }
  });
  EXPECT_THAT(scrape(), HasSubstr("all is well"));
  dripping = {};
  for (auto& client : slow) EXPECT_THAT(client.read_to_end(), StartsWith("HTTP/1.1 408"));
}

TEST_F(TcpServerTest, BeyondItsLimitsItRefusesAtOnce) {
  options_.limits.connections = 1;
  options_.limits.waiting = 1;
  std::atomic<bool> go_on = false;
  std::atomic<int> handling = 0;
  router_.add("GET", "/wait", [&](const Request& request) {
    ++handling;
    while (!go_on && !request.stop.stop_requested()) std::this_thread::yield();
    return Response();
  });
  start();
  const std::string request = "GET /wait HTTP/1.1\r\nConnection: close\r\n\r\n";
  auto served = connection();
  served.send(request);
  while (handling == 0) std::this_thread::yield();
  auto waiting = connection();
  waiting.send(request);
  // Whichever of them comes first takes the place in the queue; the others are refused meanwhile.
  for (int i = 0; i < 300; ++i) {
    auto client = connection();
    client.send(request);
    ASSERT_THAT(client.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 503")) << i;
  }
  go_on = true;
  EXPECT_THAT(served.read_to_end(), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(waiting.read_to_end(), StartsWith("HTTP/1.1 200"));
}

// A thousand at once. Each gets a whole answer, be it the page or the refusal; and
// afterwards the server is as before.
TEST_F(TcpServerTest, AThousandParallelConnectionsAreServedOrRefused) {
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  files.rlim_cur = files.rlim_max;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  if (files.rlim_cur < 2500) GTEST_SKIP() << "only " << files.rlim_cur << " open files are allowed";
  start();
  std::vector<RawConnection> clients;
  for (int i = 0; i < 1000; ++i) clients.push_back(connection());
  for (auto& client : clients) client.send("GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n");
  int served = 0, refused = 0;
  for (auto& client : clients) {
    const auto answer = client.read_to_end();
    served += answer.ends_with("\r\n\r\nall is well\n");
    refused += answer.starts_with("HTTP/1.1 503") && answer.ends_with("try again");
  }
  EXPECT_EQ(served + refused, 1000) << served << " served, " << refused << " refused";
  EXPECT_GE(served, 1);
  EXPECT_THAT(scrape(), HasSubstr("all is well"));
}

TEST_F(TcpServerTest, StopEndsPromptlyAndFreesTheAddress) {
  start();
  auto idle = connection();
  auto half = connection();
  half.send("GET /met");
  options_.port = server_->port();
  const auto begin = std::chrono::steady_clock::now();
  server_->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  EXPECT_TRUE(Server::start(options_, router_));
}

}  // namespace
}  // namespace pitr::http
