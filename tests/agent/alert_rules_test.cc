// The packaged alert rules: promtool runs their unit tests; here is checked that these are
// complete, that each alert has its section in docs/alerts.md, and that the rules speak of metrics
// there are.
#include <regex>
#include <set>

#include "agent/pitr_site.h"

namespace pitr::test {
namespace {

const Path kSource = PITR_SOURCE_DIRECTORY;

std::string text_of(const std::string& file) {
  return must(read_text_file(kSource / file));
}

std::set<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex expression(pattern);
  std::set<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), expression), end; at != end; ++at) {
    found.insert((*at)[1]);
  }
  return found;
}

const std::string kRules = "packaging/prometheus/pitr.rules.yml";
const std::string kRuleTests = "tests/prometheus/pitr.rules.test.yml";
const std::string kSlowRuleTests = "tests/prometheus/pitr.slow.test.yml";

TEST(AlertRulesTest, PromtoolFindsThemRight) {
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"promtool", "check", "rules", kSource / kRules},
        std::vector<std::string>{"promtool", "test", "rules", kSource / kRuleTests,
                                 kSource / kSlowRuleTests}}) {
    const auto output = must(run_command(command));
    EXPECT_TRUE(output.status.success()) << output.out << output.err;
  }
}

TEST(AlertRulesTest, EachIsTestedBothWaysAndDescribed) {
  const auto rules = text_of(kRules);
  const auto alerts = matches(rules, "- alert: (\\w+)");
  ASSERT_GE(alerts.size(), 16u);
  const auto cases = text_of(kRuleTests) + text_of(kSlowRuleTests);
  EXPECT_EQ(matches(cases, "alertname: (\\w+)\n +eval_time: \\w+\n +exp_alerts: \\[\\]"), alerts);
  EXPECT_EQ(matches(cases, "alertname: (\\w+)\n +eval_time: \\w+\n +exp_alerts:\n +- exp_labels"),
            alerts);
  EXPECT_EQ(matches(text_of("docs/alerts.md"), "\n## (\\w+)\n\\*(?:critical|warning)"), alerts);

  std::set<std::string> anchors;
  for (std::string alert : alerts) {
    std::ranges::transform(alert, alert.begin(), [](unsigned char c) { return std::tolower(c); });
    anchors.insert(alert);
  }
  EXPECT_EQ(matches(rules, "runbook_url: docs/alerts.md#(\\w+)"), anchors);
  for (const auto& linked : matches(text_of("docs/alerts.md"), "\\]\\(#(\\w+)\\)")) {
    EXPECT_TRUE(anchors.contains(linked)) << linked;
  }
}

// docs/metrics.md is held against a real agent by another test.
TEST(AlertRulesTest, TheySpeakOfMetricsThatThereAre) {
  const auto documented = matches(text_of("docs/metrics.md"), "\n\\| `(pitr_\\w+)` \\|");
  for (const auto& used : matches(text_of(kRules), "\\b(pitr_\\w+)")) {
    EXPECT_TRUE(documented.contains(used)) << used;
  }
}

}  // namespace
}  // namespace pitr::test
