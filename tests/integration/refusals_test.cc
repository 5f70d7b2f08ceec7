// What pitr-restore must refuse: each with its own clear error, with the repository left as it was
// and nothing in the target directory that a server could start on.

#include "integration/stored_cluster.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;

using RefusalsTest = StoredClusterTest;

TEST_F(RefusalsTest, RequestsThatCannotBeMetAreRefusedBeforeAnythingIsTouched) {
  const Path directory = repository_.directory() / "repository";
  const RestoreProgram program(directory, repository_.key());
  expect_refusal(program, {"--timestamp", before_backup_}, 2,
                 "the earliest time that can be reached");
  expect_refusal(program, {"--lsn", "0/100"}, 2, "the earliest position on timeline");
  expect_refusal(program, {"--timestamp", after_all_}, 2,
                 "lies behind everything that is known to be complete");
  expect_refusal(program, {"--lsn", "7/0"}, 2, "is not in the repository");
  expect_refusal(program, {"--latest", "--timeline", "7"}, 3,
                 "timeline 7 is not in the repository");
  expect_refusal(program, {"--name", "nowhere"}, 3, "no restore point \"nowhere\"");
  expect_refusal(program, {"--xid", "4000000000"}, 3, "no transaction 4000000000");

  const RestoreProgram other_key(directory, must(KeyEncryptionKey::generate()));
  expect_refusal(other_key, {"--latest"}, 6, "key");
  const RestoreProgram no_key(directory, repository_.key());
  std::filesystem::remove(no_key.key_file());
  expect_refusal(no_key, {"--latest"}, 6, no_key.key_file().string());

  const auto occupied = home_ / "occupied";
  std::filesystem::create_directory(occupied);
  std::ofstream(occupied / "diary.txt") << "mine";
  for (const bool force : {false, true}) {
    std::vector<std::string> arguments = {"--latest", "--target-dir", occupied};
    if (force) arguments.insert(arguments.end(), {"--force", "--yes"});
    const auto output = program.run(arguments);
    EXPECT_EQ(output.status.exit_code, 2) << output.out << output.err;
    EXPECT_THAT(output.err, HasSubstr("neither empty nor a data directory"));
    EXPECT_EQ(contents_of(occupied), (std::map<std::string, std::string>{{"diary.txt", "mine"}}));
  }
  ASSERT_TRUE(restores_all(directory));  // and what can be met is
}

TEST_F(RefusalsTest, WhatTheCommandLineGivesAwayIsRefusedByADryRunToo) {
  const RestoreProgram program(repository_.directory() / "repository", repository_.key());
  must(cluster_.start());
  const auto taken = std::to_string(cluster_.port());
  const auto binaries = cluster_.binary_directory().string();
  for (const bool is_dry : {false, true}) {
    const auto refuse = [&](std::vector<std::string> arguments, int exit_code,
                            const std::string& text) {
      arguments.emplace_back("--latest");
      if (is_dry) arguments.emplace_back("--dry-run");
      expect_refusal(program, arguments, exit_code, text);
    };
    refuse({"--set", "foo"}, 2, "--set \"foo\" is not NAME=VALUE");
    refuse({"--set", "=1"}, 2, "is not NAME=VALUE");
    refuse({"--tablespace-map", "foo"}, 2, "is not a tablespace mapping");
    refuse({"--archive-mode", "on"}, 2, "--archive-mode is off or preserve");
    refuse({"--port", "65536"}, 2, "--port 65536 is not from 1 to 65535");
    refuse({"--port", "0"}, 2, "--port 0");
    refuse({"--start", "--port", taken, "--bin-dir", binaries}, 4,
           fmt::format("listens on port {} already", taken));
    refuse({"--start", "--bin-dir", "/nowhere"}, 3, "no binaries of a PostgreSQL");
  }
  // Without --start nobody needs the port, nor the programs.
  const auto planned =
      program.run({"--latest", "--dry-run", "--port", taken, "--bin-dir", "/nowhere"});
  EXPECT_EQ(planned.status.exit_code, 0) << planned.err;
}

// Files would get among the repository's, or --force would clear the repository away.
TEST_F(RefusalsTest, ADirectoryThatTheRepositoryLiesInOrThatLiesInItIsNoPlaceForARestore) {
  const Path repository = repository_.directory() / "repository";
  const RestoreProgram program(repository, repository_.key());
  const auto link = home_ / "link";
  std::filesystem::create_directory_symlink(repository, link);
  const auto before = contents_of(repository);
  for (const auto& place : {repository, repository / "restored", repository / "a/../b",
                            repository_.directory(), link, link / "restored"}) {
    for (const bool is_dry : {false, true}) {
      std::vector<std::string> arguments = {"--latest", "--target-dir", place, "--force", "--yes"};
      if (is_dry) arguments.emplace_back("--dry-run");
      const auto output = program.run(arguments);
      EXPECT_EQ(output.status.exit_code, 2) << output.out << output.err;
      EXPECT_THAT(output.err, HasSubstr("contain one another"));
    }
  }
  EXPECT_EQ(contents_of(repository), before);
}

TEST_F(RefusalsTest, NamesAreTakenAsPitrShowTakesThemAndUnknownOnesAnsweredWithTheKnown) {
  const RestoreProgram program(repository_.directory() / "repository", repository_.key());
  const auto id = backup_->id.text();
  for (const auto& name : {id, id.substr(0, 8), std::string("latest")}) {
    const auto planned = program.run({"--latest", "--dry-run", "--backup", name});
    EXPECT_EQ(planned.status.exit_code, 0) << planned.err;
    EXPECT_THAT(planned.out, HasSubstr(id));
  }
  expect_refusal(program, {"--latest", "--backup", "19990101"}, 3, "has no backup 19990101");
  expect_refusal(program, {"--latest", "--cluster", "mian"}, 2, "--cluster says which: main");
}

TEST_F(RefusalsTest, AMissingSegmentIsNeverTakenForTheEndOfWal) {
  for (const int timeline : {1, 2}) {
    const auto all = segments(timeline);
    ASSERT_FALSE(all.empty());
    const Copy copy(*this);
    std::filesystem::remove(copy.directory / all[all.size() / 2]);
    const RestoreProgram program(copy.directory, repository_.key());
    expect_refusal(program, {"--latest"}, 2, "WAL is missing");
    expect_refusal(program, {"--timestamp", after_all_}, 2, "WAL is missing");
    const auto before = program.run({"--immediate", "--dry-run"});
    EXPECT_EQ(before.status.exit_code, 0) << before.err;
  }
}

// What is lost between planning and recovery must stop the server, not end its recovery early.

TEST_F(RefusalsTest, WalThatIsLostAfterPlanningFailsTheRecovery) {
  for (const bool is_deleted : {true, false}) {
    SCOPED_TRACE(is_deleted ? "deleted" : "flipped");
    const Copy copy(*this);
    const auto lost = segments(1).at(1);
    const RestoreProgram program(copy.directory, repository_.key());
    const auto target = home_ / fmt::format("lost-{}", is_deleted);
    const auto output = program.run({"--latest", "--target-dir", target});
    ASSERT_EQ(output.status.exit_code, 0) << output.err;
    if (is_deleted) {
      std::filesystem::remove(copy.directory / lost);
    } else {
      flip(copy.directory / lost, std::filesystem::file_size(copy.directory / lost) / 2);
    }
    {
      auto server = must(TestCluster::adopt(target));
      auto exited = server.start();
      if (exited.has_value()) {  // a hot standby before it needs what is lost
        must(server.wait_for_exit());
      }
      EXPECT_FALSE(server.running());
      EXPECT_THAT(must(server.log_tail(100'000)), HasSubstr("could not restore file"));
    }
    EXPECT_TRUE(std::filesystem::exists(target / "recovery.signal"));
    const auto control = must(read_control_file(target));
    EXPECT_EQ(control.timeline, TimelineId(1));

    const auto number = Path(lost).filename().string();
    const auto name = fmt::format("{:08X}{:08X}{}", 1, 0, number.substr(number.size() - 8));
    const auto get =
        must(run_command({Path(PITR_PROGRAM_DIRECTORY) / "pitr-wal-get", "--plan",
                          target / "pitr_restore" / "plan", name, "pg_wal/RECOVERYXLOG"},
                         {.working_directory = target}));
    EXPECT_GT(get.status.exit_code, 125) << get.err;
    EXPECT_FALSE(get.err.empty());
  }
}

TEST_F(RefusalsTest, AReadOnlyRepositoryIsToldBeforeTheTargetIsTouched) {
  const Copy copy(*this);
  const auto set_writable = [&](bool is_writable) {
    using std::filesystem::perms;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(copy.directory)) {
      std::filesystem::permissions(
          entry.path(), perms::owner_write,
          is_writable ? std::filesystem::perm_options::add : std::filesystem::perm_options::remove);
    }
    std::filesystem::permissions(
        copy.directory, perms::owner_write,
        is_writable ? std::filesystem::perm_options::add : std::filesystem::perm_options::remove);
  };
  set_writable(false);
  const RestoreProgram program(copy.directory, repository_.key());
  EXPECT_EQ(program.run({"--latest", "--dry-run"}).status.exit_code, 0);
  expect_refusal(program, {"--latest"}, 6, "Permission denied");
  set_writable(true);
}

// On a small file system in a mount namespace of its own.

TEST_F(RefusalsTest, AFullDiskIsToldBeforeTheTargetIsTouched) {
  const RestoreProgram program(repository_.directory() / "repository", repository_.key());
  const auto small = home_ / "small";
  std::filesystem::create_directory(small);
  const auto in_namespace = [&](const std::string& script) {
    return must(run_command({"unshare", "--map-current-user", "--keep-caps", "--mount", "sh", "-c",
                             fmt::format("mount -t tmpfs -o size=4m none '{}' || exit 77; {}",
                                         small.string(), script)}));
  };
  if (in_namespace("true").status.exit_code != 0) {
    GTEST_SKIP() << "this user may not mount a file system in a namespace of its own";
  }
  const auto output = in_namespace(
      fmt::format("'{}' --config '{}' --latest --target-dir '{}/data'; code=$?; ls '{}'; "
                  "exit $code",
                  (Path(PITR_PROGRAM_DIRECTORY) / "pitr-restore").string(),
                  program.configuration().string(), small.string(), small.string()));
  EXPECT_EQ(output.status.exit_code, 2) << output.out << output.err;
  EXPECT_THAT(output.err, HasSubstr("room"));
  EXPECT_THAT(output.out, testing::Not(HasSubstr("\ndata\n")));
}

}  // namespace
}  // namespace pitr::test
