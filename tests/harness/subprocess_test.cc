#include "support/subprocess.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "support/must.h"
#include "support/temporary_directory.h"

namespace pitr::test {
namespace {

TEST(SubprocessTest, OutputsInputEnvironmentAndStatusAreThoseOfTheProgram) {
  SubprocessOptions options;
  options.input = "from stdin";
  options.environment = {{"PITR_WORD", "from the environment"}};
  options.working_directory = "/usr";
  const auto output =
      must(run_command({"sh", "-c", "cat; echo $PITR_WORD >&2; pwd >&2; exit 7"}, options));
  EXPECT_EQ(output.out, "from stdin");
  EXPECT_EQ(output.err, "from the environment\n/usr\n");
  EXPECT_EQ(output.status.exit_code, 7);
  EXPECT_FALSE(run_successfully({"false"}));
}

TEST(SubprocessTest, AProgramThatIsNotThereIsNotFound) {
  const auto process = Subprocess::start({"/nonexistent/program"});
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().kind(), ErrorKind::kNotFound);
}

TEST(SubprocessTest, WaitingEndsWithTheTimeoutAndTheProcessRunsOn) {
  auto process = must(Subprocess::start({"sleep", "60"}));
  const auto status = process.wait(Milliseconds(20));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kTransient);
  EXPECT_TRUE(process.running());
  process.signal(SIGTERM);
  EXPECT_EQ(must(process.wait()).signal, SIGTERM);
}

TEST(SubprocessTest, DestructionKillsIt) {
  pid_t pid = 0;
  {
    auto process = must(Subprocess::start({"sleep", "60"}));
    pid = process.pid();
    const auto moved = std::move(process);
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(SubprocessTest, ItSurvivesTheThreadThatStartedIt) {
  std::optional<Subprocess> process;
  std::thread([&] { process = must(Subprocess::start({"sleep", "60"})); }).join();
  EXPECT_FALSE(process->wait(Milliseconds(50)));
}

bool is_gone(pid_t pid) {  // a zombie that nobody has reaped yet is gone too
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  return text.empty() || text.find(") Z") != std::string::npos;
}

TEST(SubprocessTest, ItDiesWithTheProcessThatStartedIt) {
  if (std::getenv("PITR_TEST_BE_THE_PARENT") != nullptr) {
    const auto child = must(Subprocess::start({"sleep", "60"}));
    std::ofstream("pid.new") << child.pid();
    std::filesystem::rename("pid.new", "pid");
    pause();
  }
  const auto directory = must(TemporaryDirectory::create());
  SubprocessOptions options;
  options.environment = {{"PITR_TEST_BE_THE_PARENT", "1"}};
  options.working_directory = directory.path();
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  auto parent = must(Subprocess::start(
      {self, "--gtest_filter=SubprocessTest.ItDiesWithTheProcessThatStartedIt"}, options));
  const auto deadline = std::chrono::steady_clock::now() + Seconds(30);
  const auto in_time = [&] { return std::chrono::steady_clock::now() < deadline; };
  while (!std::filesystem::exists(directory / "pid") && in_time()) std::this_thread::yield();
  pid_t child = 0;
  std::ifstream(directory / "pid") >> child;
  ASSERT_GT(child, 0);
  EXPECT_FALSE(is_gone(child));
  parent.kill();
  while (!is_gone(child) && in_time()) std::this_thread::yield();
  EXPECT_TRUE(is_gone(child));
}

}  // namespace
}  // namespace pitr::test
