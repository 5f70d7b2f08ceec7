// pitr expire with a real server: what is kept restores and is what it was, the window is whole,
// and what nobody needs is gone.
#include <nlohmann/json.hpp>
#include <set>

#include "agent/pitr_site.h"
#include "agent/repository_access.h"
#include "support/restore_program.h"

namespace pitr::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kSum = "(SELECT md5(string_agg(n::text || t, ',' ORDER BY n)) FROM kept)";

class ExpireTest : public ::testing::Test {
 protected:
  ExpireTest() : cluster(started_cluster({.wal_segment_size_mb = 1})), site(cluster) {
    auto yaml = must(read_text_file(site.config_file()));
    // The newest backup and what is pinned; nothing else.
    yaml +=
        "retention: {keep_last: 1, keep_daily: 0, keep_weekly: 0, keep_monthly: 0, keep_yearly: 0, "
        "keep_verified: 0, keep_within: 0s, grace: 1h}\n";
    write_text(site.config_file(), yaml);
    run({"pitr", "init"});
    must(cluster.sql("CREATE TABLE kept (n int, t text)"));
  }

  std::string run(std::vector<std::string> arguments) {
    const auto output = site.run(arguments);
    EXPECT_EQ(output.status.exit_code, 0) << output.out << output.err;
    return output.out;
  }
  // Rows, some WAL segments, and their sum.
  std::string work() {
    for (int i = 0; i < 3; ++i) {
      must(
          cluster.sql("INSERT INTO kept SELECT g, repeat(md5(g::text), 5) FROM "
                      "generate_series(1, 2000) g"));
      switch_segment(cluster);
    }
    return must(cluster.sql_value(std::string("SELECT ") + kSum));
  }
  std::string backup() {
    return json::parse(run({"pitr", "backup", "--json"})).at("id").get<std::string>();
  }
  std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(site.repository())) {
      const bool is_object = !entry.path().filename().native().starts_with('.');
      if (entry.is_regular_file() && is_object) {
        names.insert(entry.path().lexically_relative(site.repository()).native());
      }
    }
    return names;
  }
  // As if everything there was put into trash two hours ago.
  void age_trash() {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(site.repository())) {
      if (entry.is_regular_file() && entry.path().native().find("/trash/") != std::string::npos) {
        std::filesystem::last_write_time(
            entry.path(), std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));
      }
    }
  }
  std::size_t segments() const {
    std::size_t count = 0;
    for (const auto& name : files()) {
      const auto last = name.substr(name.rfind('/') + 1);
      count += name.find("/wal/") != std::string::npos && last.size() == 24 ? 1 : 0;
    }
    return count;
  }
  std::string restored_sum(const std::vector<std::string>& target) {
    const auto key = must(read_encryption_key(site.config().encryption));
    const RestoreProgram program(site.repository(), *key);
    RestoredServer restored(cluster);
    const auto& output = restored.restore(program, target);
    EXPECT_EQ(output.status.exit_code, 0) << restored.story();
    if (output.status.exit_code != 0) return "";
    restored.check_with_amcheck();
    return restored.ask(kSum);
  }

  TestCluster cluster;
  PitrSite site;
};

TEST_F(ExpireTest, WhatIsKeptRestoresAndTheRestIsGone) {
  const auto agent = site.start_agent();
  const auto sum_of_pinned = work();
  const auto pinned = backup();
  run({"pitr", "pin", pinned, "--label", "release"});
  work();
  const auto goes = backup();
  work();
  const auto newest = backup();
  const auto sum_now = work();
  ASSERT_TRUE(eventually([&] { return segments() >= 12; }));  // three for each work()

  const auto before = files();
  const auto dry = json::parse(run({"pitr", "expire", "--dry-run", "--json"})).at("clusters").at(0);
  EXPECT_EQ(dry.at("dropped_backups"), 1);
  EXPECT_EQ(dry.at("backups").at(0).at("id"), pinned);
  EXPECT_EQ(dry.at("backups").at(0).at("kept_by").at(0).at("tier"), "pin");
  EXPECT_FALSE(dry.at("backups").at(1).at("keep"));
  EXPECT_GT(dry.at("backups").at(1).at("goes_because").size(), 0u);
  EXPECT_GT(dry.at("unneeded_wal").at("bytes"), 0);
  const auto after = files();
  for (const auto& name : before) {
    const bool may_be_sealed = name.find(".tail-") != std::string::npos;  // by the agent meanwhile
    EXPECT_TRUE(after.contains(name) || may_be_sealed) << name;
  }
  const auto table = run({"pitr", "expire", "--dry-run"});
  EXPECT_THAT(table, HasSubstr(goes + " goes:"));
  EXPECT_THAT(table, HasSubstr("pin release"));

  const auto segments_before = segments();
  run({"pitr", "expire"});
  EXPECT_THAT(run({"pitr", "list"}), Not(HasSubstr(goes)));
  EXPECT_GE(segments(), segments_before);  // in trash only
  age_trash();
  const auto second = json::parse(run({"pitr", "expire", "--json"})).at("clusters").at(0);
  EXPECT_GT(second.at("deleted").at("objects"), 3);
  EXPECT_EQ(second.at("leaked").at("objects"), 0);
  EXPECT_LT(segments(), segments_before);
  for (const auto& name : files()) EXPECT_THAT(name, Not(HasSubstr("backup/" + goes)));

  EXPECT_EQ(restored_sum({"--backup", pinned, "--immediate"}), sum_of_pinned);
  EXPECT_EQ(restored_sum({"--backup", newest, "--latest"}), sum_now);
  EXPECT_EQ(restored_sum({"--latest"}), sum_now);
}

TEST_F(ExpireTest, PinsAndPoliciesAreToldAboutInWords) {
  const auto only = backup();
  EXPECT_EQ(site.run({"pitr", "pin", "2099", "--label", "x"}).status.exit_code, 3);
  EXPECT_EQ(site.run({"pitr", "unpin", only}).status.exit_code, 3);
  EXPECT_EQ(
      site.run({"pitr", "pin", only, "--label", "x", "--until", "2001-01-01"}).status.exit_code, 2);
  run({"pitr", "pin", only, "--label", "x", "--until", "2099-01-01"});
  run({"pitr", "pin", only, "--label", "x"});
  EXPECT_THAT(run({"pitr", "unpin", only}), HasSubstr("1 pin taken away"));
  const auto simulated =
      json::parse(run({"pitr", "retention", "simulate", "--days", "30", "--json"}));
  EXPECT_EQ(simulated.at("backups_taken"), 30);
  EXPECT_EQ(simulated.at("backups").size(), 1u);
}

}  // namespace
}  // namespace pitr::test
