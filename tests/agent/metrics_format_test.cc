// The page of a real agent process: promtool's opinion of it, and that docs/metrics.md describes
// it.
#include <regex>

#include "agent/pitr_site.h"
#include "agent/scrape.h"
#include "support/port_lease.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

// Everything that makes a metric appear: encryption, a limit of the size, one of the slot.
class MetricsFormatTest : public testing::Test {
 protected:
  MetricsFormatTest() {
    auto yaml = must(read_text_file(site_.config_file()));
    const std::string agent = "agent: {";
    yaml.insert(yaml.find(agent) + agent.size(),
                fmt::format("http: {{listen: \"127.0.0.1:{}\"}}, ", port_.port()));
    write_text(site_.config_file(), yaml + "retention: {max_size: 1TiB}\n");
    const auto made = site_.run({"pitr", "init"});
    if (!made.status.success()) throw std::runtime_error(made.err);
    agent_.emplace(site_.start_agent());
  }
  bool shows(const std::string& name, const std::string& labels = "") {
    return eventually([&] { return Scrape::take(site_.socket()).has(name, labels); });
  }
  std::string over_tcp(const std::string& path) {
    const auto output =
        must(run_command({"bash", "-c",
                          fmt::format("exec 3<>/dev/tcp/127.0.0.1/{}; printf 'GET {} "
                                      "HTTP/1.1\r\nConnection: close\r\n\r\n' >&3; "
                                      "cat <&3",
                                      port_.port(), path)}));
    return output.out;
  }

  TestCluster cluster_ = started_cluster({.settings = {{"max_slot_wal_keep_size", "1GB"}}});
  PitrSite site_{cluster_};
  PortLease port_ = must(PortLease::take());
  std::optional<Subprocess> agent_;
};

// "| `name` | type |" of the tables.
std::map<std::string, std::string> documented() {
  const auto text = must(read_text_file(Path(PITR_SOURCE_DIRECTORY) / "docs/metrics.md"));
  const std::regex row("\\n\\| `([a-z_]+)` \\| ([a-z]+) \\|");
  std::map<std::string, std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), row), end; at != end; ++at) {
    found[(*at)[1]] = (*at)[2];
  }
  return found;
}

TEST_F(MetricsFormatTest, ConformsAndIsDescribed) {
  ASSERT_TRUE(shows("pitr_receiver_state", ",state=\"streaming\""));
  const auto full = site_.run({"pitr", "backup"});
  ASSERT_TRUE(full.status.success()) << full.err;
  const auto incremental = site_.run({"pitr", "backup"});
  ASSERT_TRUE(incremental.status.success()) << incremental.err;
  ASSERT_TRUE(shows("pitr_backup_total_bytes", ",type=\"incremental\""));
  ASSERT_TRUE(shows("pitr_wal_watermark_timestamp_seconds"));
  ASSERT_TRUE(shows("pitr_stored_bytes", ",kind=\"pack\""));
  ASSERT_TRUE(eventually(
      [&] {
        return Scrape::take(site_.socket()).value("pitr_slot_active") == 1;  // every 15 s
      },
      Seconds(60)));

  const auto scrape = Scrape::take(site_.socket());
  SubprocessOptions options;
  options.input = scrape.text;
  const auto checked = must(run_command({"promtool", "check", "metrics"}, options));
  EXPECT_TRUE(checked.status.success()) << checked.out << checked.err;
  EXPECT_THAT(checked.err, IsEmpty());

  EXPECT_EQ(documented(), scrape.types) << "left: docs/metrics.md, right: the agent";

  // Labels whose values come from a fixed list, and the names in the configuration.
  std::set<std::string> labels;
  for (const auto& [label, values] : scrape.label_values()) {
    labels.insert(label);
    EXPECT_LE(values.size(), 14u) << label;
  }
  EXPECT_EQ(labels, (std::set<std::string>{"cluster", "kind", "le", "outcome", "request", "state",
                                           "status", "tier", "type", "version", "way"}));
}

TEST_F(MetricsFormatTest, OverTcpThereIsNothingElse) {
  // The port is opened after the socket, for which the start waited.
  ASSERT_TRUE(eventually([&] { return !over_tcp("/metrics").empty(); }));
  const auto page = over_tcp("/metrics");
  EXPECT_THAT(page, testing::StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(page, HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(page, HasSubstr("\npitr_build_info{version="));
  EXPECT_THAT(over_tcp("/v1/status"), testing::StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(over_tcp("/"), testing::StartsWith("HTTP/1.1 404"));
}

}  // namespace
}  // namespace pitr::test
