#include "restore/plan/rewrite_mode.h"

namespace pitr {
namespace {

using testing::HasSubstr;

RewriteEvidence all_known() {
  RewriteEvidence evidence;
  evidence.is_ancestor = true;
  evidence.checksums_in_backup = evidence.checksums_now = true;
  return evidence;
}

TEST(RewriteModeTest, ByFactsWhereHintBitsAreLoggedThroughout) {
  auto evidence = all_known();
  EXPECT_EQ(choose_rewrite_mode(evidence).mode, RewriteMode::kByFacts);
  EXPECT_THAT(choose_rewrite_mode(evidence).reason, HasSubstr("checksums"));

  evidence.checksums_in_backup = evidence.checksums_now = false;
  evidence.hints_logged_in_backup = evidence.hints_logged_now = true;
  EXPECT_EQ(choose_rewrite_mode(evidence).mode, RewriteMode::kByFacts);
  EXPECT_THAT(choose_rewrite_mode(evidence).reason, HasSubstr("wal_log_hints"));

  // Digests are of no importance to it.
  evidence.has_digests = false;
  EXPECT_EQ(choose_rewrite_mode(evidence).mode, RewriteMode::kByFacts);
}

TEST(RewriteModeTest, ChecksumsMakeWalLogHintsUnimportant) {
  auto evidence = all_known();
  evidence.hints_off = Lsn(0x100);
  EXPECT_EQ(choose_rewrite_mode(evidence).mode, RewriteMode::kByFacts);
}

TEST(RewriteModeTest, ByDigestWhereAnythingIsInDoubt) {
  const auto expect_digest = [](auto&& change, const char* reason) {
    auto evidence = all_known();
    change(evidence);
    const auto choice = choose_rewrite_mode(evidence);
    EXPECT_EQ(choice.mode, RewriteMode::kByDigest) << reason;
    EXPECT_THAT(choice.reason, HasSubstr(reason));
    evidence.has_digests = false;
    EXPECT_EQ(choose_rewrite_mode(evidence).mode, RewriteMode::kByBytes);
    EXPECT_THAT(choose_rewrite_mode(evidence).reason, HasSubstr("no digests"));
  };
  using Evidence = RewriteEvidence;
  expect_digest([](Evidence& e) { e.unknown_history = "it was left in recovery"; },
                "left in recovery");
  expect_digest([](Evidence& e) { e.is_ancestor = false; }, "own way");
  expect_digest([](Evidence& e) { e.not_covered = "segment X is missing"; }, "segment X");
  expect_digest([](Evidence& e) { e.checksums_in_backup = false; }, "turned on since");
  expect_digest([](Evidence& e) { e.checksums_now = false; }, "turned off since");
  // Neither end alone will do, nor both with a gap in between.
  const auto without_checksums = [](Evidence& e, bool in_backup, bool now) {
    e.checksums_in_backup = e.checksums_now = false;
    e.hints_logged_in_backup = in_backup;
    e.hints_logged_now = now;
  };
  const char* not_logged = "hint bits are not logged";
  expect_digest([&](Evidence& e) { without_checksums(e, false, false); }, not_logged);
  expect_digest([&](Evidence& e) { without_checksums(e, true, false); }, not_logged);
  expect_digest([&](Evidence& e) { without_checksums(e, false, true); }, not_logged);
  expect_digest(
      [&](Evidence& e) {
        without_checksums(e, true, true);
        e.hints_off = Lsn(0x16B374D848);
      },
      "16/B374D848");
  // wal_log_hints doesn't make up for checksums that changed: pg_checksums rewrote the pages.
  expect_digest(
      [](Evidence& e) {
        e.checksums_in_backup = false;
        e.hints_logged_in_backup = e.hints_logged_now = true;
      },
      "turned on since");
}

}  // namespace
}  // namespace pitr
