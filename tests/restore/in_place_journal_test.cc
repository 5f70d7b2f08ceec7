#include "restore/files/in_place_journal.h"

#include <unistd.h>

#include <filesystem>

#include "restore/files/stopped_cluster.h"
#include "restore/recovery/recovery_plan.h"

namespace pitr {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class InPlaceJournalTest : public testing::Test {
 protected:
  InPlaceJournalTest() {
    std::string name = fs::temp_directory_path() / "pitr-journal-XXXXXX";
    if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp");
    directory_ = name;
    fs::create_directories(directory_ / "global");
    journal_.system_identifier = 7'000'000'000'000'000'001;
    journal_.backup = "20260301T090000Z-0123456789abcdef";
    journal_.target = "time 2026-03-01 09:15:00";
    journal_.timeline = TimelineId(3);
    journal_.end = Lsn(0x1'0000'00A0);
    journal_.mode = "by facts";
    journal_.reason = "\"quoted\"";
    journal_.undo = "pitr-restore --in-place";
  }
  ~InPlaceJournalTest() override { fs::remove_all(directory_); }

  void write(const char* name, std::string_view text) {
    ASSERT_TRUE(write_file_durably(directory_ / name, as_bytes(text)).has_value());
  }
  bool has(const Path& path) const { return fs::exists(path); }
  ControlBytes control() const { return control_bytes(directory_).value(); }

  Path directory_;
  InPlaceJournal journal_;
};

TEST_F(InPlaceJournalTest, CountsOnlyWithoutPgControl) {
  write("global/pg_control", "control");
  ASSERT_TRUE(write_journal(directory_, journal_).has_value());
  auto found = read_journal(directory_);
  ASSERT_TRUE(found.has_value());
  EXPECT_FALSE(found->has_value());

  ASSERT_TRUE(withdraw_control(directory_, control()).has_value());
  EXPECT_FALSE(has(directory_ / "global" / "pg_control"));
  EXPECT_EQ(read_text_file(withdrawn_control_file(directory_)).value_or(""), "control");
  found = read_journal(directory_);
  ASSERT_TRUE(found.has_value() && found->has_value());
  EXPECT_EQ(**found, journal_);

  // Again, as after a kill: the control file from before stays.
  ASSERT_TRUE(withdraw_control(directory_, control()).has_value());
  EXPECT_TRUE(has(withdrawn_control_file(directory_)));

  write("global/pg_control", "restored");
  found = read_journal(directory_);
  ASSERT_TRUE(found.has_value());
  EXPECT_FALSE(found->has_value());
  ASSERT_TRUE(remove_journal(directory_).has_value());
  EXPECT_FALSE(has(journal_file(directory_)));
  EXPECT_FALSE(has(withdrawn_control_file(directory_)));
}

TEST_F(InPlaceJournalTest, DamageIsToldAndNotTakenForNone) {
  fs::create_directories(directory_ / kRestoreDirectory);
  for (const auto* text : {"", "{}", "{\"version\": 99}", "[1]"}) {
    write("pitr_restore/journal.json", text);
    const auto found = read_journal(directory_);
    ASSERT_FALSE(found.has_value()) << text;
    EXPECT_EQ(found.error().kind(), ErrorKind::kCorrupt);
  }
}

TEST_F(InPlaceJournalTest, NoServerLosesItsControlFile) {
  write("global/pg_control", "control");
  write("postmaster.pid",
        std::to_string(::getpid()) + "\n" + directory_.string() + "\n1\n5432\n\n\n\nready\n");
  const auto withdrawn = withdraw_control(directory_, control());
  ASSERT_FALSE(withdrawn.has_value());
  EXPECT_EQ(withdrawn.error().kind(), ErrorKind::kConflict);
  EXPECT_TRUE(has(directory_ / "global" / "pg_control"));
}

// Whatever ran there in between has written pg_control.
TEST_F(InPlaceJournalTest, WhatWasLookedAtBeforeAServerRanCountsNoMore) {
  write("global/pg_control", "as it was");
  const auto seen = control();
  EXPECT_TRUE(check_same_control(directory_, seen).has_value());
  write("global/pg_control", "a server stopped");
  for (const auto& before : {seen, ControlBytes()}) {
    EXPECT_EQ(check_same_control(directory_, before).error().kind(), ErrorKind::kConflict);
    const auto withdrawn = withdraw_control(directory_, before);
    ASSERT_FALSE(withdrawn.has_value());
    EXPECT_EQ(withdrawn.error().kind(), ErrorKind::kConflict);
    EXPECT_EQ(read_text_file(directory_ / "global" / "pg_control").value_or(""),
              "a server stopped");
  }
  fs::remove(directory_ / "global" / "pg_control");
  EXPECT_EQ(withdraw_control(directory_, seen).error().kind(), ErrorKind::kConflict);
  EXPECT_TRUE(withdraw_control(directory_, ControlBytes()).has_value());
}

TEST_F(InPlaceJournalTest, FsyncOffIsFoundWhereItCanBeKnown) {
  EXPECT_EQ(find_fsync_off(directory_), "");
  write("postgresql.conf", "#fsync = off\nport = 5432 # fsync = off\nfsync_not = off\n");
  EXPECT_EQ(find_fsync_off(directory_), "");
  write("postgresql.conf", "fsync = on\n  fsync 'OFF' # quick\n");
  EXPECT_THAT(find_fsync_off(directory_), HasSubstr("postgresql.conf turns fsync off"));
  write("postgresql.auto.conf", "fsync = 'on'\n");  // wins
  EXPECT_EQ(find_fsync_off(directory_), "");
  for (const auto* value : {"f", "no", "0", "'false'"}) {
    write("postgresql.auto.conf", "fsync=" + std::string(value) + "\n");
    EXPECT_THAT(find_fsync_off(directory_), HasSubstr("auto.conf turns fsync off")) << value;
  }
  write("postgresql.auto.conf", "");
  write("postgresql.conf", "");
  write("postmaster.opts", "/usr/bin/postgres \"-D\" \"/data\" \"-c\" \"fsync=on\"\n");
  EXPECT_EQ(find_fsync_off(directory_), "");
  write("postmaster.opts", "/usr/bin/postgres \"-D\" \"/data\" \"-c\" \"fsync=off\"\n");
  EXPECT_THAT(find_fsync_off(directory_), HasSubstr("started with fsync off"));
  write("postmaster.opts", "/usr/bin/postgres \"-F\"\n");
  EXPECT_THAT(find_fsync_off(directory_), HasSubstr("started with fsync off"));
}

}  // namespace
}  // namespace pitr
