#include "repository/verify/verify.h"

#include <fmt/format.h>

#include "repository/verify/verify_fixture.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;

constexpr VerifyDepth kDepths[] = {VerifyDepth::kQuick, VerifyDepth::kFull};
using Names = std::set<std::string>;

class VerifyTest : public ::testing::TestWithParam<bool> {
 protected:
  std::string name(const ObjectKey& key) {
    return key.text().substr(repository.store().names().prefix().size());
  }
  Bytes stored(const ObjectKey& key) { return must(repository.memory().get(key, 1 << 30)); }
  // Whatever the depth is.
  void expect_found(const Names& expected) {
    for (const auto depth : kDepths) {
      SCOPED_TRACE(depth == VerifyDepth::kFull ? "full" : "quick");
      EXPECT_EQ(findings_of(repository.verify(depth)), expected);
    }
  }
  std::vector<std::string> backups_of(const VerifyReport& report, const ObjectKey& key) {
    std::vector<std::string> ids;
    for (const auto& finding : report.findings) {
      if (finding.object != key.text()) continue;
      for (const auto& id : finding.backups) ids.push_back(id.text());
    }
    return ids;
  }

  VerifiedRepository repository{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Ciphers, VerifyTest, testing::Bool(),
                         [](const auto& cipher) { return cipher.param ? "Encrypted" : "Plain"; });

TEST_P(VerifyTest, HealthyHasNoFinding) {
  for (const auto depth : kDepths) {
    const auto stored_objects = repository.objects().size();
    const auto report = repository.verify(depth);
    EXPECT_EQ(findings_of(report), Names());
    EXPECT_TRUE(report.warnings.empty());
    EXPECT_EQ(report.unchecked_objects, 0u);
    EXPECT_GE(report.checked_objects, stored_objects);
    EXPECT_FALSE(report.found_damage());
    ASSERT_EQ(report.backups.size(), 2u);
    for (const auto& backup : report.backups) EXPECT_EQ(backup.verdict, BackupVerdict::kGood);
  }
}

TEST_P(VerifyTest, AFlippedByteOfAnyObjectIsFoundAndNothingElseIs) {
  for (const auto& key : repository.objects()) {
    const auto before = stored(key);
    for (const auto at : {std::size_t{0}, std::size_t{25}, std::size_t{60}, before.size() / 2,
                          before.size() - 100, before.size() - 1}) {
      SCOPED_TRACE(fmt::format("{} at {} of {}", key.text(), at, before.size()));
      if (at >= before.size()) continue;
      auto damaged = before;
      damaged[at] ^= 0x10;
      repository.put_back(key, damaged);
      expect_found({"damaged " + name(key)});
    }
    repository.put_back(key, before);
    ASSERT_FALSE(HasFailure());
  }
}

TEST_P(VerifyTest, ACutObjectIsFound) {
  for (const auto& key : repository.objects()) {
    // The end of a tail may be missing after every crash.
    if (key.text().contains(".tail-")) continue;
    const auto before = stored(key);
    for (const auto size :
         {before.size() - 1, before.size() / 2, std::size_t{10}, std::size_t{0}}) {
      SCOPED_TRACE(fmt::format("{} cut to {}", key.text(), size));
      repository.put_back(
          key, Bytes(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(size)));
      expect_found({"damaged " + name(key)});
    }
    repository.put_back(key, before);
    ASSERT_FALSE(HasFailure());
  }
}

TEST_P(VerifyTest, ExchangedObjectsAreFound) {
  const auto objects = repository.objects();
  for (std::size_t i = 0; i + 1 < objects.size(); ++i) {
    const auto &a = objects[i], &b = objects[i + 1];
    if (b.text().contains(".tail-") || a.text().contains(".tail-")) continue;
    SCOPED_TRACE(a.text() + " and " + b.text());
    const auto bytes_of_a = stored(a), bytes_of_b = stored(b);
    repository.put_back(a, bytes_of_b);
    repository.put_back(b, bytes_of_a);
    expect_found({"damaged " + name(a), "damaged " + name(b)});
    repository.put_back(a, bytes_of_a);
    repository.put_back(b, bytes_of_b);
    ASSERT_FALSE(HasFailure());
  }
}

TEST_P(VerifyTest, WhatIsNeededAndMissingIsFound) {
  int found = 0;
  for (const auto& key : repository.objects()) {
    SCOPED_TRACE(key.text());
    const auto& names = repository.store().names();
    const bool is_segment = name(key).starts_with("wal/") && names.segment_of(key) &&
                            names.segment(*names.segment_of(key)) == key;
    const bool is_needed = name(key).starts_with("pack/") || name(key).starts_with("table/") ||
                           name(key).ends_with("/manifest") || is_segment;
    const auto before = stored(key);
    must(repository.memory().remove(key));
    expect_found(is_needed ? Names{"missing " + name(key)} : Names{});
    repository.put_back(key, before);
    found += is_needed ? 1 : 0;
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(found, 10);
}

TEST_P(VerifyTest, SaysWhichBackupsAreTouchedAndWhichWindowIsLost) {
  const auto first = repository.first().id.text(), second = repository.second().id.text();
  const auto damage = [&](const ObjectKey& key) {
    const auto before = stored(key);
    auto damaged = before;
    damaged[before.size() / 2] ^= 1;
    repository.put_back(key, damaged);
    const auto report = repository.verify(VerifyDepth::kFull);
    repository.put_back(key, before);
    EXPECT_TRUE(report.found_damage());
    return report;
  };
  using Ids = std::vector<std::string>;
  const auto shared = repository.first().packs.front().key;
  EXPECT_EQ(backups_of(damage(shared), shared), (Ids{first, second}));
  const auto own = repository.second().packs.back().key;
  EXPECT_EQ(backups_of(damage(own), own), Ids{second});
  const auto files = repository.store().names().table(repository.first().file_table);
  EXPECT_EQ(backups_of(damage(files), files), Ids{first});

  const auto segment = repository.store().names().segment(repository.segment(1));
  const auto report = damage(segment);
  EXPECT_EQ(backups_of(report, segment), Ids{first});
  EXPECT_EQ(report.backups.at(0).verdict, BackupVerdict::kDamaged);
  EXPECT_EQ(report.backups.at(1).verdict, BackupVerdict::kGood);
  ASSERT_TRUE(report.findings.front().lost);
  const auto size = repository.store().segment_size();
  EXPECT_EQ(report.findings.front().lost->from, size.start_of(repository.segment(1).number));
  EXPECT_EQ(report.findings.front().lost->to, repository.second().stop_lsn);
}

TEST_P(VerifyTest, TroubleIsNoDamage) {
  const auto pack = repository.first().packs.front().key;
  repository.memory().faults().add({.key_contains = pack.text(),
                                    .times = Fault::kEveryTime,
                                    .error = Error::transient("the storage is busy")});
  for (const auto depth : kDepths) {
    const auto report = repository.verify(depth);
    EXPECT_EQ(findings_of(report), Names{"unchecked " + name(pack)});
    EXPECT_FALSE(report.found_damage());
    EXPECT_EQ(report.unchecked_objects, 1u);
    for (const auto& backup : report.backups) EXPECT_EQ(backup.verdict, BackupVerdict::kNotChecked);
  }
}

TEST_P(VerifyTest, AStorageThatGoesAwayEndsItWithWhatWasFound) {
  repository.memory().faults().add({.calls = {StorageCall::kGet, StorageCall::kGetRange},
                                    .skip = 40,
                                    .times = Fault::kEveryTime,
                                    .error = Error::transient("no route to host")});
  const auto report = repository.verify(VerifyDepth::kFull);
  EXPECT_FALSE(report.found_damage());
  EXPECT_GT(report.unchecked_objects, 0u);
  for (const auto& backup : report.backups) EXPECT_NE(backup.verdict, BackupVerdict::kDamaged);
}

TEST_P(VerifyTest, WhatIsStoppedIsNotGood) {
  std::stop_source stop;
  stop.request_stop();
  const auto report = repository.verify(VerifyDepth::kFull, {}, stop.get_token());
  EXPECT_TRUE(report.was_stopped);
  EXPECT_FALSE(report.found_damage());
  for (const auto& backup : report.backups) EXPECT_EQ(backup.verdict, BackupVerdict::kNotChecked);
}

TEST_P(VerifyTest, OneBackupIsCheckedWithWhatItNeeds) {
  VerifyOptions options;
  options.backup = repository.first().id;
  const auto others = repository.second().packs.back().key;
  const auto before = stored(others);
  repository.put_back(others, Bytes(10));
  const auto report = repository.verify(VerifyDepth::kFull, options);
  EXPECT_EQ(findings_of(report), Names());
  ASSERT_EQ(report.backups.size(), 1u);
  EXPECT_EQ(report.backups.front().verdict, BackupVerdict::kGood);
  EXPECT_LT(report.checked_objects, repository.objects().size());
  options.backup = repository.second().id;
  EXPECT_EQ(findings_of(repository.verify(VerifyDepth::kFull, options)),
            Names{"damaged " + name(others)});
  options.backup = BackupId::make(Timestamp(), 9);
  NullObserver observer;
  const SystemClock clock;
  const auto none = verify_cluster(repository.repository(), "main", options, observer, clock, {});
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().kind(), ErrorKind::kNotFound);
}

// Only full verification sees what is sealed rightly and says something wrong.
TEST_P(VerifyTest, FactsThatDontFitTheWalAreFound) {
  FactsStore facts(repository.store());
  auto wrong = *must(facts.get(repository.segment(2)));
  wrong.changes->mark({1663, 5, 9}, 9);
  must(facts.replace(wrong));
  EXPECT_EQ(findings_of(repository.verify(VerifyDepth::kQuick)), Names());
  const auto key = repository.store().names().facts(repository.segment(2));
  EXPECT_EQ(findings_of(repository.verify(VerifyDepth::kFull)), Names{"damaged " + name(key)});
}

TEST_P(VerifyTest, WalThatIsNoWalIsFound) {
  const auto key = repository.store().names().segment(repository.segment(1));
  must(repository.memory().remove(key));
  WalArchive archive(repository.store());
  auto bytes = repository.wal().segment(repository.segment(1).number);
  bytes[500'000] ^= 1;
  must(archive.put_segment(repository.segment(1), bytes));
  EXPECT_EQ(findings_of(repository.verify(VerifyDepth::kQuick)), Names());
  EXPECT_EQ(findings_of(repository.verify(VerifyDepth::kFull)), Names{"damaged " + name(key)});
}

TEST_P(VerifyTest, UnknownNamesAreTold) {
  must(repository.memory().put(
      ObjectKey::from_parts(repository.store().names().prefix() + "pack/mine"), as_bytes("x")));
  const auto report = repository.verify(VerifyDepth::kQuick);
  EXPECT_EQ(findings_of(report), Names());
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_THAT(report.warnings.front(), HasSubstr("pack/mine"));
}

}  // namespace
}  // namespace pitr::test
