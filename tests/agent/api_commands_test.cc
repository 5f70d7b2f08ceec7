// The endpoints of a real agent on its socket, and the commands that go through it: the same
// output, exit code and audit entries as without an agent.
#include <nlohmann/json.hpp>
#include <sstream>

#include "agent/pitr_site.h"

namespace pitr::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class ApiCommandsTest : public testing::Test {
 protected:
  ApiCommandsTest() : cluster_(started_cluster({.wal_segment_size_mb = 1})), site_(cluster_) {
    run({"pitr", "init"});
    agent_.emplace(site_.start_agent());
  }
  std::string run(const std::vector<std::string>& arguments, int expected_exit_code = 0) {
    const auto output = site_.run(arguments);
    EXPECT_EQ(output.status.exit_code, expected_exit_code) << output.out << output.err;
    return output.out;
  }
  http::Response ask(std::string_view method, std::string_view target, std::string body = "") {
    const auto request = must(http::Request::create(method, target, std::move(body)));
    return must(http::Client(site_.socket()).send(request));
  }
  json get(std::string_view target) {
    const auto response = ask("GET", target);
    EXPECT_EQ(response.status, 200) << response.body;
    return json::parse(response.body);
  }
  std::vector<json> entries(const std::string& operation) {
    std::istringstream lines(run({"pitr", "audit", "--json", "--operation", operation}));
    std::vector<json> found;
    for (std::string line; std::getline(lines, line);) found.push_back(json::parse(line));
    return found;
  }
  void damage_packs() {
    int damaged = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(site_.repository())) {
      if (!entry.is_regular_file() || !entry.path().native().contains("/pack/")) continue;
      auto bytes = must(read_text_file(entry.path()));
      if (bytes.empty()) continue;  // the storage's own
      bytes.at(bytes.size() / 2) ^= 1;
      std::filesystem::remove(entry.path());
      write_text(entry.path(), bytes);
      ++damaged;
    }
    ASSERT_GT(damaged, 0);
  }

  TestCluster cluster_;
  PitrSite site_;
  std::optional<Subprocess> agent_;
};

TEST_F(ApiCommandsTest, ReadsTellWhatTheCommandsTell) {
  run({"pitr", "backup", "--label", "first"});
  const auto listed = json::parse(run({"pitr", "list", "--json"}));
  EXPECT_EQ(get("/v1/clusters/main/backups"), listed);
  const auto id = listed.at("backups").at(0).at("id").get<std::string>();
  const auto shown = json::parse(run({"pitr", "show", "--json"}));
  for (const auto& name : {id, id.substr(0, 12), std::string("latest")}) {
    EXPECT_EQ(get("/v1/clusters/main/backups/" + name), shown) << name;
  }
  EXPECT_EQ(ask("GET", "/v1/clusters/main/backups/19990101").status, 404);
  const auto window = get("/v1/clusters/-/recovery-window");
  EXPECT_EQ(window.at("cluster"), "main");
  EXPECT_EQ(window.at("recovery_windows").at(0).at("backup"), id);
}

TEST_F(ApiCommandsTest, VerifyAndExpireAreDoneByTheAgentAndSaySo) {
  run({"pitr", "backup"});
  const auto by_agent = json::parse(run({"pitr", "verify", "--json", "--reason", "audit"}));
  run({"pitr", "expire", "--reason", "full disk"});
  const auto text = run({"pitr", "expire", "--dry-run"});
  agent_.reset();
  auto alone = json::parse(run({"pitr", "verify", "--json"}));
  const auto of = [](const json& report, const char* member) {
    return report.at("clusters").at(0).at(member);
  };
  EXPECT_EQ(of(by_agent, "backups"), of(alone, "backups"));
  EXPECT_EQ(of(by_agent, "depth"), of(alone, "depth"));
  EXPECT_EQ(run({"pitr", "expire", "--dry-run"}).substr(0, 12), text.substr(0, 12));
  run({"pitr", "verify", "--no-record"});

  const auto verified = entries("verify");
  ASSERT_EQ(verified.size(), 2u);
  EXPECT_EQ(verified[0].at("program"), "pitr-agent");
  EXPECT_EQ(verified[0].at("user"), verified[1].at("user"));
  EXPECT_EQ(verified[0].at("reason"), "audit");
  EXPECT_EQ(verified[0].at("details").at("depth"), "full");
  EXPECT_EQ(verified[1].at("program"), "pitr");
  const auto expired = entries("expire");
  ASSERT_EQ(expired.size(), 1u);
  EXPECT_EQ(expired[0].at("program"), "pitr-agent");
  EXPECT_EQ(expired[0].at("reason"), "full disk");
}

TEST_F(ApiCommandsTest, WhatTheAgentDidByHandCountsInTheMetrics) {
  run({"pitr", "backup"});
  run({"pitr", "verify", "--quick"});
  run({"pitr", "verify"});
  run({"pitr", "expire"});
  const auto page = ask("GET", "/metrics").body;
  for (const char* kind : {"verify", "expire"}) {
    EXPECT_THAT(
        page,
        HasSubstr(fmt::format(
            "pitr_job_runs_total{{cluster=\"main\",kind=\"{}\",outcome=\"success\"}} 1\n", kind)));
  }
}

TEST_F(ApiCommandsTest, DamageIsToldAlikeWithAndWithoutAnAgent) {
  run({"pitr", "backup"});
  damage_packs();
  const auto by_agent = run({"pitr", "verify", "--quick", "--no-record"}, 5);
  agent_.reset();
  EXPECT_EQ(run({"pitr", "verify", "--quick", "--no-record"}, 5), by_agent);
  EXPECT_THAT(by_agent, HasSubstr("damaged"));
}

TEST_F(ApiCommandsTest, AnAgentWithAnotherPolicyDeletesNothing) {
  run({"pitr", "backup"});
  auto yaml = must(read_text_file(site_.config_file()));
  write_text(site_.config_file(), yaml + "retention: {keep_last: 1, keep_within: 1h}\n");
  const auto refused = site_.run({"pitr", "expire"});
  EXPECT_EQ(refused.status.exit_code, 4) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("systemctl reload pitr-agent"));
  run({"pitr", "expire", "--dry-run"});
}

TEST_F(ApiCommandsTest, RequestsThatAreNotUnderstoodAreRefused) {
  EXPECT_EQ(ask("POST", "/v1/clusters/main/verify", R"({"quik":true})").status, 400);
  EXPECT_EQ(ask("POST", "/v1/clusters/main/verify", R"({"quick":true,"period_s":5})").status, 400);
  EXPECT_EQ(ask("POST", "/v1/clusters/main/expire", R"({"dry_run":"yes"})").status, 400);
  EXPECT_EQ(ask("POST", "/v1/clusters/main/expire", "[]").status, 400);
  EXPECT_EQ(ask("POST", "/v1/clusters/nobody/expire").status, 404);
  EXPECT_EQ(ask("DELETE", "/v1/clusters/main/backups").status, 405);
  const auto missing = site_.run({"pitr", "verify", "--backup", "19990101"});
  EXPECT_EQ(missing.status.exit_code, 3) << missing.err;
}

}  // namespace
}  // namespace pitr::test
