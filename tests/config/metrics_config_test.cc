// The sections that metrics and alert rules need: agent.http and objectives.
#include <fstream>

#include "config/listen_address.h"
#include "config/load.h"

namespace pitr {
namespace {

using testing::HasSubstr;

Result<Config> parsed(const std::string& yaml) {
  return parse_config(yaml, "f");
}
std::string problem_of(const std::string& yaml) {
  const auto config = parsed(yaml);
  return config ? "(accepted)" : config.error().message();
}

TEST(MetricsConfigTest, NothingIsServedOverTcpUnlessThatIsAskedFor) {
  EXPECT_FALSE(parsed("").value().agent.http.listen);
  EXPECT_FALSE(parsed("agent: {http: {allow_remote: true}}").value().agent.http.listen);
  const auto listen = parsed("agent: {http: {listen: 127.0.0.1:9852}}").value().agent.http.listen;
  ASSERT_TRUE(listen);
  EXPECT_EQ(listen->address, "127.0.0.1");
  EXPECT_EQ(listen->port, 9852);
  const auto v6 = parsed("agent: {http: {listen: '[::1]:9852'}}").value().agent.http.listen;
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->address, "::1");
  EXPECT_EQ(to_string(*v6), "[::1]:9852");
}

TEST(MetricsConfigTest, AnAddressThatOthersReachNeedsASecondWord) {
  for (const std::string address : {"0.0.0.0:9852", "192.0.2.7:9852", "'[::]:9852'"}) {
    EXPECT_THAT(problem_of("agent: {http: {listen: " + address + "}}"),
                HasSubstr("allow_remote: true"))
        << address;
    EXPECT_EQ(problem_of("agent: {http: {listen: " + address + ", allow_remote: true}}"),
              "(accepted)");
  }
  EXPECT_EQ(problem_of("agent: {http: {listen: 127.8.8.8:9852}}"), "(accepted)");
}

TEST(MetricsConfigTest, WithTlsTheApiMayBeReachedByThoseWithAToken) {
  const std::string tls = ", tls: {certificate: /etc/pitr/tls.pem, key: /etc/pitr/tls.key}";
  const auto remote = parsed("agent: {http: {listen: 0.0.0.0:9852" + tls + "}}");
  ASSERT_TRUE(remote) << remote.error().message();
  EXPECT_TRUE(remote->agent.http.has_tls());
  EXPECT_TRUE(remote->agent.http.metrics_need_token);
  const auto open = parsed("agent: {http: {listen: 0.0.0.0:9852, allow_remote: true" + tls + "}}");
  ASSERT_TRUE(open) << open.error().message();
  EXPECT_FALSE(open->agent.http.metrics_need_token);
  const auto local = parsed("agent: {http: {listen: 127.0.0.1:9852" + tls + "}}");
  EXPECT_FALSE(local->agent.http.metrics_need_token);
  EXPECT_EQ(problem_of("agent: {http: {listen: 0.0.0.0:9852, allow_remote: true, "
                       "metrics_need_token: true" +
                       tls + "}}"),
            "(accepted)");
  EXPECT_THAT(problem_of("agent: {http: {listen: 0.0.0.0:9852, allow_remote: true, "
                         "metrics_need_token: true}}"),
              HasSubstr("in plain text"));
  for (const std::string half :
       {"certificate: /a", "key: /a", "client_ca: /a", "key: /a, client_ca: /b"}) {
    EXPECT_THAT(problem_of("agent: {http: {tls: {" + half + "}}}"), HasSubstr("\"tls\" needs both"))
        << half;
  }
}

TEST(MetricsConfigTest, WhatIsNoAddressIsRefused) {
  for (const std::string text :
       {"9852", "localhost:9852", "127.0.0.1", "'127.0.0.1:'", "127.0.0.1:0", "127.0.0.1:65536",
        "127.0.0.1:98x", "'::1:9852'", "'[127.0.0.1]:1'", "'127.0.0.1:-1'", "'127.0.0.1:+1'"}) {
    EXPECT_THAT(problem_of("agent: {http: {listen: " + text + "}}"),
                HasSubstr("write for example 127.0.0.1:9852"))
        << text;
  }
}

TEST(MetricsConfigTest, AClusterChangesSingleObjectives) {
  const auto config = parsed(
      "objectives: {rpo: 5min, key_age: 90d, replay_rate: 64MiB/s}\n"
      "clusters:\n  a: {connection: host=a, objectives: {rpo: 10s, rto: 4h}}\n"
      "  b: {connection: host=b}\n");
  ASSERT_TRUE(config) << config.error().message();
  const auto& a = config->find_cluster("a")->objectives;
  EXPECT_EQ(a.rpo, Seconds(10));
  EXPECT_EQ(a.rto, std::chrono::hours(4));
  EXPECT_EQ(a.replay_bytes_per_second, 64ull << 20);
  const auto& b = config->find_cluster("b")->objectives;
  EXPECT_EQ(b.rpo, std::chrono::minutes(5));
  EXPECT_EQ(b.rto, std::chrono::minutes(30));
  EXPECT_EQ(config->objectives.key_age, std::chrono::hours(24 * 90));
  EXPECT_THAT(problem_of("objectives: {rpo: 0s}"), HasSubstr("\"rpo\""));
  EXPECT_THAT(problem_of("objectives: {rpo: 60}"), HasSubstr("\"rpo\""));
}

// Every commented key of the two sections in the packaged file is there, and is the default.
TEST(MetricsConfigTest, ThePackagedFileShowsTheDefaults) {
  std::ifstream input(Path(PITR_SOURCE_DIRECTORY) / "packaging/pitr.yaml");
  std::string objectives = "objectives:\n";
  bool inside = false;
  int keys = 0;
  for (std::string line; std::getline(input, line);) {
    if (!line.starts_with("  #")) inside = line == "# objectives:";
    const auto colon = line.find(": ");
    if (!inside || !line.starts_with("  # ") || colon == std::string::npos) continue;
    objectives += "  " + line.substr(4) + "\n";
    ++keys;
  }
  EXPECT_EQ(keys, 7);
  const auto shown = parsed(objectives);
  ASSERT_TRUE(shown) << shown.error().message() << objectives;
  const ObjectivesConfig& a = shown->objectives;
  const ObjectivesConfig b;
  EXPECT_EQ(a.rpo, b.rpo);
  EXPECT_EQ(a.rto, b.rto);
  EXPECT_EQ(a.backup_age, b.backup_age);
  EXPECT_EQ(a.verification_age, b.verification_age);
  EXPECT_EQ(a.key_age, b.key_age);
  EXPECT_EQ(a.restore_bytes_per_second, b.restore_bytes_per_second);
  EXPECT_EQ(a.replay_bytes_per_second, b.replay_bytes_per_second);
}

}  // namespace
}  // namespace pitr
