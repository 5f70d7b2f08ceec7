// The agent as a service, for ten minutes: a schedule of minutes, pgbench, and a real Prometheus
// with the packaged alerts; the agent, the database and the storage are each taken away for a
// while. In the end nothing is lost, nothing is missing, and every alert came and went as it
// should. It prints when each alert was pending and firing.
//
// PITR_SERVICE_SECONDS says for how long instead of 600.
#include <atomic>
#include <iostream>
#include <sstream>

#include "agent/prometheus_server.h"
#include "common/latency_histogram.h"
#include "postgres/connection.h"
#include "support/pgbench.h"
#include "support/restore_program.h"

namespace pitr::test {
namespace {

Seconds whole_time() {
  const char* given = std::getenv("PITR_SERVICE_SECONDS");
  return Seconds(given != nullptr ? std::atoi(given) : 600);
}

// Commits numbered rows and remembers the last one of which the server said that it is committed.
// Goes on when the server comes back.
class Ledger {
 public:
  explicit Ledger(TestCluster& cluster) : conninfo_(cluster.conninfo()) {
    must(cluster.sql("CREATE TABLE ledger(number bigint PRIMARY KEY)"));
    thread_ = std::jthread([this](std::stop_token stop) { write(stop); });
  }
  void stop() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
  }
  std::int64_t committed() const { return committed_; }

 private:
  void write(std::stop_token stop) {
    while (!stop.stop_requested()) {
      auto connection = Connection::open(conninfo_);
      while (connection && !stop.stop_requested() && add(*connection)) {
        std::this_thread::sleep_for(Milliseconds(10));
      }
      std::this_thread::sleep_for(Milliseconds(100));
    }
  }
  // A commit whose answer was lost may have happened: the number is then taken, which is a commit.
  bool add(Connection& connection) {
    const auto number = committed_ + 1;
    const auto added = connection.command(
        fmt::format("INSERT INTO ledger VALUES ({}) ON CONFLICT DO NOTHING", number));
    if (added) committed_ = number;
    return added.has_value();
  }

  const std::string conninfo_;
  std::atomic<std::int64_t> committed_ = 0;
  std::jthread thread_;
};

// The packaged rules, renamed, and firing after ten seconds: outages here are too short for theirs.
std::string impatient_rules() {
  auto rules = must(read_text_file(PrometheusServer::packaged_rules()));
  rules = std::regex_replace(rules, std::regex("alert: Pitr"), "alert: Impatient");
  rules = std::regex_replace(rules, std::regex("for: [0-9a-z]+"), "for: 10s");
  return std::regex_replace(rules, std::regex("name: pitr"), "name: impatient");
}

// When each alert was in each state: every second in which it was, since the start.
using AlertTimes = std::map<std::pair<std::string, std::string>, std::vector<double>>;

std::string label(const std::string& series, const std::string& name) {
  const auto at = series.find(name + "=\"");
  if (at == std::string::npos) return "";
  const auto from = at + name.size() + 2;
  return series.substr(from, series.find('"', from) - from);
}

// promtool prints "labels =>" for each series, and then "value @[time]" for each sample.
AlertTimes alert_times(const PrometheusServer& prometheus, double start) {
  AlertTimes times;
  std::istringstream lines(prometheus.query("ALERTS[1h]").out);
  std::vector<double>* current = nullptr;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("ALERTS{")) {
      current = &times[{label(line, "alertname"), label(line, "alertstate")}];
    } else if (const auto at = line.find("@["); current != nullptr && at != std::string::npos) {
      current->push_back(std::stod(line.substr(at + 2)) - start);
    }
  }
  for (auto& [alert, seconds] : times) std::ranges::sort(seconds);
  return times;
}

// "12.1-14.1, 20.0-31.0": without a pause of more than three seconds each.
std::string stretches(const std::vector<double>& seconds) {
  std::string text;
  for (std::size_t i = 0; i < seconds.size();) {
    const double first = seconds[i];
    while (i + 1 < seconds.size() && seconds[i + 1] - seconds[i] < 3) ++i;
    text += fmt::format("{}{:.0f}-{:.0f}", text.empty() ? "" : ", ", first, seconds[i++]);
  }
  return text;
}

class ServiceTest : public testing::Test {
 protected:
  ServiceTest() {
    must(cluster_.start());
    auto yaml = must(read_text_file(site_.config_file()));
    const std::string agent = "agent: {";
    yaml.insert(yaml.find(agent) + agent.size(),
                fmt::format("http: {{listen: \"127.0.0.1:{}\"}}, ", port_.port()));
    write_text(site_.config_file(), yaml);
    const auto output = site_.run({"pitr", "init"});
    if (!output.status.success()) throw std::runtime_error(output.err);
    start_agent();
  }

  void start_agent() {
    agent_.reset();
    agent_.emplace(must(Subprocess::start(
        {PitrSite::program("pitr-agent").native(), "--config", site_.config_file().native()},
        {.output_file = site_.home() / "agent.log"})));
  }
  std::string agent_log() const {
    return read_text_file(site_.home() / "agent.log").value_or("(no log)");
  }
  double seconds() const { return static_cast<double>(watch_.elapsed().count()) / 1e6; }
  void wait_until(double second) const {
    while (seconds() < second) std::this_thread::sleep_for(Milliseconds(20));
  }
  void tell(const std::string& what) const {
    std::cout << fmt::format("{:6.1f} s  {}", seconds(), what) << std::endl;
  }
  // Load ends with the server.
  void start_load() {
    load_.reset();
    load_.emplace(must(PgBench::start(cluster_, {.rate_per_second = 100})));
  }
  void let_storage(bool answer) const {
    std::filesystem::permissions(site_.repository(), answer ? std::filesystem::perms::owner_all
                                                            : std::filesystem::perms::none);
  }
  void take_agent_away(double until) {
    tell("the agent is killed");
    agent_->kill();
    wait_until(until);
    start_agent();
    tell("the agent is back");
  }
  void take_database_away(double until) {
    tell("the database is killed");
    cluster_.kill_postmaster();
    wait_until(until);
    must(cluster_.start());
    start_load();
    tell("the database is back");
  }
  void take_storage_away(double until) {
    tell("the storage refuses everything");
    let_storage(false);
    wait_until(until);
    let_storage(true);
    tell("the storage is back");
  }
  // While it was away an alert was pending by the packaged rules, and fired by the impatient ones;
  // half a minute after it was back the alert was over, until the next trouble.
  static void expect_came_and_went(const AlertTimes& times, const std::string& name, double from,
                                   double back, double until) {
    for (const auto& [alert, state] : {std::pair("Pitr" + name, std::string("pending")),
                                       std::pair("Impatient" + name, std::string("firing"))}) {
      const auto found = times.find({alert, state});
      const auto count = [&](double begin, double end) {
        return found == times.end() ? 0 : std::ranges::count_if(found->second, [&](double second) {
          return second >= begin && second < end;
        });
      };
      EXPECT_GT(count(from, back), 0) << alert << " was never " << state;
      EXPECT_EQ(count(back + 30, until), 0) << alert << " did not end";
    }
  }
  bool is_streaming() {
    return cluster_
               .sql_value(
                   "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'pitr_main'"
                   " AND flush_lsn >= pg_current_wal_flush_lsn()")
               .value_or("") == "1";
  }
  std::string checksum(const std::function<std::string(const std::string&)>& ask) const {
    return ask(
        "SELECT (SELECT count(*) || ' ' || coalesce(sum(number), 0) FROM ledger) || ' ' ||"
        " (SELECT count(*) || ' ' || sum(delta) FROM pgbench_history) || ' ' ||"
        " (SELECT sum(abalance) FROM pgbench_accounts)");
  }
  void expect_restore_has_all(std::int64_t committed);

  TestCluster cluster_ = must(TestCluster::create({.wal_segment_size_mb = 1, .durable = true}));
  PitrSite site_{cluster_.conninfo(), cluster_.data_directory(),
                 "{backup: \"* * * * *\", independent: \"*/4 * * * *\", expire: \"*/2 * * * *\","
                 " verify: \"*/2 * * * *\", check: {every: 1min}, jitter: 0s}"};
  PortLease port_ = must(PortLease::take());
  std::optional<Subprocess> agent_;
  std::optional<PgBench> load_;
  const Stopwatch watch_;
};

void ServiceTest::expect_restore_has_all(std::int64_t committed) {
  const auto expected =
      checksum([&](const std::string& sql) { return must(cluster_.sql_value(sql)); });
  const auto rows = must(cluster_.sql_value("SELECT count(*) FROM ledger WHERE number <= " +
                                            std::to_string(committed)));
  EXPECT_EQ(rows, std::to_string(committed)) << "the server itself lost a commit";
  const PortLease port = must(PortLease::take());
  const Path target = site_.home() / "restored";
  const auto output = site_.run(
      {"pitr-restore", "--latest", "--target-dir", target.native(), "--start", "--port",
       std::to_string(port.port()), "--bin-dir", cluster_.binary_directory().native(), "--set",
       "unix_socket_directories=" + site_.home().native(), "--set", "fsync=off"});
  ASSERT_TRUE(output.status.success()) << output.out << output.err;
  const auto conninfo = fmt::format("host={} port={} user=postgres dbname=postgres",
                                    site_.home().native(), port.port());
  auto connection = must(Connection::open(conninfo));
  EXPECT_EQ(checksum([&](const std::string& sql) {
              const auto result = must(connection.query("SELECT (" + sql + ")::text AS value"));
              return must(must(result.only_row()).text("value"));
            }),
            expected);
  must(connection.command("CREATE EXTENSION amcheck"));
  must(run_successfully({ServerBinaries::client("pg_amcheck"), "--heapallindexed", "-h",
                         site_.home().native(), "-p", std::to_string(port.port()), "-U", "postgres",
                         "postgres"}));
  must(must(ServerControl::open(target, cluster_.binary_directory())).stop(StopMode::kImmediate));
}

TEST_F(ServiceTest, LosesNothingAndItsAlertsComeAndGo) {
  const double whole = static_cast<double>(whole_time().count());
  const double outage = std::max(30.0, whole / 10);
  ASSERT_GE(whole, 300) << "too short for three outages and what follows them";
  const double start = static_cast<double>(SystemClock().now().unix_us()) / 1e6 - seconds();
  const PrometheusServer prometheus(port_.port(), impatient_rules());
  must(PgBench::initialize(cluster_, 5));
  Ledger ledger(cluster_);
  start_load();
  ASSERT_TRUE(eventually([&] { return is_streaming(); }, Seconds(60))) << agent_log();
  tell("everything runs");

  const double first = whole * 0.2, second = whole * 0.42, third = whole * 0.64;
  wait_until(first);
  take_agent_away(first + outage);
  wait_until(second);
  take_database_away(second + outage);
  wait_until(third);
  take_storage_away(third + outage);
  wait_until(whole);

  tell("the end");
  load_.reset();
  ledger.stop();
  ASSERT_TRUE(eventually([&] { return is_streaming(); }, Seconds(60))) << agent_log();
  const auto times = alert_times(prometheus, start);
  for (const auto& [alert, when] : times) {
    std::cout << fmt::format("{:28} {:8} {}\n", alert.first, alert.second, stretches(when));
  }
  expect_came_and_went(times, "AgentAbsent", first, first + outage, second);
  expect_came_and_went(times, "ServerDown", second, second + outage, third);
  expect_came_and_went(times, "RepositoryDown", third, third + outage, whole);
  EXPECT_FALSE(prometheus.answers("ALERTS{alertname=~\"Pitr.*\"}"))
      << prometheus.query("ALERTS").out << agent_log();
  EXPECT_THAT(agent_log(), testing::Not(testing::HasSubstr("there is a gap")));
  EXPECT_FALSE(prometheus.answers("max_over_time(pitr_wal_gaps_total[1h]) > 0"));
  EXPECT_FALSE(prometheus.answers("max_over_time(pitr_recovery_window_broken[1h]) > 0"));

  const auto verified = site_.run({"pitr", "verify"});
  EXPECT_TRUE(verified.status.success()) << verified.out << verified.err;
  const auto listed = site_.run({"pitr", "list"});
  std::cout << listed.out;
  agent_->signal(SIGTERM);
  EXPECT_TRUE(must(agent_->wait()).success());
  expect_restore_has_all(ledger.committed());
  std::cout << ledger.committed() << " numbered commits, all restored\n";
}

}  // namespace
}  // namespace pitr::test
