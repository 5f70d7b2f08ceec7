#include "agent/metrics/restore_watch.h"

#include "repository/wal/archive_fixture.h"
#include "storage/memory/memory_storage.h"

namespace pitr::test {
namespace {

class RestoreWatchTest : public testing::Test {
 protected:
  void restore(Microseconds after_begin, const std::string& error = "",
               AuditedOperation operation = AuditedOperation::kRestore) {
    AuditEntry entry;
    entry.time = kBegan + after_begin;
    entry.operation = operation;
    entry.cluster = "main";
    entry.error = error;
    must(AuditLog(repository_.repository()).append(entry));
  }
  RestoreCounts look(Microseconds after_begin) {
    return must(watch_.look(kBegan + after_begin))["main"];
  }

  static constexpr Microseconds kMinute = std::chrono::minutes(1);
  static constexpr Microseconds kDay = std::chrono::hours(24);
  const Timestamp kBegan = Timestamp::from_unix_us(1'790'000'000'000'000);
  SystemClock clock_;
  MemoryStorage memory_{clock_};
  TestRepository repository_{memory_};
  RestoreWatch watch_{repository_.repository(), kBegan};
};

TEST_F(RestoreWatchTest, CountsEachRestoreOnce) {
  restore(kMinute);
  restore(kMinute, "the disk is full");
  restore(kMinute, "", AuditedOperation::kBackup);
  for (int i = 2; i < 200; ++i) {
    const auto counts = look(i * kMinute);
    EXPECT_EQ(counts.succeeded, 1u) << i;
    EXPECT_EQ(counts.failed, 1u) << i;
    EXPECT_EQ(counts.last_success, kBegan + kMinute);
  }
  // Somebody's clock is slow, or the entry was seen late.
  restore(150 * kMinute);
  EXPECT_EQ(look(200 * kMinute).succeeded, 2u);
  EXPECT_EQ(look(201 * kMinute).succeeded, 2u);
}

TEST_F(RestoreWatchTest, RemembersTheMonthBeforeButCountsFromTheBeginning) {
  restore(-3 * kDay);
  restore(-40 * kDay, "no such backup");
  const auto counts = look(Microseconds(0));
  EXPECT_EQ(counts.succeeded, 0u);
  EXPECT_EQ(counts.last_success, kBegan - 3 * kDay);
  EXPECT_EQ(counts.last_failure, Timestamp());
}

// Reading costs a request for each entry.
TEST_F(RestoreWatchTest, ReadsNothingTwiceThatIsOld) {
  for (int i = 0; i < 50; ++i) restore(i * kMinute);
  look(50 * kMinute);
  restore(200 * kMinute);
  look(200 * kMinute);
  // The next look begins an hour before; what is damaged before that isn't read.
  must(memory_.put(layout::audit_entry(kBegan + 10 * kMinute, 1), as_bytes("damaged")));
  EXPECT_EQ(look(201 * kMinute).succeeded, 51u);
}

}  // namespace
}  // namespace pitr::test
