// Who is told of what an agent does.
#include <atomic>

#include "agent/agent.h"
#include "agent/scrape.h"
#include "agent/webhook_receiver.h"
#include "notify/transport.h"
#include "storage/memory/memory_storage.h"

namespace pitr::test {
namespace {

TEST(NotificationsTest, AReloadTakesDestinationsOver) {
  WebhookReceiver first, second;
  const PitrSite site("host=/nonexistent");
  const auto yaml = must(read_text_file(site.config_file()));
  const auto configured = [&](const std::string& destinations) {
    write_text(site.config_file(), yaml + "notifications:\n" + destinations);
    return site.config();
  };
  SystemClock clock;
  MemoryStorage storage(clock);
  const auto repository = must(Repository::init(storage, std::nullopt));
  const auto agent = must(Agent::start(configured(first.section("a")), *repository, clock,
                                       {.metrics = {}, .farewell = Seconds(60)}));
  EXPECT_TRUE(first.gets("agent_started"));

  agent->reload(configured(second.section("b") + first.section("c", ", severity: critical")));
  ASSERT_TRUE(second.gets("configuration_changed"));
  const auto told = nlohmann::json::parse(second.of("configuration_changed").front().body);
  EXPECT_EQ(told["details"]["taken_over"], "notifications") << told.dump();
  EXPECT_EQ(told["details"]["need_restart"], "") << told.dump();
  EXPECT_EQ(agent->events().last_number(), 2u);

  agent->stop();
  EXPECT_EQ(second.of("agent_stopped").size(), 1u);
  // Neither by "a", which is gone, nor by "c", which is told of critical events only.
  EXPECT_TRUE(first.of("configuration_changed").empty());
  EXPECT_TRUE(first.of("agent_stopped").empty());
}

TEST(NotificationsTest, AHangingReceiverDoesNotHoldUpTheEnd) {
  WebhookReceiver receiver;
  receiver.hang();
  const PitrSite site("host=/nonexistent");
  append_text(site.config_file(),
              "notifications:\n" + receiver.section("a", ", retry_for: 1s", ", timeout: 90s"));
  SystemClock clock;
  MemoryStorage storage(clock);
  const auto repository = must(Repository::init(storage, std::nullopt));
  const auto agent = must(Agent::start(site.config(), *repository, clock));
  ASSERT_TRUE(eventually([&] { return receiver.hanging() == 1; }));
  const auto before = std::chrono::steady_clock::now();
  agent->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - before, Seconds(60));
}

// The programs, as an operator has them.
TEST(NotificationsTest, BackupsAndRestoresAreToldAndAHangingReceiverDelaysNobody) {
  auto cluster = started_cluster();
  const PitrSite site(cluster);
  WebhookReceiver team, other;
  const auto secret = site.home() / "secret";
  write_text(secret, "open sesame\n");
  std::filesystem::permissions(secret, std::filesystem::perms(0600));
  append_text(site.config_file(),
              "notifications:\n" + team.section("team", "", ", secret_file: " + secret.native()) +
                  other.section("other",
                                ", events: [backup_failure, restore_completed, "
                                "restore_failure]",
                                ", timeout: 5min"));
  ASSERT_EQ(site.run({"pitr", "init"}).status.exit_code, 0);
  auto agent = site.start_agent();
  ASSERT_EQ(site.run({"pitr", "backup"}).status.exit_code, 0);
  ASSERT_TRUE(team.gets("backup_created")) << agent.err();
  const auto created = team.of("backup_created").front();
  const auto signature = created.header("x-pitr-signature");
  EXPECT_EQ(signature,
            webhook_signature("open sesame", std::stoll(signature.substr(2)), created.body));
  const auto event = nlohmann::json::parse(created.body);
  EXPECT_EQ(event["cluster"], "main");
  const auto backup = event["details"]["backup"].get<std::string>();
  EXPECT_NE(site.run({"pitr", "list"}).out.find(backup), std::string::npos) << backup;

  const auto restore = [&](const std::string& directory, std::vector<std::string> more = {}) {
    std::vector<std::string> command{"pitr-restore", "--latest", "--target-dir",
                                     site.home() / directory};
    command.insert(command.end(), more.begin(), more.end());
    return site.run(command);
  };
  EXPECT_EQ(restore("dry", {"--dry-run"}).status.exit_code, 0);
  EXPECT_EQ(other.count(), 0u);
  const auto restored = restore("copy");
  EXPECT_EQ(restored.status.exit_code, 0) << restored.err;
  ASSERT_EQ(team.of("restore_completed").size(), 1u) << restored.err;
  const auto told = nlohmann::json::parse(team.of("restore_completed").front().body);
  EXPECT_EQ(told["details"]["backup"], backup);
  EXPECT_EQ(told["details"]["directory"], (site.home() / "copy").native());
  const auto failed = restore("copy2", {"--start", "--set", "shared_buffers=nonsense"});
  EXPECT_NE(failed.status.exit_code, 0);
  EXPECT_EQ(other.of("restore_failure").size(), 1u) << failed.err;
  EXPECT_EQ(other.count(), 2u);  // not the backup

  team.hang();
  ASSERT_EQ(site.run({"pitr", "backup"}).status.exit_code, 0);
  EXPECT_TRUE(eventually([&] { return team.hanging() >= 1; }));
  const auto late = restore("copy3");
  EXPECT_EQ(late.status.exit_code, 0) << late.err;
  EXPECT_THAT(late.err, testing::HasSubstr("notifications to team: 1 were not sent"));
  EXPECT_TRUE(other.gets("restore_completed", 2));
  agent.signal(SIGTERM);
  EXPECT_EQ(must(agent.wait(Seconds(60))).exit_code, 0) << agent.err();
}

TEST(NotificationsTest, ABackupThatFailsAgainAndAgainIsOneMessage) {
  const PitrSite site("host=/nonexistent");
  WebhookReceiver all, critical;
  append_text(site.config_file(), "notifications:\n" + all.section("all") +
                                      critical.section("critical", ", severity: critical"));
  SystemClock clock;
  MemoryStorage storage(clock);
  const auto repository = must(Repository::init(storage, std::nullopt));
  const auto agent = must(
      Agent::start(site.config(), *repository, clock, {.metrics = {}, .farewell = Seconds(60)}));
  for (int i = 0; i < 3; ++i) EXPECT_NE(site.run({"pitr", "backup"}).status.exit_code, 0);
  const auto events = agent->events().since(0, 100);
  EXPECT_EQ(std::ranges::count(events, EventType::kBackupFailure, &Event::type), 3);
  const auto count = [&](const std::string& outcome) {
    return Scrape::take(site.socket())
        .sample("pitr_notifications_total{destination=\"critical\",outcome=\"" + outcome + "\"}");
  };
  EXPECT_TRUE(eventually([&] { return count("success") == 1; }));
  EXPECT_EQ(count("collapsed"), 2);
  EXPECT_EQ(count("failure"), 0);
  const std::string last = "pitr_notification_last_success_timestamp_seconds";
  EXPECT_GT(Scrape::take(site.socket()).sample(last + "{destination=\"critical\"}"), 1.7e9);
  agent->stop();
  EXPECT_EQ(all.of("agent_stopped").size(), 1u);
  EXPECT_EQ(all.of("backup_failure").size(), 1u);
  EXPECT_EQ(critical.of("backup_failure").size(), 1u);
  EXPECT_EQ(critical.count(), 1u);
}

// Of a restore that nothing came of, and nothing was touched by.
TEST(NotificationsTest, NobodyIsToldOfARestoreThatWasNotWanted) {
  auto cluster = started_cluster();
  const PitrSite site(cluster);
  WebhookReceiver receiver;
  append_text(site.config_file(), "notifications:\n" + receiver.section("team"));
  ASSERT_EQ(site.run({"pitr", "init"}).status.exit_code, 0);
  auto agent = site.start_agent();
  ASSERT_EQ(site.run({"pitr", "backup"}).status.exit_code, 0);
  const auto target = site.home() / "copy";
  ASSERT_EQ(site.run({"pitr-restore", "--latest", "--target-dir", target}).status.exit_code, 0);
  ASSERT_TRUE(receiver.gets("restore_completed"));

  // On a terminal it asks before it replaces the copy.
  const auto again = [&](const std::string& answer) {
    SubprocessOptions options;
    options.environment = {{"PITR_CONFIG", site.config_file().native()}};
    options.input = answer;
    const auto command = fmt::format("{} --latest --force --target-dir {}",
                                     PitrSite::program("pitr-restore").native(), target.native());
    return must(run_command({"script", "-qec", command, "/dev/null"}, options));
  };
  write_text(target / "mine", "");
  const auto refused = again("no\n");
  EXPECT_EQ(refused.status.exit_code, 8) << refused.out;
  EXPECT_THAT(refused.out, testing::HasSubstr("nothing was touched"));
  EXPECT_TRUE(std::filesystem::exists(target / "mine"));
  const auto wanted = again("yes\n");
  EXPECT_EQ(wanted.status.exit_code, 0) << wanted.out;
  EXPECT_FALSE(std::filesystem::exists(target / "mine"));
  EXPECT_EQ(receiver.of("restore_completed").size(), 2u);
  EXPECT_TRUE(receiver.of("restore_failure").empty());
}

// The wall clock can be put forward; the other one runs as it does.
class AdvancedClock final : public Clock {
 public:
  Timestamp now() const override { return SystemClock::shared().now() + Seconds(by_s_); }
  SteadyTime steady_now() const override { return SystemClock::shared().steady_now(); }
  void advance(Seconds by) { by_s_ += by.count(); }

 private:
  std::atomic<std::int64_t> by_s_ = 0;
};

TEST(NotificationsTest, AScheduledBackupThatIsTriedAgainAndAgainIsOneMessage) {
  const PitrSite site("host=/nonexistent", {}, "{jitter: 0s, check: never}");
  WebhookReceiver receiver;
  append_text(site.config_file(), "notifications:\n" + receiver.section("team"));
  AdvancedClock clock;
  MemoryStorage storage(clock);
  const auto repository = must(Repository::init(storage, std::nullopt));
  const auto agent = must(
      Agent::start(site.config(), *repository, clock, {.metrics = {}, .farewell = Seconds(60)}));
  const auto failures = [&] {
    const auto events = agent->events().since(0, 1000);
    return std::ranges::count(events, EventType::kBackupFailure, &Event::type);
  };
  for (int attempt = 1; attempt <= 3; ++attempt) {
    EXPECT_TRUE(eventually([&] { return failures() >= attempt; })) << attempt;
    clock.advance(Seconds(2 * 3600));
    agent->reload(site.config());  // its runner looks at the clock
  }
  agent->stop();
  const auto told = receiver.of("backup_failure");
  ASSERT_EQ(told.size(), 1u);
  EXPECT_THAT(nlohmann::json::parse(told.front().body)["message"].get<std::string>(),
              testing::HasSubstr("/nonexistent"));
}

TEST(NotificationsTest, OnesOwnTestIsSentAndSecretsAreLookedFor) {
  const PitrSite site("host=/nonexistent");
  EXPECT_EQ(site.run({"pitr", "notify"}).status.exit_code, 3);
  WebhookReceiver receiver;
  append_text(site.config_file(),
              "notifications:\n" + receiver.section("team", ", severity: critical") +
                  receiver.section("signed", "", ", secret_file: /nonexistent/secret") +
                  "  hook: {command: {run: [/bin/sh, -c, \"exit 3\"]}}\n");
  const auto team = site.run({"pitr", "notify", "team"});
  EXPECT_EQ(team.status.exit_code, 0) << team.err;
  EXPECT_THAT(team.out, testing::HasSubstr("team: webhook http://127.0.0.1:"));
  EXPECT_EQ(receiver.of("test").size(), 1u);
  const auto hook = site.run({"pitr", "notify", "hook"});
  EXPECT_EQ(hook.status.exit_code, 7);
  EXPECT_THAT(hook.out, testing::HasSubstr("hook: command /bin/sh was NOT told: "));
  const auto every = site.run({"pitr", "notify", "--json"});
  EXPECT_EQ(every.status.exit_code, 6) << every.err;
  const auto list = nlohmann::json::parse(every.out);
  ASSERT_EQ(list.size(), 3u);
  EXPECT_TRUE(list[0]["told"]);
  EXPECT_FALSE(list[1]["told"]);
  EXPECT_THAT(list[1]["error"].get<std::string>(), testing::HasSubstr("there is no secret"));
  EXPECT_EQ(receiver.count(), 2u);
  const auto unknown = site.run({"pitr", "notify", "taem"});
  EXPECT_EQ(unknown.status.exit_code, 3);
  EXPECT_THAT(unknown.err, testing::HasSubstr("team, signed, hook"));

  const auto check = site.run({"pitr", "check"}).out;
  EXPECT_THAT(check, testing::ContainsRegex("warning +notifications to signed"));
  EXPECT_THAT(check, testing::ContainsRegex("ok +notifications to team"));
}

}  // namespace
}  // namespace pitr::test
