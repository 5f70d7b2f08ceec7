// A real Prometheus that scrapes an agent and has the packaged alert rules. Not thread-safe.
#pragma once

#include <regex>

#include "agent/pitr_site.h"
#include "support/port_lease.h"

namespace pitr::test {

class PrometheusServer {
 public:
  static Path packaged_rules() {
    return Path(PITR_SOURCE_DIRECTORY) / "packaging/prometheus/pitr.rules.yml";
  }

  // further_rules: another file of rules, as text; empty: none.
  explicit PrometheusServer(int agent_port, const std::string& further_rules = "") {
    write_text(home_ / "further.yml", further_rules.empty() ? "groups: []\n" : further_rules);
    write_text(
        home_ / "prometheus.yml",
        fmt::format("global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n"
                    "rule_files: [\"{}\", \"{}\"]\n"
                    "scrape_configs:\n"
                    "  - job_name: pitr\n"
                    "    static_configs: [{{targets: [\"127.0.0.1:{}\"]}}]\n",
                    packaged_rules().native(), (home_ / "further.yml").native(), agent_port));
    server_.emplace(must(
        Subprocess::start({"prometheus", "--config.file=" + (home_ / "prometheus.yml").native(),
                           "--storage.tsdb.path=" + (home_ / "data").native(),
                           fmt::format("--web.listen-address=127.0.0.1:{}", port_.port())})));
  }

  // What promtool prints: "labels => value @[time]" for each series, and an empty line for none.
  CommandOutput query(const std::string& expression) const {
    return must(run_command({"promtool", "query", "instant",
                             fmt::format("http://127.0.0.1:{}", port_.port()), expression}));
  }
  bool answers(const std::string& expression) const {
    const auto output = query(expression);
    return output.status.success() && output.out.find(" => ") != std::string::npos;
  }
  std::string log() const { return server_->err(); }

 private:
  TemporaryDirectory home_ = must(TemporaryDirectory::create());
  PortLease port_ = must(PortLease::take());
  std::optional<Subprocess> server_;
};

}  // namespace pitr::test
