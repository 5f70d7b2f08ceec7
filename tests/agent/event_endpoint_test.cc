#include <nlohmann/json.hpp>
#include <thread>

#include "agent/api/api_route.h"
#include "agent/pitr_site.h"
#include "common/latency_histogram.h"
#include "storage/memory/memory_storage.h"

namespace pitr::test {
namespace {

class EventEndpointTest : public testing::Test {
 protected:
  void publish(EventType type, const std::string& cluster) {
    Event event;
    event.type = type;
    event.cluster = cluster;
    event.message = "something";
    events_.publish(std::move(event));
  }
  http::Response ask(const std::string& query, const std::vector<std::string>& clusters = {}) {
    const auto request = must(http::Request::create("GET", "/v1/events" + query));
    const Caller caller{"token x", Role::kViewer, clusters};
    for (const auto& route : api_routes(context_)) {
      if (route.pattern == "/v1/events") return route.handler({request, caller});
    }
    throw std::runtime_error("no such route");
  }
  // "number cluster" of each, and what to ask for next.
  std::string answer(const std::string& query, const std::vector<std::string>& clusters = {}) {
    const auto json = nlohmann::json::parse(ask(query, clusters).body);
    std::string text;
    for (const auto& event : json.at("events")) {
      text += fmt::format("{} {}, ", event.at("number").get<int>(), event.value("cluster", "-"));
    }
    return text + fmt::format("after {}", json.at("after").get<int>());
  }

  SystemClock clock_;
  MemoryStorage storage_{clock_};
  std::unique_ptr<Repository> repository_ = must(Repository::init(storage_, std::nullopt));
  Config config_ = PitrSite("host=/nonexistent").config();
  ClusterService service_{*repository_, config_.clusters.front(), clock_};
  Notifier notifier_{clock_, "db1"};
  Metrics metrics_{config_, *repository_, {&service_}, nullptr, notifier_, clock_};
  AgentMembers members_;
  EventLog events_;
  ApiContext context_{members_, *repository_, metrics_, events_};
};

TEST_F(EventEndpointTest, GivesWhatIsNewerPageByPage) {
  EXPECT_EQ(answer(""), "after 0");
  publish(EventType::kAgentStarted, "");
  publish(EventType::kBackupCreated, "main");
  publish(EventType::kBackupFailure, "other");
  EXPECT_EQ(answer(""), "1 -, 2 main, 3 other, after 3");
  EXPECT_EQ(answer("?after=1&limit=1"), "2 main, after 2");
  EXPECT_EQ(answer("?after=3"), "after 3");
  // The agent was started again since that was the newest one.
  EXPECT_EQ(answer("?after=500"), "1 -, 2 main, 3 other, after 3");
}

TEST_F(EventEndpointTest, WhoMaySeeSomeClustersSeesNoOthers) {
  publish(EventType::kAgentStarted, "");
  publish(EventType::kBackupCreated, "other");
  publish(EventType::kBackupCreated, "main");
  EXPECT_EQ(answer("", {"main"}), "3 main, after 3");
  // And comes past them, page by page.
  EXPECT_EQ(answer("?limit=1", {"main"}), "3 main, after 3");
  EXPECT_EQ(answer("", {"third"}), "after 3");
}

TEST_F(EventEndpointTest, WaitsForTheNextOne) {
  publish(EventType::kAgentStarted, "");
  std::jthread later([&] {
    std::this_thread::sleep_for(Milliseconds(300));
    publish(EventType::kGapDetected, "main");
  });
  EXPECT_EQ(answer("?after=1&wait=30"), "2 main, after 2");
  const Stopwatch watch;
  EXPECT_EQ(answer("?after=2&wait=1"), "after 2");
  EXPECT_GE(watch.elapsed(), Milliseconds(900));
}

TEST_F(EventEndpointTest, RefusesWhatIsNoNumber) {
  for (const char* query : {"?after=x", "?limit=1001", "?wait=31", "?after=-1", "?limit=1.5"}) {
    const auto response = ask(query);
    EXPECT_EQ(response.status, 400) << query;
    EXPECT_NE(response.body.find("must be a number"), std::string::npos) << response.body;
  }
}

}  // namespace
}  // namespace pitr::test
