#include "postgres/backup_label.h"

namespace pitr {
namespace {

// What PostgreSQL 15 wrote for a backup.
const std::string kLabel =
    "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n"
    "CHECKPOINT LOCATION: 0/2000060\n"
    "BACKUP METHOD: streamed\n"
    "BACKUP FROM: primary\n"
    "START TIME: 2026-03-01 09:15:00 UTC\n"
    "LABEL: nightly (file): 100%\n"
    "START TIMELINE: 1\n";

std::string replaced(std::string_view from, std::string_view to) {
  auto text = kLabel;
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(BackupLabelTest, FieldsAreReadAndBuildingGivesTheSameBytes) {
  const auto label = parse_backup_label(kLabel);
  ASSERT_TRUE(label.has_value()) << label.error().message();
  EXPECT_EQ(label->start, Lsn(0x2000028));
  EXPECT_EQ(label->start_segment, "000000010000000000000002");
  EXPECT_EQ(label->checkpoint, Lsn(0x2000060));
  EXPECT_FALSE(label->from_standby);
  EXPECT_EQ(label->start_time, "2026-03-01 09:15:00 UTC");
  EXPECT_EQ(label->label, "nightly (file): 100%");
  EXPECT_EQ(label->timeline, TimelineId(1));
  EXPECT_FALSE(label->incremental_from);
  EXPECT_EQ(build_backup_label(*label), kLabel);
}

TEST(BackupLabelTest, IncrementalLinesOfSeventeenAreKnown) {
  const auto text = kLabel + "INCREMENTAL FROM LSN: 0/1000028\nINCREMENTAL FROM TLI: 1\n";
  const auto label = parse_backup_label(text);
  ASSERT_TRUE(label.has_value());
  EXPECT_EQ(label->incremental_from, Lsn(0x1000028));
  EXPECT_EQ(build_backup_label(*label), text);
  EXPECT_FALSE(parse_backup_label(kLabel + "INCREMENTAL FROM LSN: 0/1000028\n").has_value());
}

TEST(BackupLabelTest, TheIncrementalLinesAloneAreTakenOut) {
  const std::string lines = "INCREMENTAL FROM LSN: 0/1000028\nINCREMENTAL FROM TLI: 1\n";
  EXPECT_EQ(without_incremental_lines(kLabel + lines), kLabel);
  EXPECT_EQ(without_incremental_lines(kLabel), kLabel);
  const auto misleading = replaced("nightly", "INCREMENTAL FROM LSN: 0/1");
  EXPECT_EQ(without_incremental_lines(misleading), misleading);
  EXPECT_EQ(without_incremental_lines(misleading + lines), misleading);
}

TEST(BackupLabelTest, StandbyAndTheWordingOfThirteenAreKnown) {
  EXPECT_TRUE(parse_backup_label(replaced("primary", "standby"))->from_standby);
  EXPECT_FALSE(parse_backup_label(replaced("primary", "master"))->from_standby);
  EXPECT_TRUE(parse_backup_label(replaced("streamed", "pg_start_backup")).has_value());
  EXPECT_TRUE(parse_backup_label(replaced("LABEL: nightly (file): 100%", "LABEL: ")).has_value());
}

TEST(BackupLabelTest, AnythingElseIsCorrupt) {
  const std::vector<std::string> bad = {
      "",
      kLabel + "\n",
      kLabel + "more\n",
      kLabel.substr(0, kLabel.size() - 1),
      "\n" + kLabel,
      replaced("START WAL", "start WAL"),
      replaced("0/2000028", "0-2000028"),
      replaced(" (file", " (File"),
      replaced("000000010000000000000002", "00000001000000000000000G"),
      replaced("000000010000000000000002", "000000020000000000000002"),
      replaced("streamed", "copied"),
      replaced("primary", "elsewhere"),
      replaced("START TIMELINE: 1", "START TIMELINE: 0"),
      replaced("START TIMELINE: 1\n", ""),
      replaced("nightly", "two\nlines"),
      replaced("nightly", std::string_view("zero\0", 5)),
      replaced("LABEL: ", "LABEL:"),
      replaced("\n", "\r\n"),
  };
  for (const auto& text : bad) {
    const auto label = parse_backup_label(text);
    ASSERT_FALSE(label.has_value()) << text;
    EXPECT_EQ(label.error().kind(), ErrorKind::kCorrupt) << text;
  }
}

}  // namespace
}  // namespace pitr
