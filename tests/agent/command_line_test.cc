// What pitr says to somebody who types: help, and errors of one line with an exit code.
#include "agent/pitr_site.h"

namespace pitr::test {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

std::size_t lines(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

TEST(CommandLineTest, HelpNamesEveryCommandAndTheExitCodes) {
  const auto help = must(run_command({PitrSite::program("pitr"), "--help"}));
  EXPECT_EQ(help.status.exit_code, 0);
  for (const char* command : {"init", "check", "status", "backup", "list", "show", "archive-wal"}) {
    EXPECT_THAT(help.out, HasSubstr(std::string("\n  ") + command + " ")) << command;
    const auto own = must(run_command({PitrSite::program("pitr"), command, "--help"}));
    EXPECT_EQ(own.status.exit_code, 0);
    EXPECT_THAT(own.out, HasSubstr("--config FILE"));
  }
  EXPECT_THAT(help.out, HasSubstr("Exit codes: 0 done"));
  EXPECT_EQ(must(run_command({PitrSite::program("pitr-agent"), "--help"})).status.exit_code, 0);
}

TEST(CommandLineTest, BadUsageIsOneLineAndTwo) {
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"bakcup"},
                                             {"backup", "--local", "--remote"},
                                             {"backup", "--workers", "0"},
                                             {"archive-wal"},
                                             {"list", "--nonsense"}}) {
    std::vector<std::string> argv = {PitrSite::program("pitr")};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    const auto output = must(run_command(argv));
    EXPECT_EQ(output.status.exit_code, 2) << output.err;
    EXPECT_THAT(output.err, StartsWith("pitr: "));
    EXPECT_EQ(lines(output.err), 1u) << output.err;
    EXPECT_EQ(output.out, "");
  }
}

// As a script has it whose variable is empty.
TEST(CommandLineTest, AnOptionIsNeverTheValueOfAnother) {
  const auto run = [](std::vector<std::string> argv) {
    argv[0] = PitrSite::program(argv[0]);
    return must(run_command(argv));
  };
  for (const auto& argv :
       std::vector<std::vector<std::string>>{{"pitr-restore", "--latest", "--reason", "--dry-run"},
                                             {"pitr", "expire", "--reason", "--dry-run"},
                                             {"pitr", "backup", "--label", "--full"},
                                             {"pitr-agent", "--config", "--log-level=info"}}) {
    const auto output = run(argv);
    EXPECT_EQ(output.status.exit_code, 2) << argv[0] << ": " << output.err;
    EXPECT_THAT(output.err, HasSubstr("has no value: --")) << argv[0];
  }
  // The value is empty, and what follows is an option.
  const auto output = run({"pitr-restore", "--timestamp=", "--nonsense"});
  EXPECT_EQ(output.status.exit_code, 2);
  EXPECT_THAT(output.err, HasSubstr("not expected: --nonsense"));
  EXPECT_THAT(run({"pitr", "expire", "--reason=", "--nonsense"}).err,
              HasSubstr("not expected: --nonsense"));
  for (const char* program : {"pitr", "pitr-restore", "pitr-agent"}) {
    EXPECT_THAT(run({program, "--version"}).out, StartsWith(std::string(program) + " "));
  }
}

TEST(CommandLineTest, ATypingMistakeIsNamed) {
  const auto output = must(run_command({PitrSite::program("pitr"), "bakcup"}));
  EXPECT_THAT(output.err, HasSubstr("\"bakcup\" is not a command of pitr"));
}

TEST(CommandLineTest, AServerThatIsDownIsOneLineToo) {
  const auto cluster = must(TestCluster::create());
  const PitrSite site(cluster);
  const auto output = site.run({"pitr", "init"});
  EXPECT_EQ(output.status.exit_code, 7) << output.err;
  EXPECT_EQ(lines(output.err), 1u) << output.err;
}

TEST(CommandLineTest, AMissingConfigurationIsNotFound) {
  const auto output =
      must(run_command({PitrSite::program("pitr"), "status", "--config", "/nonexistent.yaml"}));
  EXPECT_EQ(output.status.exit_code, 3) << output.err;
  EXPECT_THAT(output.err, HasSubstr("/nonexistent.yaml"));
  EXPECT_EQ(lines(output.err), 1u) << output.err;
}

TEST(CommandLineTest, AMistakeInTheConfigurationIsToldWithItsLine) {
  const auto directory = must(TemporaryDirectory::create());
  write_text(directory / "pitr.yaml", "repository:\n  pth: /x\n");
  const auto output = must(run_command(
      {PitrSite::program("pitr"), "list", "--config", (directory / "pitr.yaml").native()}));
  EXPECT_EQ(output.status.exit_code, 2);
  EXPECT_THAT(output.err, HasSubstr("pitr.yaml:2:3: unknown key \"pth\""));
}

TEST(CommandLineTest, BeforeInitEveryReaderSaysWhatIsMissing) {
  const PitrSite site("host=/nonexistent");
  for (const char* command : {"list", "show", "backup"}) {
    const auto output = site.run({"pitr", command});
    EXPECT_EQ(output.status.exit_code, 6) << output.err;
    EXPECT_THAT(output.err, HasSubstr(site.key_file().native()));
  }
  const auto status = site.run({"pitr", "status"});
  EXPECT_EQ(status.status.exit_code, 10) << status.err;
  EXPECT_THAT(status.out, HasSubstr("agent     DOWN"));
  const auto check = site.run({"pitr", "check"});
  EXPECT_EQ(check.status.exit_code, 10);
  EXPECT_THAT(check.out, HasSubstr("problem  connection"));
}

TEST(CommandLineTest, ArchiveCommandExitsBelow126WhateverHappens) {
  const PitrSite site("host=/nonexistent");
  const auto output = site.run({"pitr-archive", "pg_wal/000000010000000000000001"});
  EXPECT_GE(output.status.exit_code, 1);
  EXPECT_LE(output.status.exit_code, 125);
}

}  // namespace
}  // namespace pitr::test
