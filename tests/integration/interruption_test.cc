// Restores that are stopped by a signal, and recoveries that lose their prefetcher.

#include <signal.h>

#include "integration/stored_cluster.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;

class InterruptionTest : public StoredClusterTest {
 protected:
  InterruptionTest() : program_(repository_.directory() / "repository", repository_.key()) {}

  std::vector<std::string> restore_into(const Path& target,
                                        const std::vector<std::string>& more) const {
    std::vector<std::string> argv = {Path(PITR_PROGRAM_DIRECTORY) / "pitr-restore",
                                     "--config",
                                     program_.configuration(),
                                     "--latest",
                                     "--target-dir",
                                     target};
    argv.insert(argv.end(), more.begin(), more.end());
    return argv;
  }
  // The prefetcher's process: its spool is named by it.
  static std::optional<pid_t> prefetcher_of(const Path& target) {
    std::error_code ignored;
    for (const auto& entry :
         std::filesystem::directory_iterator(target / "pitr_restore" / "spool", ignored)) {
      return static_cast<pid_t>(std::stol(entry.path().filename().string()));
    }
    return std::nullopt;
  }
  template <typename Condition>
  static bool comes_true(Condition&& is_true, Milliseconds patience = Seconds(30)) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!is_true()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }
  // Whether somebody runs `program` with this text in its arguments.
  static bool is_run(const std::string& program, const std::string& text) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
      std::ifstream file(entry.path() / "cmdline");
      const std::string line(std::istreambuf_iterator<char>(file), {});
      const bool is_shell = line.starts_with("sh");
      if (!is_shell && line.find(program) < line.find('\0') && line.find(text) != line.npos) {
        return true;
      }
    }
    return false;
  }

  const RestoreProgram program_;
  std::atomic<bool> killed_while_asked_ = false;
};

TEST_F(InterruptionTest, ASignalStopsARestoreSoonAndWhatIsLeftIsSaid) {
  const auto target = home_ / "stopped";
  int stopped_in_the_middle = 0;
  for (int round = 0; round < 40 && stopped_in_the_middle < 5; ++round) {
    SCOPED_TRACE(round);
    must(remove_tree(target));
    auto process = must(Subprocess::start(restore_into(target, {"--jobs", "1"})));
    const auto marker = target / "pitr_restore" / "restoring";
    const bool is_begun =
        comes_true([&] { return std::filesystem::exists(marker) || !process.running(); });
    ASSERT_TRUE(is_begun);
    (void)process.wait(Milliseconds(pick(60)));
    const auto sent = std::chrono::steady_clock::now();
    process.signal(round % 2 == 0 ? SIGINT : SIGTERM);
    const auto status = must(process.wait(Seconds(10)));
    EXPECT_LT(std::chrono::steady_clock::now() - sent, Seconds(3));
    const bool can_start = std::filesystem::exists(target / "global" / "pg_control");
    if (status.exit_code == 0) {  // it was done already
      EXPECT_TRUE(can_start);
      EXPECT_FALSE(std::filesystem::exists(marker));
      continue;
    }
    EXPECT_EQ(status.exit_code, 8) << process.err();
    EXPECT_FALSE(can_start) << process.err();
    EXPECT_TRUE(std::filesystem::exists(marker));
    EXPECT_THAT(process.err(), HasSubstr("holds a part of the restore, and no server can start"));
    EXPECT_THAT(process.err(), HasSubstr("--force"));
    ++stopped_in_the_middle;
  }
  EXPECT_GT(stopped_in_the_middle, 0);
  RestoredServer server(cluster_);
  EXPECT_EQ(server.restore(program_, {"--latest"}).status.exit_code, 0) << server.story();
  EXPECT_EQ(must(run_command(restore_into(target, {"--force", "--yes"}))).status.exit_code, 0);
}

TEST_F(InterruptionTest, RecoveryGoesOnWithoutAPrefetcherThatWasKilledInTheMiddle) {
  RestoredServer server(cluster_);
  std::jthread killer([&](std::stop_token stop) {
    const auto& target = server.directory();
    std::optional<pid_t> prefetcher;
    const auto is_there = [&] {
      prefetcher = prefetcher_of(target);
      return stop.stop_requested() ||
             (prefetcher && std::filesystem::exists(target / "postmaster.pid"));
    };
    if (!comes_true(is_there) || stop.stop_requested()) return;
    // Stopped, it takes a request and does not answer; then it's killed.
    ::kill(*prefetcher, SIGSTOP);
    const auto is_asked = [&] { return is_run("pitr-wal-get", target.string()); };
    killed_while_asked_ = comes_true(is_asked, Seconds(10));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    killed_while_asked_ = killed_while_asked_ && is_asked();
    ::kill(*prefetcher, SIGKILL);
  });
  EXPECT_EQ(server.restore(program_, {"--latest"}).status.exit_code, 0) << server.story();
  killer.request_stop();
  killer.join();
  EXPECT_TRUE(killed_while_asked_);
  EXPECT_THAT(server.server_log(), HasSubstr("the prefetcher's answer was lost"));
  EXPECT_EQ(server.ask("(" + std::string(kRows) + ")"), rows_);
}

TEST_F(InterruptionTest, WithoutAServerNoPrefetcherIsStarted) {
  const auto target = home_ / "by-hand";
  ASSERT_EQ(must(run_command(restore_into(target, {}))).status.exit_code, 0);
  const auto name = Path(segments(1).front()).filename().string();
  const auto get = must(run_command({Path(PITR_PROGRAM_DIRECTORY) / "pitr-wal-get", "--plan",
                                     target / "pitr_restore" / "plan", name, "pg_wal/RECOVERYXLOG"},
                                    {.working_directory = target}));
  EXPECT_EQ(get.status.exit_code, 0) << get.err;
  EXPECT_TRUE(std::filesystem::exists(target / "pg_wal" / "RECOVERYXLOG"));
  EXPECT_FALSE(std::filesystem::exists(target / "pitr_restore" / "wal-serve.log"));
}

}  // namespace
}  // namespace pitr::test
