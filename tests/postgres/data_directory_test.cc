#include "postgres/data_directory.h"

#include <unistd.h>

#include <filesystem>

namespace pitr {
namespace {

constexpr auto kFile = EntryKind::kFile;
constexpr auto kDirectory = EntryKind::kDirectory;
constexpr auto kSymlink = EntryKind::kSymlink;

BackupRule rule(std::string_view directory, std::string_view entry, EntryKind kind) {
  return backup_rule(directory, entry, kind, 15);
}

TEST(BackupRuleTest, OrdinaryEntriesAreIncluded) {
  for (const auto* name : {"PG_VERSION", "postgresql.conf", "postgresql.auto.conf", "notes.txt",
                           "backup_label.old", "current_logfiles"}) {
    EXPECT_EQ(rule("", name, kFile), BackupRule::kInclude) << name;
  }
  for (const auto* name : {"base", "global", "pg_xact", "pg_tblspc", "pg_stat", "pg_twophase"}) {
    EXPECT_EQ(rule("", name, kDirectory), BackupRule::kInclude) << name;
  }
  EXPECT_EQ(rule("global", "pg_control", kFile), BackupRule::kInclude);
  EXPECT_EQ(rule("base/5", "pg_filenode.map", kFile), BackupRule::kInclude);
  EXPECT_EQ(rule("base/5", "1259_vm", kFile), BackupRule::kInclude);
}

TEST(BackupRuleTest, VolatileDirectoriesAreMadeAgainEmpty) {
  for (const auto* name : {"pg_stat_tmp", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial",
                           "pg_snapshots", "pg_subtrans", "pg_wal"}) {
    EXPECT_EQ(rule("", name, kDirectory), BackupRule::kDirectoryOnly) << name;
    EXPECT_EQ(rule("", name, kSymlink), BackupRule::kDirectoryOnly) << name;
  }
  EXPECT_EQ(rule("custom", "pg_wal", kDirectory), BackupRule::kInclude);
  EXPECT_EQ(required_wal_directories(16).size(), 1u);
  EXPECT_EQ(required_wal_directories(17).back(), "pg_wal/summaries");
}

TEST(BackupRuleTest, FilesOfTheRunningServerAreSkipped) {
  for (const auto* name :
       {"postgresql.auto.conf.tmp", "current_logfiles.tmp", "pg_internal.init",
        "pg_internal.init.123", "backup_label", "tablespace_map", "backup_manifest",
        "postmaster.pid", "postmaster.opts", "pgsql_tmp", "pgsql_tmp123.4", ".DS_Store"}) {
    for (const auto* directory : {"", "base/5", "global"}) {
      EXPECT_EQ(rule(directory, name, kFile), BackupRule::kSkip) << name;
    }
  }
  EXPECT_EQ(rule("base", "pgsql_tmp", kDirectory), BackupRule::kSkip);
  EXPECT_EQ(rule("", "socket", EntryKind::kOther), BackupRule::kSkip);
}

TEST(BackupRuleTest, TemporaryRelationsAreSkippedInDatabasesOnly) {
  for (const auto* name : {"t3_16384", "t3_16384_fsm", "t3_16384.1", "t3_16384_vm.12"}) {
    EXPECT_EQ(rule("base/5", name, kFile), BackupRule::kSkip) << name;
    EXPECT_EQ(rule("pg_tblspc/9/PG_15_202209061/5", name, kFile), BackupRule::kSkip) << name;
    EXPECT_EQ(rule("", name, kFile), BackupRule::kInclude) << name;
  }
  for (const auto* name : {"t3_", "t_3", "t3_16384_abc", "t3_16384.", "t3_16384_vm_fsm", "t3"}) {
    EXPECT_EQ(rule("base/5", name, kFile), BackupRule::kInclude) << name;
  }
}

TEST(BackupRuleTest, TablespacesAreFollowedToTheServersOwnVersion) {
  EXPECT_EQ(rule("pg_tblspc", "16385", kSymlink), BackupRule::kTablespaceLink);
  EXPECT_EQ(rule("pg_tblspc", "16385", kDirectory), BackupRule::kInclude);
  EXPECT_EQ(rule("pg_tblspc", "other", kSymlink), BackupRule::kSkip);
  EXPECT_EQ(rule("base", "16385", kSymlink), BackupRule::kSkip);
  EXPECT_EQ(rule("pg_tblspc/16385", "PG_15_202209061", kDirectory), BackupRule::kInclude);
  EXPECT_EQ(rule("pg_tblspc/16385", "PG_14_202107181", kDirectory), BackupRule::kSkip);
  EXPECT_EQ(rule("pg_tblspc/16385", "lost+found", kDirectory), BackupRule::kSkip);
}

TEST(RelationFileNameTest, NamesRoundTrip) {
  const std::vector<std::pair<std::string, RelationFileName>> names = {
      {"16384", {16384, Fork::kMain, 0, {}}},
      {"16384.1", {16384, Fork::kMain, 1, {}}},
      {"4294967295_fsm", {4294967295, Fork::kFreeSpaceMap, 0, {}}},
      {"1259_vm.12", {1259, Fork::kVisibilityMap, 12, {}}},
      {"1_init", {1, Fork::kInit, 0, {}}},
      {"t0_7_fsm.2", {7, Fork::kFreeSpaceMap, 2, 0}},
  };
  for (const auto& [name, file] : names) {
    EXPECT_EQ(parse_relation_file_name(name), file) << name;
    EXPECT_EQ(to_string(file), name);
  }
}

TEST(RelationFileNameTest, OtherNamesAreNone) {
  for (const auto* name : {"", "0", "016384", "16384.0", "16384.01", "16384.", "16384_", "16384_x",
                           "16384_vm_fsm", "16384 ", "-1", "4294967296", "PG_VERSION", "t_1", "t1_",
                           "t01_5", "pg_filenode.map", "16384_vmx"}) {
    EXPECT_FALSE(parse_relation_file_name(name).has_value()) << name;
  }
}

TEST(RelationDirectoryTest, PlacesAreTold) {
  EXPECT_EQ(parse_relation_directory("global"), (RelationDirectory{1664, 0}));
  EXPECT_EQ(parse_relation_directory("base/5"), (RelationDirectory{1663, 5}));
  EXPECT_EQ(parse_relation_directory("pg_tblspc/9/PG_15_202209061/5"), (RelationDirectory{9, 5}));
  for (const auto* directory : {"", "base", "base/", "base/x", "base/5/6", "pg_tblspc/9",
                                "pg_tblspc/9/PG_15_202209061", "pg_tblspc/9/x/5", "base/0"}) {
    EXPECT_FALSE(parse_relation_directory(directory).has_value()) << directory;
  }
}

TEST(UnloggedRelationsTest, OnlyTheInitForkIsKept) {
  UnloggedRelations unlogged;
  for (const auto* name : {"20", "20_init", "20_fsm", "10", "30_init", "40_init.1", "x_init"}) {
    unlogged.add_entry(name);
  }
  unlogged.finish();
  const auto skipped = [&](const char* name) {
    return unlogged.must_skip(parse_relation_file_name(name).value());
  };
  for (const auto* name : {"20", "20.1", "20_fsm", "20_vm", "30"}) EXPECT_TRUE(skipped(name));
  for (const auto* name : {"20_init", "10", "10_fsm", "40"}) EXPECT_FALSE(skipped(name));
}

TEST(TablespaceVersionTest, NamesAreBuiltAndRead) {
  EXPECT_EQ(tablespace_version_directory(15, 202209061), "PG_15_202209061");
  EXPECT_EQ(parse_tablespace_version_directory("PG_15_202209061"), 15);
  for (const auto* name : {"PG_15", "PG_15_", "PG_x_1", "pg_15_1", "PG_15_1_2"}) {
    EXPECT_FALSE(parse_tablespace_version_directory(name).has_value()) << name;
  }
}

class SmallFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = Path(::testing::TempDir()) / ("small" + std::to_string(::getpid()));
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  void write(const char* name, std::string_view text) {
    ASSERT_TRUE(write_file_durably(directory_ / name, as_bytes(text)).has_value());
  }
  Path directory_;
};

TEST_F(SmallFilesTest, TheVersionIsRead) {
  EXPECT_EQ(read_server_major(directory_).error().kind(), ErrorKind::kNotFound);
  write("PG_VERSION", "15\n");
  EXPECT_EQ(read_server_major(directory_).value(), 15);
  for (const auto* bad : {"", "9.6\n", "x\n", "15\n15\n", "99999999999\n"}) {
    write("PG_VERSION", bad);
    EXPECT_EQ(read_server_major(directory_).error().kind(), ErrorKind::kCorrupt) << bad;
  }
}

TEST_F(SmallFilesTest, ThePidFileIsReadAsFarAsItIsWritten) {
  EXPECT_EQ(read_postmaster_pid(directory_).error().kind(), ErrorKind::kNotFound);
  const std::string first = "1234\n/srv/data\n1700000000\n5432\n/run/postgresql\n";
  write("postmaster.pid", first.substr(0, first.size() - 1));
  EXPECT_EQ(read_postmaster_pid(directory_).error().kind(), ErrorKind::kTransient);
  write("postmaster.pid", first);
  EXPECT_EQ(read_postmaster_pid(directory_)->status, "");
  write("postmaster.pid", first + "localhost\n  5432001    123456\nready   \n");
  const auto found = read_postmaster_pid(directory_);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->pid, 1234);
  EXPECT_EQ(found->data_directory, "/srv/data");
  EXPECT_EQ(found->start_time_unix, 1700000000);
  EXPECT_EQ(found->port, 5432);
  EXPECT_EQ(found->socket_directory, "/run/postgresql");
  EXPECT_EQ(found->listen_address, "localhost");
  EXPECT_EQ(found->status, "ready");
  write("postmaster.pid", "x\n/srv/data\n1700000000\n5432\n\n");
  EXPECT_EQ(read_postmaster_pid(directory_).error().kind(), ErrorKind::kCorrupt);
}

}  // namespace
}  // namespace pitr
