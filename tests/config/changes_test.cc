#include "config/changes.h"

#include "config/load.h"

namespace pitr {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::string kRunning = R"(
repository: {path: /backup}
encryption: {key_file: /etc/pitr/key}
agent: {socket: /run/a}
clusters:
  a: {connection: host=a}
  b: {connection: host=b}
)";

ConfigChanges changes_to(const std::string& yaml) {
  const auto running = parse_config(kRunning, "running");
  const auto file = parse_config(yaml, "file");
  EXPECT_TRUE(running && file) << (file ? "" : file.error().message());
  return compare_configs(running.value(), file.value());
}

TEST(ConfigChanges, NothingForTheSame) {
  const auto changes = changes_to(kRunning + "# another comment\nretention: {keep_last: 3}\n");
  EXPECT_THAT(changes.taken_over, IsEmpty());
  EXPECT_THAT(changes.need_restart, IsEmpty());
}

TEST(ConfigChanges, TellWhatIsTakenOverAndWhatIsNot) {
  const auto changes = changes_to(R"(
repository: {path: /other}
encryption: none
agent: {socket: /run/b, state_directory: /srv/state, parallel_jobs: 2, log_level: debug, log_format: json}
retention: {keep_last: 9}
clusters:
  a:
    connection: host=elsewhere
    data_directory: /data
    slot: other
    application_name: other
    wal: {stall_timeout: 1min}
    backup: {max_rate: 10MiB/s}
    schedule: {backup: never}
  c: {connection: host=c}
)");
  EXPECT_THAT(changes.taken_over,
              ElementsAre("agent.log_level", "agent.log_format", "clusters.a.schedule",
                          "clusters.a.retention", "clusters.a.backup"));
  EXPECT_THAT(
      changes.need_restart,
      ElementsAre("agent.socket", "agent.state_directory", "agent.parallel_jobs", "repository.path",
                  "encryption", "clusters.a.connection", "clusters.a.data_directory",
                  "clusters.a.slot", "clusters.a.application_name", "clusters.a.wal",
                  "clusters.b (gone)", "clusters.c (new)"));
}

}  // namespace
}  // namespace pitr
