// What an in-place restore found out about a directory, when the directory is no longer what it
// was.
#include <fcntl.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "integration/in_place_cluster.h"
#include "restore/files/in_place_journal.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;

class InPlaceAgainTest : public testing::Test {
 protected:
  // Restores to before the last update, which isn't there then.
  InPlaceAgainTest() {
    in_place_.back_up();
    target_ = in_place_.here();
    must(in_place_.cluster_.sql("UPDATE t SET filler = 'behind the target' WHERE i % 7 = 0"));
    in_place_.catch_up();
    in_place_.stop();
  }
  void expect_restored() {
    EXPECT_EQ(in_place_.state_in_place(), in_place_.state_of_fresh(target_));
  }

  InPlace in_place_{{}};
  std::string target_;
};

// Somebody starts the server once more while the restore waits for a "yes".
TEST_F(InPlaceAgainTest, AServerThatRanMeanwhileIsNoticed) {
  const auto home = must(TemporaryDirectory::create());
  const auto answers = home.path() / "answers";
  ASSERT_EQ(::mkfifo(answers.c_str(), 0600), 0);
  const auto command = fmt::format(
      "{}/pitr-restore --config {} --in-place --lsn {} --target-dir {}", PITR_PROGRAM_DIRECTORY,
      in_place_.program_->configuration().native(), target_, in_place_.directory().native());
  auto asking = must(Subprocess::start(
      {"bash", "-c", fmt::format("script -qec '{}' /dev/null < {}", command, answers.native())}));
  UniqueFd answer(::open(answers.c_str(), O_WRONLY | O_CLOEXEC));
  const auto deadline = std::chrono::steady_clock::now() + Seconds(60);
  while (asking.out().find("Type \"yes\"") == std::string::npos) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << asking.out();
    std::this_thread::sleep_for(Milliseconds(20));
  }
  must(in_place_.cluster_.start());
  must(in_place_.cluster_.sql("UPDATE t SET filler = 'meanwhile' WHERE i % 5 = 0; CHECKPOINT"));
  must(in_place_.cluster_.stop());
  ASSERT_EQ(::write(answer.get(), "yes\n", 4), 4);
  answer.reset();
  EXPECT_EQ(must(asking.wait()).exit_code, 4) << asking.out();
  EXPECT_THAT(asking.out(), HasSubstr("a server ran on"));

  const auto again = in_place_.restore({"--lsn", target_});
  ASSERT_EQ(again.status.exit_code, 0) << story(again);
  expect_restored();
}

// What reads right may be in the cache alone: it is written all the same.
TEST_F(InPlaceAgainTest, AfterFailedWritesEverythingIsWritten) {
  const auto first = in_place_.restore({"--lsn", target_});
  ASSERT_EQ(first.status.exit_code, 0) << story(first);
  const auto undo = nlohmann::json::parse(first.out)["undo"].get<std::string>();
  // As if its writes had not reached the disk.
  InPlaceJournal journal;
  journal.undo = undo;
  journal.timeline = TimelineId(1);
  journal.writes_failed = true;
  const auto& directory = in_place_.directory();
  must(write_journal(directory, journal));
  must(withdraw_control(directory, must(control_bytes(directory))));

  for (const char* how : {"--in-place", "--delta"}) {
    const auto shown =
        in_place_.program_->run({how, "--dry-run", "--json", "--lsn", target_, "--timeline", "1",
                                 "--target-dir", directory.native()});
    ASSERT_EQ(shown.status.exit_code, 0) << story(shown);
    const auto plan = nlohmann::json::parse(shown.out)["plan"];
    const auto total = plan["backup"]["bytes"].get<std::uint64_t>();
    EXPECT_GT(plan["rewrite"]["wanted_bytes"].get<std::uint64_t>(), total * 9 / 10) << shown.out;
    EXPECT_EQ(plan["rewrite"]["compared_bytes"], 0) << shown.out;
  }
  const auto again = in_place_.restore({"--lsn", target_});
  ASSERT_EQ(again.status.exit_code, 0) << story(again);
  EXPECT_EQ(nlohmann::json::parse(again.out)["undo"], undo);
  expect_restored();
}

}  // namespace
}  // namespace pitr::test
