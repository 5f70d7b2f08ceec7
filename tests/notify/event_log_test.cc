#include "notify/event_log.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

namespace pitr {
namespace {

Event make_event(EventType type, std::string message) {
  Event event;
  event.type = type;
  event.message = std::move(message);
  return event;
}

TEST(EventTest, NamesAreOnesOwnAndReadBack) {
  std::set<std::string_view> names;
  for (const auto type : kEventTypes) {
    EXPECT_TRUE(names.insert(to_string(type)).second) << to_string(type);
    EXPECT_EQ(parse_event_type(to_string(type)).value(), type);
  }
  const auto unknown = parse_event_type("backup_lost");
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().hint().find("backup_failure"), std::string::npos);
}

TEST(EventTest, JsonHasWhatTheEventSays) {
  auto event = make_event(EventType::kGapDetected, "WAL is missing \xff");
  event.cluster = "main";
  event.details["segment"] = "000000010000000000000003";
  event.number = 7;
  const auto json = nlohmann::json::parse(to_json_text(event));
  EXPECT_EQ(json["event"], "gap_detected");
  EXPECT_EQ(json["severity"], "critical");
  EXPECT_EQ(json["cluster"], "main");
  EXPECT_EQ(json["message"], "WAL is missing \xEF\xBF\xBD");
  EXPECT_EQ(json["details"]["segment"], "000000010000000000000003");
  EXPECT_EQ(json["number"], 7);
  EXPECT_FALSE(nlohmann::json::parse(to_json_text(Event())).contains("cluster"));
}

TEST(EventLogTest, NumbersEventsAndForgetsTheOldest) {
  EventLog log(3);
  EXPECT_EQ(log.last_number(), 0u);
  for (const char* text : {"a", "b", "c", "d", "e"}) {
    log.publish(make_event(EventType::kBackupCreated, text));
  }
  EXPECT_EQ(log.last_number(), 5u);
  const auto all = log.since(0, 100);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all.front().number, 3u);
  EXPECT_EQ(all.front().message, "c");
  const auto next = log.since(3, 1);
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next.front().message, "d");
  EXPECT_TRUE(log.since(5, 100).empty());
}

TEST(EventLogTest, TellsListenersInOrderUntilTheyAreRemoved) {
  struct Listener final : EventListener {
    void on_event(const Event& event) override { seen += event.message; }
    std::string seen;
  } listener;
  EventLog log;
  log.add_listener(listener);
  log.publish(make_event(EventType::kBackupCreated, "a"));
  log.publish(make_event(EventType::kBackupFailure, "b"));
  log.remove_listener(listener);
  log.publish(make_event(EventType::kBackupCreated, "c"));
  EXPECT_EQ(listener.seen, "ab");
}

}  // namespace
}  // namespace pitr
