// The agent as a service: what it tells systemd, how it reads its configuration again, and what its
// log never says. No server is there; none is needed.
#include <sys/socket.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "agent/pitr_site.h"
#include "agent/repository_access.h"
#include "support/raw_socket.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;
using testing::Not;

// Like systemd's side of NOTIFY_SOCKET.
class NotifySocket {
 public:
  explicit NotifySocket(const Path& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    const auto address = testing_support::unix_address(path);
    if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error("binding " + path.native());
    }
  }
  // The next message that isn't `but`; "" after half a minute.
  std::string next(const std::string& but = "") {
    std::string message;
    const bool came = eventually([&] {
      char buffer[256];
      const auto count = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
      if (count > 0) message.assign(buffer, static_cast<std::size_t>(count));
      return count > 0 && message != but;
    });
    return came ? message : "";
  }

 private:
  UniqueFd fd_;
};

class SupervisionTest : public testing::Test {
 protected:
  SupervisionTest() : site_("host=/nonexistent sslpassword=hunter2") {
    SystemClock clock;
    must(init_repository(site_.config(), clock));
    key_ = must(read_text_file(site_.key_file()));
    while (key_.ends_with('\n')) key_.pop_back();
  }

  void change_config(const std::string& from, const std::string& to) {
    auto yaml = must(read_text_file(site_.config_file()));
    const auto at = yaml.find(from);
    ASSERT_NE(at, std::string::npos) << yaml;
    write_text(site_.config_file(), yaml.replace(at, from.size(), to));
  }
  Subprocess start(const std::map<std::string, std::string>& environment = {}) {
    SubprocessOptions options;
    options.environment = environment;
    return must(Subprocess::start({PitrSite::program("pitr-agent").native(), "--config",
                                   site_.config_file().native(), "--log-level", "debug"},
                                  options));
  }
  static bool says(const Subprocess& agent, const std::string& text) {
    return eventually([&] { return agent.err().find(text) != std::string::npos; });
  }
  static void expect_end(Subprocess& agent) {
    agent.signal(SIGTERM);
    const auto status = must(agent.wait());
    EXPECT_EQ(status.exit_code, 0) << agent.err();
  }

  PitrSite site_;
  std::string key_;
};

TEST_F(SupervisionTest, SystemdIsToldAndTheWatchdogFed) {
  const Path path = site_.home() / "notify";
  NotifySocket systemd(path);
  auto agent = start({{"NOTIFY_SOCKET", path.native()}, {"WATCHDOG_USEC", "100000"}});
  EXPECT_EQ(systemd.next(), "READY=1");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(systemd.next(), "WATCHDOG=1");
  agent.signal(SIGHUP);
  EXPECT_EQ(systemd.next("WATCHDOG=1"), "RELOADING=1");
  EXPECT_EQ(systemd.next("WATCHDOG=1"), "READY=1");
  agent.signal(SIGTERM);
  EXPECT_EQ(systemd.next("WATCHDOG=1"), "STOPPING=1");
  EXPECT_EQ(must(agent.wait()).exit_code, 0) << agent.err();
}

// The process that systemd watches is another one.
TEST_F(SupervisionTest, AnothersWatchdogIsNotFed) {
  const Path path = site_.home() / "notify";
  NotifySocket systemd(path);
  auto agent =
      start({{"NOTIFY_SOCKET", path.native()}, {"WATCHDOG_USEC", "1000"}, {"WATCHDOG_PID", "1"}});
  EXPECT_EQ(systemd.next(), "READY=1");
  ASSERT_TRUE(says(agent, "cluster main"));
  agent.signal(SIGTERM);
  EXPECT_EQ(systemd.next(), "STOPPING=1");
  EXPECT_EQ(must(agent.wait()).exit_code, 0);
}

TEST_F(SupervisionTest, SighupTakesOverWhatItMayAndNamesTheRest) {
  auto agent = start();
  ASSERT_TRUE(says(agent, "answering on"));
  const http::Client client(site_.socket());
  const auto status = [&] {
    return must(client.send(must(http::Request::create("GET", "/v1/status")))).body;
  };
  EXPECT_THAT(status(), HasSubstr(R"("schedule":"never")"));
  change_config("schedule: never", "schedule: {backup: {every: 7h}, expire: \"0 5 * * *\"}");
  change_config("main:\n", "main:\n    slot: another_one\n");
  agent.signal(SIGHUP);
  EXPECT_TRUE(says(agent, "clusters.main.schedule is taken over")) << agent.err();
  EXPECT_TRUE(says(agent, "clusters.main.slot changed, which counts after a restart"));
  EXPECT_THAT(status(), HasSubstr(R"("schedule":"every 7h")"));
  // It is acted upon, too: the first backup is due, and fails without a server.
  EXPECT_TRUE(says(agent, "backup failed (1 in a row)")) << agent.err();

  // A mistake changes nothing.
  change_config("every: 7h", "every: 7hours");
  agent.signal(SIGHUP);
  EXPECT_TRUE(says(agent, "is not taken over, all stays as it was")) << agent.err();
  EXPECT_THAT(status(), HasSubstr(R"("schedule":"every 7h")"));
  expect_end(agent);
}

TEST_F(SupervisionTest, JsonLinesAreJson) {
  change_config("agent: {", "agent: {log_format: json, ");
  auto agent = start();
  ASSERT_TRUE(says(agent, R"("cluster":"main")")) << agent.err();
  expect_end(agent);
  std::istringstream lines(agent.err());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    ASSERT_TRUE(json.is_object()) << line;
    EXPECT_TRUE(json.at("time").is_string() && json.at("level").is_string() &&
                json.at("message").is_string())
        << line;
  }
  EXPECT_GT(count, 4);
}

TEST_F(SupervisionTest, NoSecretIsLogged) {
  const auto expect_no_secret = [&](const std::string& log) {
    EXPECT_FALSE(log.empty());
    for (const auto& secret : {std::string("hunter"), key_}) {
      EXPECT_THAT(log, Not(HasSubstr(secret)));
    }
  };
  // In a connection that cannot be had, and in a command that gives the key.
  const auto key_file = "key_file: " + site_.key_file().native();
  change_config(key_file, fmt::format("key_command: 'echo {} # hunter3'", key_));
  change_config("schedule: never", "schedule: {jitter: 0s}");
  auto agent = start();
  EXPECT_TRUE(says(agent, "backup failed")) << agent.err();
  EXPECT_TRUE(says(agent, "problem with connection")) << agent.err();
  expect_end(agent);
  expect_no_secret(agent.err());
  // In a command that fails.
  change_config(fmt::format("echo {}", key_), "false");
  auto failed = start();
  EXPECT_NE(must(failed.wait()).exit_code, 0);
  expect_no_secret(failed.err());
  // In a configuration that is refused.
  change_config("sslpassword", "password");
  auto refused = start();
  EXPECT_EQ(must(refused.wait()).exit_code, 2);
  EXPECT_THAT(refused.err(), HasSubstr("holds a password"));
  expect_no_secret(refused.err());
}

}  // namespace
}  // namespace pitr::test
