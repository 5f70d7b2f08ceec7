// The page of a real agent process: promtool's opinion of it, and that docs/metrics.md describes
// it.
#include <regex>

#include "agent/scraped_site.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class MetricsFormatTest : public testing::Test {
 protected:
  std::string over_tcp(const std::string& path) {
    const auto command = fmt::format(
        "exec 3<>/dev/tcp/127.0.0.1/{}; printf 'GET {} HTTP/1.1\r\nConnection: close\r\n\r\n' >&3; "
        "cat <&3",
        site_.port(), path);
    return must(run_command({"bash", "-c", command})).out;
  }

  ScrapedSite site_;
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
  ASSERT_TRUE(site_.take_both_backups());
  ASSERT_TRUE(site_.sees_the_slot());

  const auto scrape = site_.scrape();
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
  EXPECT_EQ(labels,
            (std::set<std::string>{"cluster", "destination", "kind", "le", "outcome", "request",
                                   "state", "status", "tier", "type", "version", "way"}));
}

TEST_F(MetricsFormatTest, OverTcpThereIsNothingElseWithoutAToken) {
  // The port is opened after the socket, for which the start waited.
  ASSERT_TRUE(eventually([&] { return !over_tcp("/metrics").empty(); }));
  const auto page = over_tcp("/metrics");
  EXPECT_THAT(page, testing::StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(page, HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(page, HasSubstr("\npitr_build_info{version="));
  EXPECT_THAT(over_tcp("/v1/status"), testing::StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(over_tcp("/"), testing::StartsWith("HTTP/1.1 404"));
}

}  // namespace
}  // namespace pitr::test
