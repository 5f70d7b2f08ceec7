#include "postgres/base_backup_stream.h"

namespace pitr {
namespace {

TEST(BaseBackupCommandTest, OldServersTakeWords) {
  EXPECT_EQ(base_backup_command({.label = "it's"}, 14).value(),
            "BASE_BACKUP LABEL 'it''s' PROGRESS FAST NOWAIT TABLESPACE_MAP MANIFEST 'yes' "
            "MANIFEST_CHECKSUMS 'CRC32C'");
  EXPECT_EQ(base_backup_command({.label = "x",
                                 .fast_checkpoint = false,
                                 .manifest = false,
                                 .max_rate_kib_per_second = 32,
                                 .tablespace_map = false,
                                 .verify_checksums = false,
                                 .progress = false,
                                 .wait_for_archive = true,
                                 .include_wal = true},
                                13)
                .value(),
            "BASE_BACKUP LABEL 'x' WAL MAX_RATE 32 NOVERIFY_CHECKSUMS");
}

TEST(BaseBackupCommandTest, NewServersTakeAList) {
  EXPECT_EQ(base_backup_command({.label = "x"}, 15).value(),
            "BASE_BACKUP (LABEL 'x', PROGRESS true, CHECKPOINT 'fast', WAL false, WAIT false, "
            "TABLESPACE_MAP true, VERIFY_CHECKSUMS true, MANIFEST 'yes', MANIFEST_CHECKSUMS "
            "'CRC32C')");
}

TEST(BaseBackupCommandTest, IncrementalsAreOfSeventeenAndNewer) {
  const BaseBackupOptions options{.label = "x", .manifest = false, .incremental = true};
  EXPECT_THAT(base_backup_command(options, 17).value(), testing::EndsWith(", INCREMENTAL)"));
  EXPECT_EQ(base_backup_command(options, 16).error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(base_backup_command(options, 14).error().kind(), ErrorKind::kInvalid);
}

TEST(BaseBackupCommandTest, WhatAServerWouldRefuseOrMisreadIsRefused) {
  for (const std::uint32_t rate : {1u, 31u, 1048577u}) {
    EXPECT_EQ(base_backup_command({.max_rate_kib_per_second = rate}, 15).error().kind(),
              ErrorKind::kInvalid);
  }
  EXPECT_FALSE(base_backup_command({.label = "two\nlines"}, 15).has_value());
  EXPECT_FALSE(base_backup_command({.label = std::string(1025, 'x')}, 15).has_value());
}

}  // namespace
}  // namespace pitr
