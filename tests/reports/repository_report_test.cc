#include "agent/reports/repository_report.h"

#include "repository/verify/verify_fixture.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;

// Two backups with three segments between them: the first one needs 0 and 1, the second 5 and 6;
// 7 is a tail.
class RepositoryReportTest : public ::testing::Test {
 protected:
  void lose(const std::vector<std::uint64_t>& segments) {
    const auto& names = repository.store().names();
    for (const auto index : segments) {
      const auto segment = repository.segment(index);
      must(repository.memory().remove(names.facts(segment)));
      must(repository.memory().remove(names.segment(segment)));
      const auto tails = must(list_all(repository.memory(), names.tail_prefix(segment)));
      for (const auto& tail : tails) must(repository.memory().remove(tail.key));
    }
  }
  RepositoryReport report() { return must(report_repository(repository.store())); }
  std::string name(std::uint64_t index) {
    return segment_file_name(repository.segment(index), repository.store().segment_size());
  }

  VerifiedRepository repository{/*encrypted=*/false, /*between=*/3};
};

TEST_F(RepositoryReportTest, WithoutAHoleThereIsOneWindow) {
  const auto whole = report();
  ASSERT_EQ(whole.windows.size(), 1u);
  EXPECT_EQ(whole.windows.front().backup, repository.first().id);
  EXPECT_EQ(whole.window_ended_by, "");
}

TEST_F(RepositoryReportTest, AHoleEndsTheWindowUntilABackupBeginsAnother) {
  lose({3});
  const auto anew = report();
  ASSERT_EQ(anew.windows.size(), 2u);
  EXPECT_EQ(anew.windows.back().backup, repository.second().id);
  EXPECT_EQ(anew.window_ended_by, "");
}

// The newest backup can't be restored either, so the broken window is still the current one.
TEST_F(RepositoryReportTest, ABackupWithoutItsWalBeginsNoWindow) {
  lose({3, 5, 6, 7});
  const auto broken = report();
  ASSERT_EQ(broken.windows.size(), 1u);
  EXPECT_EQ(broken.windows.front().backup, repository.first().id);
  EXPECT_THAT(broken.window_ended_by, HasSubstr(name(3)));
}

TEST_F(RepositoryReportTest, WalThatABackupSawAndThatIsGoneIsTold) {
  lose({5, 6, 7});
  const auto broken = report();
  ASSERT_EQ(broken.windows.size(), 1u);
  EXPECT_THAT(broken.window_ended_by, HasSubstr(name(5)));
}

}  // namespace
}  // namespace pitr::test
