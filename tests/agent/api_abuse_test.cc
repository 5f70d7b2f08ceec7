// What hostile and broken clients send to a real agent's API: each is refused, archiving goes on
// meanwhile, and the agent is afterwards what it was before.
#include <random>

#include "agent/api_over_tcp.h"
#include "support/raw_socket.h"

namespace pitr::test {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::StartsWith;
using testing_support::RawConnection;

class ApiAbuseTest : public ApiOverTcpTest {
 protected:
  RawConnection connection() const {
    return RawConnection(testing_support::connect_to_port(port_.port()));
  }
  // What comes back until the agent closes; waits where it has no place just now.
  std::string answer_to(std::string_view bytes) const {
    for (int attempt = 0; attempt < 200; ++attempt) {
      auto client = connection();
      client.send(bytes);
      auto answer = client.read_to_end();
      if (!answer.starts_with("HTTP/1.1 429") && !answer.starts_with("HTTP/1.1 503")) return answer;
      std::this_thread::sleep_for(Milliseconds(100));
    }
    return "never a place";
  }
  std::size_t descriptors() const {
    const Path directory = "/proc/" + std::to_string(agent_->pid()) + "/fd";
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(directory),
                                                  std::filesystem::directory_iterator()));
  }
  void archive_a_segment() {
    const auto archived = site_.run({"pitr-archive", switch_segment(cluster_).native()});
    EXPECT_EQ(archived.status.exit_code, 0) << archived.err;
  }
  // It serves who may, has let go of what the others took, and ends well.
  void expect_unharmed(const std::string& viewer, std::size_t descriptors_before) {
    EXPECT_TRUE(eventually([&] { return ask("GET", "/v1/status", viewer) == 200; })) << body_;
    EXPECT_TRUE(eventually([&] { return descriptors() <= descriptors_before + 4; }))
        << descriptors() << " after " << descriptors_before;
    archive_a_segment();
    agent_->signal(SIGTERM);
    EXPECT_TRUE(must(agent_->wait()).success()) << agent_->err();
  }
};

constexpr std::string_view kWrongToken =
    "GET /v1/status HTTP/1.1\r\nAuthorization: Bearer pitr_x\r\nConnection: close\r\n\r\n";

TEST_F(ApiAbuseTest, AThousandWrongTokensAtOnce) {
  const auto viewer = token("grafana", "viewer");
  const auto before = descriptors();
  std::map<std::string, int> answers;
  std::mutex mutex;
  {
    std::vector<std::jthread> clients;
    for (int i = 0; i < 20; ++i) {
      clients.emplace_back([&] {
        std::vector<RawConnection> open;
        for (int k = 0; k < 50; ++k) open.push_back(connection());
        for (auto& client : open) client.send(kWrongToken);
        for (auto& client : open) {
          const auto status = client.read_to_end().substr(0, 12);
          const std::lock_guard lock(mutex);
          ++answers[status];
        }
      });
    }
    archive_a_segment();
    const auto scraped = must(http::Request::create("GET", "/metrics"));
    EXPECT_EQ(must(http::Client(site_.socket()).send(scraped)).status, 200);
  }
  int told = 0;
  for (const auto& [status, count] : answers) {
    EXPECT_THAT(status, AnyOf("HTTP/1.1 401", "HTTP/1.1 429", "HTTP/1.1 503", "")) << count;
    if (!status.empty()) told += count;
  }
  EXPECT_GT(told, 900);
  EXPECT_GT(answers["HTTP/1.1 401"], 0);
  EXPECT_GT(answers["HTTP/1.1 429"] + answers["HTTP/1.1 503"], 0);
  expect_unharmed(viewer, before);
}

TEST_F(ApiAbuseTest, HugeAndMalformedRequests) {
  const auto viewer = token("grafana", "viewer");
  const auto oper = token("deploy", "operator");
  const auto before = descriptors();
  const std::string huge(1 << 20, 'x');
  const auto post = [&](const std::string& header, const std::string& body) {
    return answer_to("POST /v1/clusters/main/backups HTTP/1.1\r\nConnection: close\r\n" +
                     ("Authorization: Bearer " + oper) + "\r\n" + header + "\r\n\r\n" + body);
  };
  EXPECT_THAT(answer_to("GET /" + huge), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(answer_to("GET /v1/status HTTP/1.1\r\nX: " + huge), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(answer_to("GET /v1/status HTTP/1.1\r\nAuthorization: Bearer " + huge),
              StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(post("Content-Length: 99999999999999999999", ""), StartsWith("HTTP/1.1 4"));
  EXPECT_THAT(post("Content-Length: 1073741824", ""), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(post("Content-Length: -1", ""), StartsWith("HTTP/1.1 4"));
  EXPECT_THAT(post("Content-Length: 2\r\nContent-Length: 3", "{} "), StartsWith("HTTP/1.1 4"));
  EXPECT_THAT(post("Transfer-Encoding: chunked\r\nContent-Length: 2", "{}"),
              StartsWith("HTTP/1.1 4"));
  EXPECT_THAT(post("Content-Length: 4", "{\"a\""), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(post("Content-Length: 15", R"({"label": 12345})"), StartsWith("HTTP/1.1 400"));
  const std::string open(500'000, '[');
  const std::string closed = "{\"x\":" + open + std::string(500'000, ']') + "}";
  for (const auto& nested : {open, closed}) {
    EXPECT_THAT(post(fmt::format("Content-Length: {}", nested.size()), nested),
                StartsWith("HTTP/1.1 400"));
  }
  EXPECT_THAT(answer_to("POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " +
                        std::string(70'000, 'a') + "\r\n\r\n"),
              StartsWith("HTTP/1.1 4"));
  EXPECT_THAT(answer_to("\x16\x03\x01\x02\x00\x01 a TLS client\r\n\r\n"),
              StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(answer_to("GET /v1/status HTTP/1.1\r\nAuthorization: Basic " + viewer + "\r\n" +
                        "Connection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(run({"pitr", "list", "--json"}), testing::Not(HasSubstr("\"id\"")))
      << "none of these began a backup";
  expect_unharmed(viewer, before);
}

// PITR_ABUSE_SEED repeats them.
TEST_F(ApiAbuseTest, RandomBytesAndBrokenRequests) {
  const char* given = std::getenv("PITR_ABUSE_SEED");
  const auto seed = given ? std::strtoull(given, nullptr, 10) : std::random_device()();
  SCOPED_TRACE(fmt::format("PITR_ABUSE_SEED={}", seed));
  std::mt19937_64 random(seed);
  const auto viewer = token("grafana", "viewer");
  const auto before = descriptors();
  const std::string request =
      "GET /v1/status?wait=1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + viewer +
      "\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
  for (int i = 0; i < 300; ++i) {
    auto bytes = request;
    for (auto changes = 1 + random() % 8; changes > 0; --changes) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    if (i % 3 == 0) bytes.resize(random() % bytes.size());
    auto client = connection();
    client.send(bytes);
  }
  expect_unharmed(viewer, before);
}

TEST_F(ApiAbuseTest, SlowClientsAndSuchThatDoNotRead) {
  const auto viewer = token("grafana", "viewer");
  const auto before = descriptors();
  const auto request =
      "GET /v1/status HTTP/1.1\r\nAuthorization: Bearer " + viewer + "\r\nX: \r\n\r\n";
  std::vector<RawConnection> slow, deaf;
  for (int i = 0; i < 30; ++i) slow.push_back(connection());
  for (int i = 0; i < 30; ++i) deaf.push_back(connection());
  const std::jthread dripping([&](const std::stop_token& stop) {
    for (std::size_t at = 0; !stop.stop_requested(); ++at) {
      for (auto& client : slow) client.send(std::string_view("GET /v1/status").substr(at % 14, 1));
      std::this_thread::sleep_for(Milliseconds(50));
    }
  });
  for (auto& client : deaf) {
    for (int i = 0; i < 100; ++i) client.send(request);
  }
  archive_a_segment();
  // Behind all of them, in its turn.
  EXPECT_TRUE(eventually([&] { return ask("GET", "/metrics") == 200; }, Seconds(90)));
  deaf.clear();
  expect_unharmed(viewer, before + slow.size());
}

}  // namespace
}  // namespace pitr::test
