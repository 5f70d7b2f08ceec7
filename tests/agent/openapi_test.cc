// docs/openapi.json against the agent: its routes against the table both ways, and what a running
// agent answers against its schemas.
#include "agent/api/openapi.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "agent/api/api_route.h"
#include "agent/json_schema.h"
#include "agent/pitr_site.h"
#include "storage/memory/memory_storage.h"

namespace pitr::test {
namespace {

using nlohmann::json;

const json& document() {
  static const json parsed =
      json::parse(must(read_text_file(Path(PITR_SOURCE_DIRECTORY) / "docs/openapi.json")));
  return parsed;
}

TEST(OpenApiTest, DescribesEveryRouteAndNoOther) {
  SystemClock clock;
  MemoryStorage storage(clock);
  const auto repository = must(Repository::init(storage, std::nullopt));
  const auto config = PitrSite("host=/nonexistent").config();
  ClusterService service(*repository, config.clusters.front(), clock);
  const Notifier notifier(clock, "db1");
  Metrics metrics(config, *repository, {&service}, nullptr, notifier, clock);
  const AgentMembers members;
  const EventLog events;
  const ApiContext context{members, *repository, metrics, events};
  std::set<std::string> served, described;
  for (const auto& route : api_routes(context)) {
    served.insert(fmt::format("{} {} {}{}", route.method, route.pattern,
                              to_string(route.least_role),
                              route.reach == Reach::kSocketOnly ? " socket" : ""));
  }
  for (const auto& [path, operations] : document().at("paths").items()) {
    for (const auto& [method, operation] : operations.items()) {
      described.insert(fmt::format("{} {} {}{}", method == "get" ? "GET" : "POST", path,
                                   operation.at("x-role").get<std::string>(),
                                   operation.value("x-socket-only", false) ? " socket" : ""));
    }
  }
  EXPECT_EQ(served, described) << "left: the agent, right: docs/openapi.json";
  EXPECT_EQ(json::parse(openapi_text()), document());
}

class OpenApiAnswersTest : public testing::Test {
 protected:
  OpenApiAnswersTest() : cluster_(started_cluster({.wal_segment_size_mb = 1})), site_(cluster_) {
    must(run_command({PitrSite::program("pitr"), "init", "--config", site_.config_file()}));
    agent_.emplace(site_.start_agent());
  }
  http::Response ask(const std::string& method, const std::string& path, const std::string& body) {
    return must(http::Client(site_.socket()).send(must(http::Request::create(method, path, body))));
  }
  // Of the real answer, each line of it.
  void check(const std::string& method, const std::string& pattern, const std::string& path,
             const std::string& body = "") {
    const auto response = ask(method, path, body);
    ASSERT_EQ(response.status, 200) << path << ": " << response.body;
    const auto& operation = document().at("paths").at(pattern).at(method == "GET" ? "get" : "post");
    const auto& content = operation.at("responses").at("200").at("content");
    ASSERT_TRUE(content.contains(response.content_type)) << path << " " << response.content_type;
    const auto& schema = content.at(response.content_type).at("schema");
    std::istringstream lines(response.body);
    std::string last;
    for (std::string line; std::getline(lines, line);) {
      last = line;
      EXPECT_EQ(JsonSchema(document()).problem(schema, json::parse(line)), "") << path;
    }
    if (method == "POST") EXPECT_EQ(json::parse(last).at("event"), "done") << last;
  }

  TestCluster cluster_;
  PitrSite site_;
  std::optional<Subprocess> agent_;
};

TEST_F(OpenApiAnswersTest, AreAsDescribed) {
  const std::string cluster = "/v1/clusters/{cluster}";
  check("GET", "/v1/status", "/v1/status");
  ASSERT_TRUE(eventually([&] {
    return ask("GET", "/v1/status", "").body.find("\"streaming\"") != std::string::npos;
  }));
  for (int i = 0; i < 2; ++i) {
    check("POST", cluster + "/backups", "/v1/clusters/main/backups", R"({"label":"x"})");
  }
  check("GET", "/v1/status", "/v1/status");
  check("GET", cluster + "/status", "/v1/clusters/main/status");
  check("GET", cluster + "/recovery-window", "/v1/clusters/main/recovery-window");
  check("GET", cluster + "/backups", "/v1/clusters/main/backups");
  check("GET", cluster + "/backups/{backup}", "/v1/clusters/main/backups/latest");
  check("POST", cluster + "/verify", "/v1/clusters/main/verify", R"({"quick":true})");
  check("POST", cluster + "/verify", "/v1/clusters/main/verify");
  check("POST", cluster + "/expire", "/v1/clusters/main/expire", R"({"dry_run":true})");
  check("POST", cluster + "/expire", "/v1/clusters/main/expire");
  check("GET", "/v1/events", "/v1/events?limit=3");
  const auto events = ask("GET", "/v1/events?limit=1000", "").body;
  for (const char* type : {"agent_started", "backup_created", "verification_completed"}) {
    EXPECT_NE(events.find(type), std::string::npos) << events;
  }
  EXPECT_EQ(json::parse(ask("GET", "/v1/openapi.json", "").body), document());
}

}  // namespace
}  // namespace pitr::test
