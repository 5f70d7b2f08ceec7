#include "http/server.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <future>
#include <thread>

#include "http/client.h"
#include "support/raw_socket.h"

namespace pitr::http {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using testing_support::RawConnection;

constexpr auto kForever = std::chrono::seconds(30);

Request request(std::string_view method, std::string_view target, std::string body = "") {
  return Request::create(method, target, std::move(body)).value();
}

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    std::string name = testing::TempDir() + "pitr-http-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    options_.socket_path = directory_ / "s";
    router_.add("GET", "/hello/{name}", [](const Request& r) {
      return Response::json("\"" + r.parameter("name") + r.query_value("q") + "\"");
    });
    router_.add("POST", "/echo", [](const Request& r) {
      Response response;
      response.body = r.header("x-before") + r.body;
      return response;
    });
  }
  ~ServerTest() override {
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  void start() {
    auto server = Server::start(options_, router_);
    ASSERT_TRUE(server) << server.error().message();
    server_ = std::move(*server);
  }
  Client client(Milliseconds timeout = kForever) const {
    return Client(options_.socket_path, {.timeout = timeout});
  }
  std::string exchange(std::string_view bytes) {
    RawConnection connection(options_.socket_path);
    connection.send(bytes);
    return connection.read_to_end();
  }

  Path directory_;
  ServerOptions options_;
  Router router_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, ARequestReachesItsHandlerAndTheAnswerComesBack) {
  start();
  const auto hello = client().send(request("GET", "/hello/a%20b?q=%3F"));
  ASSERT_TRUE(hello) << hello.error().message();
  EXPECT_EQ(hello->status, 200);
  EXPECT_EQ(hello->content_type, "application/json");
  EXPECT_EQ(hello->body, "\"a b?\"");
  auto post = request("POST", "/echo", std::string(500'000, 'x'));
  post.headers["x-before"] = "<";
  EXPECT_EQ(client().send(post).value().body, "<" + std::string(500'000, 'x'));
}

TEST_F(ServerTest, AHeaderValueCannotStartALineOfItsOwn) {
  router_.add("GET", "/error", [](const Request&) {
    return Response::of(Error::conflict("two\nlines").with_hint("a\r\nX-Evil: yes"));
  });
  start();
  const auto response = client().send(request("GET", "/error")).value();
  EXPECT_EQ(response.headers.count("x-evil"), 0u);
  EXPECT_EQ(response.error().message(), "two\nlines");
  EXPECT_EQ(response.error().hint(), "a  X-Evil: yes");
}

TEST_F(ServerTest, AConnectionIsKeptForFurtherRequests) {
  start();
  RawConnection connection(options_.socket_path);
  connection.send("GET /hello/a HTTP/1.1\r\n\r\n");
  EXPECT_THAT(connection.read_until("\"a\""), StartsWith("HTTP/1.1 200 OK\r\n"));
  // Two at once, and the last one closes.
  connection.send(
      "GET /hello/b HTTP/1.1\r\n\r\nGET /hello/c HTTP/1.1\r\nConnection: close\r\n\r\n");
  const auto both = connection.read_to_end();
  EXPECT_THAT(both, HasSubstr("\"b\""));
  EXPECT_THAT(both, HasSubstr("\"c\""));
}

TEST_F(ServerTest, WhatIsNotARequestIsRefused) {
  start();
  EXPECT_THAT(exchange("\x16\x03\x01 nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(exchange("GET nowhere HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(exchange("GET /%zz HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(exchange("POST /echo HTTP/1.1\r\nContent-Length: x\r\n\r\n"),
              StartsWith("HTTP/1.1 400"));
  EXPECT_TRUE(client().send(request("GET", "/hello/x")));  // and the server is still there
}

TEST_F(ServerTest, WhatIsTooLongIsRefused) {
  options_.limits.header_bytes = 1000;
  options_.limits.body_bytes = 1000;
  start();
  EXPECT_THAT(exchange("GET /hello/a HTTP/1.1\r\nX: " + std::string(2000, 'x') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(exchange("GET /" + std::string(100'000, 'x')), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(exchange("POST /echo HTTP/1.1\r\nContent-Length: 1001\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(exchange("POST /echo HTTP/1.1\r\nContent-Length: 1001\r\n\r\nX: y\r\n\r\n" +
                       std::string(993, 'x')),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(exchange("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" +
                       std::string(2000, 'x') + "\r\n0\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  const auto large = client().send(request("POST", "/echo", std::string(4 << 20, 'x')));
  ASSERT_TRUE(large) << large.error().message();
  EXPECT_EQ(large->status, 413);
}

// Beast has no limits for what stands between and behind chunks, and throws at the longest fields.
TEST_F(ServerTest, NothingIsReadWithoutEndBesideTheBody) {
  start();
  const std::string chunked = "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  const auto trailer = [&](std::size_t size) {
    return chunked + "0\r\nX: " + std::string(size, 'a') + "\r\n\r\n";
  };
  EXPECT_THAT(exchange(trailer(100)), StartsWith("HTTP/1.1 200"));
  for (const std::size_t size : {60'000, 70'000, 2'000'000}) {
    EXPECT_THAT(exchange(trailer(size)), StartsWith("HTTP/1.1 431")) << size;
  }
  EXPECT_THAT(exchange(chunked + "1;" + std::string(2'000'000, 'a')), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(exchange(chunked + "0\r\n" + std::string(2'000'000, 'a')),
              StartsWith("HTTP/1.1 431"));
  EXPECT_TRUE(client().send(request("GET", "/hello/x")));
}

TEST_F(ServerTest, FieldsBehindTheBodyCountForNothing) {
  start();
  EXPECT_THAT(
      exchange("POST /echo HTTP/1.1\r\nX-Before: first \r\nConnection: close\r\n"
               "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Before: second\r\n\r\n"),
      HasSubstr("\r\n\r\nfirstok"));
}

// What such a request's end is, two servers could see differently.
TEST_F(ServerTest, ABodyWhoseEndIsUnclearIsRefused) {
  start();
  for (const std::string encoding : {"gzip", "xchunked", "chunked, identity"}) {
    for (const std::string length : {"", "Content-Length: 2\r\n"}) {
      EXPECT_THAT(exchange("POST /echo HTTP/1.1\r\nTransfer-Encoding: " + encoding + "\r\n" +
                           length + "\r\nok"),
                  StartsWith("HTTP/1.1 400"))
          << encoding << length;
    }
  }
  const auto head = exchange("HEAD /hello/a HTTP/1.1\r\n\r\nGET /hello/b HTTP/1.1\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("Connection: close"));
  EXPECT_THAT(head, testing::Not(HasSubstr("\"b\"")));
}

// The request is never whole, and there is always something to read.
TEST_F(ServerTest, AClientThatNeverStopsSendingIsRefusedAtTheDeadline) {
  options_.limits.request_timeout = Milliseconds(200);
  options_.limits.body_bytes = std::size_t{1} << 40;
  router_.add("POST", "/drop", [](const Request&) { return Response(); });
  start();
  RawConnection connection(options_.socket_path);
  connection.send("POST /drop HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::jthread sending([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) connection.send("1\r\nx\r\n");
  });
  EXPECT_THAT(connection.read_until("\r\n"), StartsWith("HTTP/1.1 408"));
}

TEST_F(ServerTest, AClientThatExpectsContinueIsAsked) {
  start();
  RawConnection connection(options_.socket_path);
  connection.send("POST /echo HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(connection.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  connection.send("ok");
  EXPECT_THAT(connection.read_until("\r\n\r\nok"), StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, AClientThatSendsTooSlowlyIsRefused) {
  options_.limits.request_timeout = Milliseconds(50);
  start();
  EXPECT_THAT(exchange("GET /hello"), StartsWith("HTTP/1.1 408"));
  EXPECT_THAT(exchange("POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nab"),
              StartsWith("HTTP/1.1 408"));
  EXPECT_EQ(exchange(""), "");  // nothing at all: closed without a word
}

TEST_F(ServerTest, AnIdleConnectionIsClosed) {
  options_.limits.idle_timeout = Milliseconds(50);
  start();
  EXPECT_THAT(exchange("GET /hello/a HTTP/1.1\r\n\r\n"), HasSubstr("\"a\""));
}

TEST_F(ServerTest, MoreClientsThanThreadsAreAllServed) {
  options_.limits.connections = 2;
  start();
  std::vector<std::jthread> clients;
  std::atomic<int> served = 0;
  for (int i = 0; i < 20; ++i) {
    clients.emplace_back([&] { served += client().send(request("GET", "/hello/x")).has_value(); });
  }
  clients.clear();
  EXPECT_EQ(served, 20);
}

TEST_F(ServerTest, ClientsThatKeepTheirConnectionsDoNotShutOutOthers) {
  options_.limits.connections = 4;
  start();
  std::vector<RawConnection> kept;
  for (int i = 0; i < 8; ++i) {
    kept.emplace_back(options_.socket_path);
    kept.back().send("GET /hello/a HTTP/1.1\r\n\r\n");
    EXPECT_THAT(kept.back().read_until("\"a\""), HasSubstr("200 OK"));
  }
  EXPECT_TRUE(client().send(request("GET", "/hello/x")));
}

TEST_F(ServerTest, AStreamArrivesLineByLine) {
  std::promise<void> first_seen;
  router_.add("GET", "/progress", [&](const Request&) {
    return Response::ndjson([&](ResponseStream& stream) -> Result<void> {
      TRY(stream.write("{\"n\":1}\n{\"n\""));
      // The client has the first line before the second one is there.
      if (first_seen.get_future().wait_for(kForever) != std::future_status::ready) {
        return Error::internal("the first line did not arrive");
      }
      TRY(stream.write(":2}\n"));
      return stream.write("last");
    });
  });
  start();
  std::vector<std::string> lines;
  const auto response = client().for_each_line(request("GET", "/progress"),
                                               [&](std::string_view line) -> Result<void> {
                                                 lines.emplace_back(line);
                                                 if (lines.size() == 1) first_seen.set_value();
                                                 return {};
                                               });
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->content_type, "application/x-ndjson");
  EXPECT_EQ(lines, (std::vector<std::string>{"{\"n\":1}", "{\"n\":2}", "last"}));
}

TEST_F(ServerTest, AStreamThatFailsIsNotTakenForWhole) {
  router_.add("GET", "/progress", [](const Request&) {
    return Response::ndjson([](ResponseStream& stream) -> Result<void> {
      TRY(stream.write("line\n"));
      return Error::internal("broken half-way");
    });
  });
  start();
  int lines = 0;
  const auto response =
      client().for_each_line(request("GET", "/progress"), [&](std::string_view) -> Result<void> {
        ++lines;
        return {};
      });
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().kind(), ErrorKind::kTransient);
  EXPECT_EQ(lines, 1);
}

TEST_F(ServerTest, AStreamNoticesThatItsClientWent) {
  std::promise<ErrorKind> ended;
  router_.add("GET", "/progress", [&](const Request&) {
    return Response::ndjson([&](ResponseStream& stream) -> Result<void> {
      for (;;) {
        auto written = stream.write("line\n");
        if (written) continue;
        EXPECT_TRUE(stream.client_gone());
        ended.set_value(written.error().kind());
        return written;
      }
    });
  });
  start();
  {
    RawConnection connection(options_.socket_path);
    connection.send("GET /progress HTTP/1.1\r\n\r\n");
    EXPECT_THAT(connection.read_some(), HasSubstr("200"));
  }
  EXPECT_EQ(ended.get_future().get(), ErrorKind::kCancelled);
}

TEST_F(ServerTest, AStreamGivesUpOnAClientThatDoesNotRead) {
  options_.limits.write_timeout = Milliseconds(50);
  std::promise<ErrorKind> ended;
  router_.add("GET", "/progress", [&](const Request&) {
    return Response::ndjson([&](ResponseStream& stream) -> Result<void> {
      for (const std::string chunk(100'000, 'x');;) {
        auto written = stream.write(chunk);
        if (written) continue;
        ended.set_value(written.error().kind());
        return written;
      }
    });
  });
  start();
  RawConnection connection(options_.socket_path);
  connection.send("GET /progress HTTP/1.1\r\n\r\n");
  EXPECT_EQ(ended.get_future().get(), ErrorKind::kCancelled);
}

TEST_F(ServerTest, StopEndsPromptlyWithClientsInEveryState) {
  std::promise<void> streaming, handling;
  router_.add("GET", "/stream", [&](const Request&) {
    return Response::ndjson([&](ResponseStream& stream) -> Result<void> {
      streaming.set_value();
      for (const std::string chunk(100'000, 'x');;) TRY(stream.write(chunk));  // blocks: not read
    });
  });
  router_.add("GET", "/slow", [&](const Request& r) {
    handling.set_value();
    while (!r.stop.stop_requested()) std::this_thread::yield();
    return Response::of(Error::cancelled("stopped"));
  });
  start();
  RawConnection idle(options_.socket_path), half(options_.socket_path);
  RawConnection slow(options_.socket_path), not_reading(options_.socket_path);
  half.send("GET /he");
  slow.send("GET /slow HTTP/1.1\r\n\r\n");
  not_reading.send("GET /stream HTTP/1.1\r\n\r\n");
  handling.get_future().wait();
  streaming.get_future().wait();
  const auto begin = std::chrono::steady_clock::now();
  server_->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  EXPECT_THAT(slow.read_to_end(), StartsWith("HTTP/1.1 503"));
  EXPECT_EQ(idle.read_to_end(), "");
  EXPECT_FALSE(std::filesystem::exists(options_.socket_path));
  EXPECT_EQ(client().send(request("GET", "/hello/x")).error().kind(), ErrorKind::kNotFound);
}

TEST_F(ServerTest, TheSocketHasItsModeAndAStaleOneIsReplaced) {
  {
    // Somebody bound the socket and died.
    UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    const auto address = testing_support::unix_address(options_.socket_path);
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  EXPECT_EQ(client().send(request("GET", "/hello/x")).error().kind(), ErrorKind::kNotFound);
  options_.mode = 0620;
  start();
  struct stat made{};
  ASSERT_EQ(::lstat(options_.socket_path.c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 0777, 0620u);
  EXPECT_TRUE(client().send(request("GET", "/hello/x")));
}

TEST_F(ServerTest, ASocketThatAnswersIsLeftAlone) {
  start();
  const auto second = Server::start(options_, router_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kConflict);
  EXPECT_TRUE(client().send(request("GET", "/hello/x")));

  // Also where the other one knows nothing of the lock.
  testing_support::ScriptedServer other(directory_ / "other", "");
  options_.socket_path = directory_ / "other";
  EXPECT_EQ(Server::start(options_, router_).error().kind(), ErrorKind::kConflict);
}

TEST_F(ServerTest, AFileThatIsNotASocketIsLeftAlone) {
  std::ofstream(options_.socket_path) << "precious";
  const auto server = Server::start(options_, router_);
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(read_text_file(options_.socket_path).value(), "precious");
}

TEST_F(ServerTest, AnUnknownGroupOrAPathTooLongIsRefused) {
  options_.group = "no-such-group-here";
  EXPECT_EQ(Server::start(options_, router_).error().kind(), ErrorKind::kInvalid);
  EXPECT_FALSE(std::filesystem::exists(options_.socket_path));
  options_.group.reset();
  options_.socket_path = directory_ / std::string(120, 'x');
  EXPECT_EQ(Server::start(options_, router_).error().kind(), ErrorKind::kInvalid);
}

}  // namespace
}  // namespace pitr::http
