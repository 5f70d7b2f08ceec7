// The audit trail as the programs leave it, with a real server: every operation that changed
// something has one entry that says who, why and how it ended; reading leaves none.
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "agent/audit/audit_trail.h"
#include "agent/pitr_site.h"

namespace pitr::test {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

class AuditTest : public ::testing::Test {
 protected:
  AuditTest() : cluster(started_cluster({.wal_segment_size_mb = 1})), site(cluster) {
    run({"pitr", "init"});
  }
  std::string run(std::vector<std::string> arguments, int expected_exit_code = 0) {
    const auto output = site.run(arguments);
    EXPECT_EQ(output.status.exit_code, expected_exit_code) << output.out << output.err;
    return output.out;
  }
  std::vector<json> entries(std::vector<std::string> filter = {}) {
    std::vector<std::string> arguments{"pitr", "audit", "--json"};
    arguments.insert(arguments.end(), filter.begin(), filter.end());
    std::istringstream lines(run(arguments));
    std::vector<json> found;
    for (std::string line; std::getline(lines, line);) {
      if (!line.empty()) found.push_back(json::parse(line));
    }
    return found;
  }
  std::vector<std::string> operations() {
    std::vector<std::string> names;
    for (const auto& entry : entries()) {
      names.push_back(entry.at("operation").get<std::string>() + " " +
                      entry.at("outcome").get<std::string>());
    }
    return names;
  }

  TestCluster cluster;
  PitrSite site;
};

TEST_F(AuditTest, EveryOperationLeavesOneEntryAndReadingNone) {
  const auto backup = json::parse(run({"pitr", "backup", "--json", "--reason", "before 1.2"}));
  const auto id = backup.at("id").get<std::string>();
  run({"pitr", "pin", id, "--label", "keep", "--reason", "the auditor asked"});
  run({"pitr", "unpin", id});
  run({"pitr", "expire", "--dry-run"});
  run({"pitr", "expire"});
  run({"pitr", "list"});
  run({"pitr", "status"}, 10);  // no agent
  const auto target = (site.home() / "restored").native();
  run({"pitr-restore", "--config", site.config_file().native(), "--latest", "--target-dir", target,
       "--reason", "drill"});
  // What cannot be planned touches nothing, and a dry run neither.
  run({"pitr-restore", "--config", site.config_file().native(), "--latest", "--dry-run"});
  run({"pitr-restore", "--config", site.config_file().native(), "--name", "nowhere", "--target-dir",
       target + "2"},
      3);

  EXPECT_THAT(operations(),
              ElementsAre("init success", "init success", "backup success", "pin success",
                          "unpin success", "expire success", "restore success"));
  const auto all = entries();
  EXPECT_EQ(all[0].at("details").at("repository"), "made");
  EXPECT_EQ(all[1].at("cluster"), "main");
  EXPECT_EQ(all[2].at("reason"), "before 1.2");
  EXPECT_EQ(all[2].at("details").at("backup"), id);
  EXPECT_EQ(all[2].at("user"), user_name(::geteuid()));
  EXPECT_EQ(all[2].at("program"), "pitr");
  EXPECT_EQ(all[3].at("reason"), "the auditor asked");
  EXPECT_EQ(all[6].at("reason"), "drill");
  EXPECT_EQ(all[6].at("program"), "pitr-restore");
  EXPECT_EQ(all[6].at("details").at("directory"), target);
  EXPECT_EQ(entries({"--operation", "pin"}).size(), 1u);
  EXPECT_EQ(entries({"--failures"}).size(), 0u);
  EXPECT_EQ(entries({"--until", "2020-01-01"}).size(), 0u);
  EXPECT_THAT(run({"pitr", "audit"}), HasSubstr("\"the auditor asked\""));
  EXPECT_THAT(run({"pitr", "audit", "--summary"}), HasSubstr("-Q"));
  run({"pitr", "audit", "--operation", "invent"}, 2);
}

TEST_F(AuditTest, FailuresAreThereWithTheirReason) {
  must(cluster.stop());
  EXPECT_NE(site.run({"pitr", "backup"}).status.exit_code, 0);
  const auto failed = entries({"--failures"});
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].at("operation"), "backup");
  EXPECT_NE(failed[0].at("error"), "");
}

TEST_F(AuditTest, WhatWasNotDoneIsAFailureToo) {
  const auto id = json::parse(run({"pitr", "backup", "--json"})).at("id").get<std::string>();
  run({"pitr", "unpin", id}, 3);
  run({"pitr", "pin", id, "--label", "keep"});
  run({"pitr", "unpin", id, "--label", "other"}, 3);
  auto failed = entries({"--failures"});
  ASSERT_EQ(failed.size(), 2u);
  EXPECT_EQ(failed[0].at("operation"), "unpin");
  EXPECT_EQ(failed[0].at("error"), id + " isn't pinned");
  EXPECT_EQ(failed[1].at("error"), id + " has no pin other");

  // A server that can't start reaches nothing.
  run({"pitr-restore", "--config", site.config_file().native(), "--latest", "--target-dir",
       (site.home() / "missed").native(), "--start", "--set", "shared_buffers=nonsense",
       "--bin-dir", cluster.binary_directory().native()},
      9);
  failed = entries({"--failures"});
  ASSERT_EQ(failed.size(), 3u);
  EXPECT_EQ(failed[2].at("operation"), "restore");
  EXPECT_EQ(failed[2].at("error"), "the server did not reach the target");
  EXPECT_EQ(failed[2].at("details").at("target_reached"), "no");
}

TEST_F(AuditTest, TheAgentNamesWhoAsked) {
  auto agent = site.start_agent();
  run({"pitr", "backup", "--reason", "through the agent"});
  const auto backups = entries({"--operation", "backup"});
  ASSERT_EQ(backups.size(), 1u);
  EXPECT_EQ(backups[0].at("program"), "pitr-agent");
  EXPECT_EQ(backups[0].at("user"), user_name(::geteuid()));
  EXPECT_EQ(backups[0].at("reason"), "through the agent");
  const auto configurations = entries({"--operation", "configuration"});
  ASSERT_EQ(configurations.size(), 1u);
  EXPECT_EQ(configurations[0].at("details").at("file"), site.config_file().native());
}

}  // namespace
}  // namespace pitr::test
