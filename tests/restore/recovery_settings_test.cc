#include "restore/recovery/recovery_settings.h"

namespace pitr {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(RecoverySettingsTest, TheOnlyTargetIsSetAfterAllAreEmptied) {
  RecoverySettings settings;
  settings.restore_command = restore_command("/opt/it's 100%/pitr-wal-get", "/data/plan");
  settings.target_lsn = Lsn(0x3000148);
  settings.inclusive = false;
  settings.timeline = TimelineId(4);
  const auto text = with_recovery_settings("recovery_target_time = '2020-01-01'", settings);
  EXPECT_LT(text.find("recovery_target_time = ''"), text.find("recovery_target_lsn = '0/3000148'"));
  EXPECT_LT(text.find("recovery_target_time = '2020"), text.find("recovery_target_time = ''"));
  EXPECT_THAT(text, HasSubstr("recovery_target_inclusive = off\n"));
  EXPECT_THAT(text, HasSubstr("recovery_target_timeline = '4'\n"));
  EXPECT_THAT(text, HasSubstr("archive_mode = off\n"));
  EXPECT_THAT(text, HasSubstr("100%%/pitr-wal-get"));
  EXPECT_THAT(text, HasSubstr("\"%f\" \"%p\"'\n"));
}

TEST(RecoverySettingsTest, AnEarlierRestoresSectionGoes) {
  RecoverySettings settings;
  settings.target_lsn = Lsn(1);
  settings.keep_archive_mode = true;
  const auto once = with_recovery_settings("work_mem = '1GB'\n", settings);
  settings.target_lsn = Lsn(2);
  const auto twice = with_recovery_settings(once + "port = 1\n", settings);
  EXPECT_THAT(twice, HasSubstr("work_mem = '1GB'\nport = 1\n"));
  EXPECT_THAT(twice, Not(HasSubstr("'0/1'")));
  EXPECT_THAT(twice, Not(HasSubstr("archive_mode")));
}

}  // namespace
}  // namespace pitr
