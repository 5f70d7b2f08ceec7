// Who is told of what an agent does.
#include "agent/agent.h"
#include "agent/webhook_receiver.h"
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
  EXPECT_TRUE(second.gets("configuration_changed"));
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
              "notifications:\n" + receiver.section("a", "", ", timeout: 5min"));
  SystemClock clock;
  MemoryStorage storage(clock);
  const auto repository = must(Repository::init(storage, std::nullopt));
  const auto agent = must(Agent::start(site.config(), *repository, clock));
  ASSERT_TRUE(eventually([&] { return receiver.hanging() == 1; }));
  const auto before = std::chrono::steady_clock::now();
  agent->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - before, Seconds(60));
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
  agent->stop();
  EXPECT_EQ(all.of("agent_stopped").size(), 1u);
  EXPECT_EQ(all.of("backup_failure").size(), 1u);
  EXPECT_EQ(critical.of("backup_failure").size(), 1u);
  EXPECT_EQ(critical.count(), 1u);
}

}  // namespace
}  // namespace pitr::test
