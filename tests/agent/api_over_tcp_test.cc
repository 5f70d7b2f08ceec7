// The API of a real agent over TCP: tokens made by pitr, roles, and what is never served there.
#include "agent/api_over_tcp.h"

#include <nlohmann/json.hpp>

namespace pitr::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

TEST_F(ApiOverTcpTest, SpeaksTlsWithWhateverCertificateIsThere) {
  const auto make_certificate = [&] {
    must(run_successfully({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                           "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=pitr",
                           "-addext", "subjectAltName=IP:127.0.0.1", "-keyout",
                           site_.home() / "tls.key", "-out", site_.home() / "tls.pem"}));
  };
  make_certificate();
  auto yaml = must(read_text_file(site_.config_file()));
  yaml.insert(
      yaml.find("tokens: "),
      fmt::format("tls: {{certificate: {0}/tls.pem, key: {0}/tls.key}}, ", site_.home().native()));
  write_text(site_.config_file(), yaml);
  const auto viewer = token("grafana", "viewer");
  agent_->signal(SIGTERM);
  EXPECT_TRUE(must(agent_->wait()).success());
  agent_.emplace(site_.start_agent());
  const auto status = [&] {
    return must(run_command({"curl", "-s", "--cacert", site_.home() / "tls.pem", "-o", "/dev/null",
                             "-w", "%{http_code}", "-H", "Authorization: Bearer " + viewer,
                             fmt::format("https://127.0.0.1:{}/v1/status", port_.port())}))
        .out;
  };
  EXPECT_TRUE(eventually([&] { return status() == "200"; })) << agent_->err();
  EXPECT_EQ(ask("GET", "/v1/status", viewer), 0) << "in plain text: " << body_;

  // Renewed: the old one is served until the agent is told.
  make_certificate();
  EXPECT_EQ(status(), "000");
  agent_->signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return status() == "200"; })) << agent_->err();
  write_text(site_.home() / "tls.key", "no key");
  agent_->signal(SIGHUP);
  EXPECT_TRUE(eventually([&] {
    return agent_->err().find("the certificate for TLS is not read anew") != std::string::npos;
  })) << agent_->err();
  EXPECT_EQ(status(), "200");
}

TEST_F(ApiOverTcpTest, EachRoleMayWhatItMay) {
  const auto viewer = token("grafana", "viewer", {"--reason", "dashboards"});
  const auto oper = token("deploy", "operator");
  const auto admin = token("ops", "admin", {"--expires", "90d"});
  EXPECT_THAT(viewer, StartsWith("pitr_"));
  EXPECT_EQ(ask("GET", "/v1/status"), 401);
  EXPECT_EQ(ask("GET", "/v1/status", viewer), 200) << body_;
  EXPECT_EQ(ask("GET", "/v1/status", viewer + "0"), 401);
  EXPECT_EQ(ask("POST", "/v1/clusters/main/backups", viewer), 403);
  EXPECT_EQ(ask("POST", "/v1/clusters/main/backups", oper, R"({"reason":"release"})"), 200);
  EXPECT_THAT(body_, HasSubstr(R"("event":"done")"));
  EXPECT_EQ(ask("GET", "/v1/clusters/main/backups", viewer), 200);
  EXPECT_EQ(json::parse(body_).at("backups").size(), 1u);
  EXPECT_EQ(ask("POST", "/v1/clusters/main/verify", viewer), 403);
  EXPECT_EQ(ask("POST", "/v1/clusters/main/verify", oper), 200);
  EXPECT_EQ(ask("POST", "/v1/clusters/main/expire", viewer, R"({"dry_run":true})"), 403);
  EXPECT_EQ(ask("POST", "/v1/clusters/main/expire", oper, R"({"dry_run":true})"), 200);
  EXPECT_EQ(ask("POST", "/v1/clusters/main/expire", oper), 403);
  EXPECT_THAT(body_, HasSubstr("takes the role admin"));
  EXPECT_EQ(ask("POST", "/v1/clusters/main/expire", admin), 200);
  EXPECT_THAT(body_, HasSubstr(R"("event":"done")"));

  const auto audit = run({"pitr", "audit", "--json"});
  EXPECT_THAT(audit, HasSubstr(R"("user":"token deploy")"));
  EXPECT_THAT(audit, HasSubstr(R"("user":"token ops")"));
  EXPECT_THAT(audit, HasSubstr(R"("reason":"dashboards")"));
  for (const auto& secret : {viewer, oper, admin}) {
    EXPECT_THAT(audit, testing::Not(HasSubstr(secret)));
    EXPECT_THAT(run({"pitr", "token", "list"}), testing::Not(HasSubstr(secret)));
  }
}

TEST_F(ApiOverTcpTest, ARemovedTokenStopsWorkingAtOnce) {
  const auto text = token("grafana", "viewer");
  EXPECT_EQ(site_.run({"pitr", "token", "add", "grafana", "--role", "admin"}).status.exit_code, 4);
  EXPECT_EQ(ask("GET", "/v1/status", text), 200);
  run({"pitr", "token", "remove", "grafana"});
  EXPECT_EQ(ask("GET", "/v1/status", text), 401);
  EXPECT_EQ(site_.run({"pitr", "token", "remove", "grafana"}).status.exit_code, 3);
}

TEST_F(ApiOverTcpTest, ATokenOfAClusterSeesNoOther) {
  const auto none = site_.run({"pitr", "token", "add", "x", "--role", "viewer", "--cluster", "y"});
  EXPECT_EQ(none.status.exit_code, 2);
  const auto text = token("grafana", "viewer", {"--cluster", "main"});
  EXPECT_EQ(ask("GET", "/v1/clusters/main/status", text), 200);
  auto file = must(read_text_file(site_.home() / "tokens"));
  file.replace(file.rfind("main"), 4, "other");
  write_text(site_.home() / "tokens", file);
  EXPECT_EQ(ask("GET", "/v1/clusters/main/status", text), 403);
  EXPECT_EQ(ask("GET", "/v1/clusters/-/status", text), 403);
  EXPECT_EQ(ask("GET", "/v1/status", text), 200);
  EXPECT_EQ(json::parse(body_).at("clusters").size(), 0u);
}

TEST_F(ApiOverTcpTest, WalIsTakenFromTheSocketAlone) {
  const auto admin = token("ops", "admin");
  EXPECT_EQ(ask("POST", "/v1/clusters/main/wal?path=/etc/passwd", admin), 404);
}

}  // namespace
}  // namespace pitr::test
