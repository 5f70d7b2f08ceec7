// Every query of the packaged dashboard, asked of a real Prometheus that scrapes a real agent under
// load, gives data; and none of the packaged alerts fires there that should not.
#include <nlohmann/json.hpp>
#include <regex>

#include "agent/prometheus_server.h"
#include "agent/scraped_site.h"
#include "support/pgbench.h"

namespace pitr::test {
namespace {

using Json = nlohmann::json;

const Path kSource = PITR_SOURCE_DIRECTORY;

// Grafana's variables as it would fill them in for all clusters of one agent.
std::string filled_in(std::string query, int agent_port) {
  const auto instance = fmt::format("127.0.0.1:{}", agent_port);
  query = std::regex_replace(query, std::regex(R"(\$instance\b)"), instance);
  query = std::regex_replace(query, std::regex(R"(\$cluster\b)"), "main");
  return std::regex_replace(query, std::regex(R"(\$__rate_interval\b)"), "1m");
}

std::vector<std::string> dashboard_queries() {
  const auto text = must(read_text_file(kSource / "packaging/grafana/pitr.json"));
  const auto dashboard = Json::parse(text);
  std::vector<std::string> queries;
  for (const auto& panel : dashboard.at("panels")) {
    if (panel.at("type") == "row") continue;
    for (const auto& target : panel.at("targets")) queries.push_back(target.at("expr"));
  }
  return queries;
}

TEST(DashboardTest, EveryQueryGivesDataOnARealAgent) {
  const auto queries = dashboard_queries();
  ASSERT_GE(queries.size(), 30u);
  ScrapedSite site;
  const PrometheusServer prometheus(site.port());
  must(PgBench::initialize(site.cluster()));
  const auto load = must(PgBench::start(site.cluster(), {.rate_per_second = 50}));
  ASSERT_TRUE(site.take_both_backups());
  // Something for the histogram of archive_command.
  const auto segment = switch_segment(site.cluster());
  site.run({"pitr-archive", segment.native()});

  for (const auto& query : queries) {
    const auto asked = filled_in(query, site.port());
    ASSERT_EQ(asked.find('$'), std::string::npos) << "an unknown variable: " << asked;
    EXPECT_TRUE(eventually([&] { return prometheus.answers(asked); }, Seconds(90)))
        << asked << "\n"
        << prometheus.query(asked).err << prometheus.log();
  }

  // A quantile of nothing is NaN, which is data too; archiving has happened, so it is a number.
  const auto waits = filled_in(
      "histogram_quantile(0.99, sum by (le) (pitr_archive_request_duration_seconds_bucket))",
      site.port());
  EXPECT_EQ(prometheus.query(waits).out.find("NaN"), std::string::npos);
  EXPECT_TRUE(prometheus.answers("absent(ALERTS{alertstate=\"firing\",severity=\"critical\"})"))
      << prometheus.query("ALERTS").out;
}

TEST(DashboardTest, PanelsDoNotOverlapAndHaveTheirOwnNumbers) {
  const auto dashboard = Json::parse(must(read_text_file(kSource / "packaging/grafana/pitr.json")));
  std::set<int> ids;
  std::set<std::pair<int, int>> taken;
  for (const auto& panel : dashboard.at("panels")) {
    EXPECT_TRUE(ids.insert(panel.at("id").get<int>()).second) << panel.at("title");
    const auto& place = panel.at("gridPos");
    const int x = place.at("x"), y = place.at("y"), w = place.at("w"), h = place.at("h");
    EXPECT_LE(x + w, 24) << panel.at("title");
    for (int i = x; i < x + w; ++i) {
      for (int j = y; j < y + h; ++j) {
        EXPECT_TRUE(taken.insert({i, j}).second) << panel.at("title");
      }
    }
  }
}

}  // namespace
}  // namespace pitr::test
