#include "repository/audit/audit_log.h"

#include "repository/audit/audit_summary.h"
#include "repository/wal/archive_fixture.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;

class AuditLogTest : public ::testing::Test {
 protected:
  static AuditEntry entry(std::int64_t day,
                          AuditedOperation operation = AuditedOperation::kBackup) {
    AuditEntry made;
    made.time = Timestamp::from_unix_us((kFirstDay + day) * 86'400'000'000 + 123'456);
    made.operation = operation;
    made.cluster = "main";
    made.actor = {"alice", "db1", "pitr backup"};
    return made;
  }
  std::vector<std::string> read(const AuditFilter& filter) {
    std::vector<std::string> lines;
    must(log.read(filter, [&](const AuditEntry& each) { lines.push_back(to_json_line(each)); }));
    return lines;
  }

  static constexpr std::int64_t kFirstDay = 20'454;  // 2026-01-01
  SystemClock clock;
  MemoryStorage memory{clock};
  TestRepository repository{memory};
  AuditLog log{repository.repository()};
};

TEST_F(AuditLogTest, WhatWasAppendedIsReadInTheOrderOfTime) {
  auto failed = entry(40, AuditedOperation::kRestore);
  failed.reason = "somebody dropped \"orders\"";
  failed.error = "the disk is full";
  failed.details = {{"target", "2026-02-10 09:00:00+00"}};
  for (const auto& each : {entry(59), failed, entry(2)}) must(log.append(each));
  EXPECT_EQ(read({}), (std::vector<std::string>{to_json_line(entry(2)), to_json_line(failed),
                                                to_json_line(entry(59))}));
  EXPECT_THAT(to_json_line(failed), HasSubstr("\"outcome\":\"failure\""));
  const auto again = must(parse_json_line(to_json_line(failed)));
  EXPECT_EQ(again.details, failed.details);
  EXPECT_EQ(again.time, failed.time);
}

TEST_F(AuditLogTest, AFilterGivesWhatItAsksForAndNothingElse) {
  auto other = entry(31);
  other.cluster = "other";
  auto bob = entry(32);
  bob.actor.user = "bob";
  auto failed = entry(33);
  failed.error = "no";
  const auto pin = entry(34, AuditedOperation::kPin);
  for (const auto& each : {entry(30), other, bob, failed, pin}) must(log.append(each));

  const auto only = [](const AuditEntry& each) { return std::vector{to_json_line(each)}; };
  EXPECT_EQ(read({.cluster = "other"}), only(other));
  EXPECT_EQ(read({.user = "bob"}), only(bob));
  EXPECT_EQ(read({.failures_only = true}), only(failed));
  EXPECT_EQ(read({.operation = AuditedOperation::kPin}), only(pin));
  // From is inclusive and until exclusive, across the end of a month.
  EXPECT_EQ(read({.from = entry(30).time, .until = other.time}), only(entry(30)));
  EXPECT_EQ(read({.from = entry(30).time + Microseconds(1), .until = bob.time}), only(other));
  EXPECT_EQ(read({.from = entry(365).time}).size(), 0u);
}

TEST_F(AuditLogTest, EntriesOfTheSameSecondKeepTheirOrder) {
  std::vector<std::string> expected;
  for (int i = 0; i < 20; ++i) {
    auto next = entry(1);
    next.time = next.time + Microseconds(i * 1'000);
    must(log.append(next));
    expected.push_back(to_json_line(next));
  }
  EXPECT_EQ(read({}), expected);
}

TEST_F(AuditLogTest, ADamagedEntryIsNamedAndNeverLeftOut) {
  must(log.append(entry(1)));
  const auto objects = must(list_all(memory, std::string(layout::kAuditPrefix)));
  ASSERT_EQ(objects.size(), 1u);
  flip_byte(memory, objects[0].key, objects[0].size_bytes / 2);
  const auto result = log.read({}, [](const AuditEntry&) { FAIL(); });
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().kind(), ErrorKind::kCorrupt);
  EXPECT_THAT(result.error().message(), HasSubstr(objects[0].key.text()));
}

TEST_F(AuditLogTest, AnEntryCannotBeMovedToAnotherTime) {
  must(log.append(entry(1)));
  const auto objects = must(list_all(memory, std::string(layout::kAuditPrefix)));
  const auto bytes = must(memory.get(objects[0].key, 1 << 20));
  must(memory.remove(objects[0].key));
  must(memory.put(layout::audit_entry(entry(2).time, 1), bytes));
  EXPECT_FALSE(log.read({}, [](const AuditEntry&) { FAIL(); }).has_value());
}

TEST_F(AuditLogTest, MalformedLinesAreRefused) {
  const auto good = to_json_line(entry(1));
  EXPECT_TRUE(parse_json_line(good).has_value());
  EXPECT_FALSE(parse_json_line(good.substr(0, good.size() - 1)).has_value());
  EXPECT_FALSE(parse_json_line("[]").has_value());
  EXPECT_FALSE(parse_json_line("{}").has_value());
  auto unknown = good;
  unknown.replace(unknown.find("\"backup\""), 8, "\"invent\"");
  const auto refused = parse_json_line(unknown);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind(), ErrorKind::kInvalid);
  auto contradicting = good;
  contradicting.replace(contradicting.find("success"), 7, "failure");
  EXPECT_FALSE(parse_json_line(contradicting).has_value());
}

TEST_F(AuditLogTest, TextsOfAnyBytesAreStored) {
  auto odd = entry(1);
  odd.reason = "a\nb\xff\"\\";
  must(log.append(odd));
  const auto lines = read({});
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].find('\n'), std::string::npos);
}

TEST_F(AuditLogTest, QuartersAreSummedUp) {
  EXPECT_EQ(quarter_of(entry(0).time), "2026-Q1");
  EXPECT_EQ(quarter_of(entry(89).time), "2026-Q1");
  EXPECT_EQ(quarter_of(entry(90).time), "2026-Q2");
  EXPECT_EQ(quarter_of(entry(364).time), "2026-Q4");
  AuditSummary summary;
  auto failed = entry(91);
  failed.error = "no";
  auto explained = entry(92, AuditedOperation::kRestore);
  explained.reason = "drill";
  for (const auto& each :
       {entry(1), entry(90), failed, explained, entry(93, AuditedOperation::kRestore)}) {
    summary.add(each);
  }
  ASSERT_EQ(summary.quarters().size(), 2u);
  const auto& second = summary.quarters().at("2026-Q2");
  EXPECT_EQ(second.operations.at(AuditedOperation::kBackup).succeeded, 1u);
  EXPECT_EQ(second.operations.at(AuditedOperation::kBackup).failed, 1u);
  EXPECT_EQ(second.operations.at(AuditedOperation::kRestore).succeeded, 2u);
  EXPECT_EQ(second.without_reason, 1u);
  EXPECT_EQ(second.users.at("alice"), 4u);
}

}  // namespace
}  // namespace pitr::test
