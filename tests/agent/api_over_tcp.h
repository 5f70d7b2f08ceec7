// A real agent with its API over TCP, and curl as its client.
#pragma once

#include "agent/pitr_site.h"
#include "support/port_lease.h"

namespace pitr::test {

class ApiOverTcpTest : public testing::Test {
 protected:
  ApiOverTcpTest() {
    auto yaml = must(read_text_file(site_.config_file()));
    const std::string agent = "agent: {";
    yaml.insert(yaml.find(agent) + agent.size(),
                fmt::format("http: {{listen: \"127.0.0.1:{}\", tokens: {}/tokens}}, ", port_.port(),
                            site_.home().native()));
    write_text(site_.config_file(), yaml);
    run({"pitr", "init"});
    agent_.emplace(site_.start_agent());
    if (!eventually([&] { return ask("GET", "/metrics") == 200; })) {
      throw std::runtime_error("nobody listens on the port");
    }
  }
  std::string run(const std::vector<std::string>& arguments) {
    const auto output = site_.run(arguments);
    EXPECT_EQ(output.status.exit_code, 0) << output.out << output.err;
    return output.out;
  }
  std::string token(const std::string& name, const std::string& role,
                    const std::vector<std::string>& more = {}) {
    std::vector<std::string> command{"pitr", "token", "add", name, "--role", role};
    command.insert(command.end(), more.begin(), more.end());
    auto text = run(command);
    text.pop_back();  // the newline
    return text;
  }
  // The status; the body is in body_.
  int ask(const std::string& method, const std::string& path, const std::string& token_text = "",
          const std::string& body = "{}") {
    std::vector<std::string> command{"curl",
                                     "-s",
                                     "-X",
                                     method,
                                     "-w",
                                     "\n%{http_code}",
                                     fmt::format("http://127.0.0.1:{}{}", port_.port(), path)};
    if (!token_text.empty()) {
      command.insert(command.end(), {"-H", "Authorization: Bearer " + token_text});
    }
    if (method == "POST") command.insert(command.end(), {"-d", body});
    const auto output = must(run_command(command)).out;
    const auto newline = output.rfind('\n');
    body_ = output.substr(0, newline);
    return newline == std::string::npos ? 0 : std::atoi(output.c_str() + newline + 1);
  }

  TestCluster cluster_ = started_cluster({.wal_segment_size_mb = 1});
  PitrSite site_{cluster_};
  PortLease port_ = must(PortLease::take());
  std::optional<Subprocess> agent_;
  std::string body_;
};

}  // namespace pitr::test
