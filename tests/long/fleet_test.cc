// Fifty clusters in one agent, ten of which cannot be reached: what it costs while nothing happens.
// Prints memory and processor time.
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <sstream>

#include "agent/pitr_site.h"
#include "common/latency_histogram.h"

namespace pitr::test {
namespace {

constexpr int kServers = 5;
constexpr int kClustersOfAServer = 8;
constexpr int kUnreachable = 10;

// User and system time of all threads, in seconds.
double processor_seconds(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string text;
  std::getline(file, text);
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

// Of /proc/<pid>/status: "Threads", and memory ("VmRSS", "VmHWM") in KiB.
double status_number(pid_t process, const std::string& name) {
  std::ifstream lines(fmt::format("/proc/{}/status", process));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(name + ":")) return std::stod(line.substr(name.size() + 1));
  }
  throw std::runtime_error("no " + name);
}

TEST(FleetTest, FiftyIdleClustersCostLittle) {
  std::vector<TestCluster> servers;
  std::string clusters;
  for (int server = 0; server < kServers; ++server) {
    servers.push_back(must(TestCluster::create(
        {.settings = {{"max_wal_senders", "20"}, {"max_replication_slots", "20"}}})));
    must(servers.back().start());
    for (int i = 0; i < kClustersOfAServer; ++i) {
      // One server stands for several: a setting makes the connections differ.
      clusters += fmt::format("  s{}c{}: {{connection: \"{} connect_timeout={}\"}}\n", server, i,
                              servers.back().conninfo(), 10 + i);
    }
  }
  const PortLease closed = must(PortLease::take());
  for (int i = 0; i < kUnreachable; ++i) {
    const auto where = i % 2 == 0 ? std::string("host=/nowhere")
                                  : fmt::format("host=127.0.0.1 port={}", closed.port());
    clusters +=
        fmt::format("  away{}: {{connection: \"{} connect_timeout={}\"}}\n", i, where, 10 + i);
  }
  // Backups of idle servers are no part of being idle; all else is as it is by default.
  PitrSite site("", {}, "{backup: never, independent: never}");
  auto yaml = must(read_text_file(site.config_file()));
  yaml.resize(yaml.find("clusters:"));
  write_text(site.config_file(), yaml + "clusters:\n" + clusters);
  for (int server = 0; server < kServers; ++server) {
    for (int i = 0; i < kClustersOfAServer; ++i) {
      const auto output = site.run({"pitr", "init", "--cluster", fmt::format("s{}c{}", server, i)});
      ASSERT_TRUE(output.status.success()) << output.err;
    }
  }
  auto agent = site.start_agent();
  for (auto& server : servers) {
    must(server.wait_until(fmt::format("SELECT count(*) = {} FROM pg_stat_replication WHERE "
                                       "state = 'streaming'",
                                       kClustersOfAServer),
                           Seconds(120)));
  }
  std::this_thread::sleep_for(Seconds(60));  // first checks, first looks at the repository
  const auto before = processor_seconds(agent.pid());
  const Stopwatch watch;
  std::this_thread::sleep_for(Seconds(180));
  const double share = (processor_seconds(agent.pid()) - before) /
                       (static_cast<double>(watch.elapsed().count()) / 1e6);
  const double peak_mib = status_number(agent.pid(), "VmHWM") / 1024;
  std::cout << fmt::format(
      "{} clusters, {} of them away: {:.2f} % of a core, {:.0f} MiB resident (at most {:.0f}), "
      "{} threads\n",
      kServers * kClustersOfAServer + kUnreachable, kUnreachable, share * 100,
      status_number(agent.pid(), "VmRSS") / 1024, peak_mib, status_number(agent.pid(), "Threads"));
  EXPECT_LT(share, 0.01);
  EXPECT_LT(peak_mib, 512);
  EXPECT_TRUE(agent.running());
  agent.signal(SIGTERM);
  EXPECT_TRUE(must(agent.wait()).success()) << agent.err();
}

}  // namespace
}  // namespace pitr::test
