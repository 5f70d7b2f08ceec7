// Random histories: every backup that is kept has exactly the bytes that were there, however often
// tables were merged and blocks moved since, and whatever became of backups that aren't kept.
#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "repository/backup/incremental_fixture.h"

namespace pitr::backup_test {
namespace {

struct Kept {
  BackupManifest manifest;
  FileContents contents;
};

// The digests of a backup are those of its blocks, or unknown.
void expect_digests_of(const IncarnationStore& store, const Kept& kept) {
  auto files = must(FileDigests::open(store, kept.manifest));
  const auto blocks = must(BlockDigests::open(store, kept.manifest));
  std::size_t found = 0;
  while (must(files.next())) {
    const auto& content = kept.contents.at(files.file().path);
    for (std::size_t i = 0; i < files.digests().size(); ++i) {
      const auto start = i * kBlockSize;
      const auto block = ByteView(content).subspan(
          start, std::min<std::size_t>(kBlockSize, content.size() - start));
      ASSERT_EQ(files.digests()[i], blocks.hasher().digest(block))
          << files.file().path << " block " << i;
    }
    ++found;
  }
  EXPECT_EQ(found, kept.contents.size());
}

// Some of the parent's tables became one with the new one, and others stayed.
bool was_merged_in_part(const BackupManifest& parent, const BackupManifest& manifest) {
  const auto& before = parent.block_tables;
  const auto& after = manifest.block_tables;
  return after.size() > 1 && before.size() >= after.size() && after.back() == before.back() &&
         after.front() != before.front();
}

class History {
 public:
  // Where blocks move rarely, tables stay and stack up.
  History(std::uint64_t seed, bool moves_rarely, BackupRepository& repository)
      : random_(seed), files_(random_), store_(repository.store()), moves_rarely_(moves_rarely) {}

  void run(int backups) {
    for (int i = 0; i < 20; ++i) files_.change_something();
    // With so many files the first table is larger than what is added to it for some time.
    for (int i = 0; moves_rarely_ && i < 500; ++i) {
      files_.create(fmt::format("base/4/{}", random_() % 1'000'000'000), random_() % 300);
    }
    for (int i = 0; i < backups && !testing::Test::HasFatalFailure(); ++i) {
      make_backup();
      if (random_() % 4 == 0) forget_some();
      if (random_() % 4 == 0) check(random_() % kept_.size());
      check(kept_.size() - 1);
      const auto changes = random_() % 3 == 0 ? random_() % 40 : random_() % 4;
      for (auto change = changes; change > 0; --change) files_.change_something();
    }
    for (std::size_t i = 0; i < kept_.size(); ++i) check(i);
  }

  std::size_t partial_merges() const { return partial_merges_; }

 private:
  void make_backup() {
    IncrementalRun run;
    run.number = ++backups_;
    // Small packs, and many of them.
    run.options.compression = Compression::kNone;
    run.options.pack_size_bytes = 20'000 + random_() % 300'000;
    // Many layers, and moves only when they must be; or the other way round.
    run.options.map.least_table_bytes = random_() % 2 == 0 ? 1 : 200;
    run.options.map.changed_per_table_byte = moves_rarely_ ? 1'000'000 : 100;
    const auto how = random_() % 10;
    run.read_by = how < 6 ? ReadBy::kFacts : how < 9 ? ReadBy::kDigests : ReadBy::kWhole;
    if (!kept_.empty() && random_() % 25 != 0) {
      run.parent = kept_.back().manifest;
      if (random_() % 10 == 0 && !run.parent->packs.empty()) {
        run.leave_packs = {run.parent->packs[random_() % run.parent->packs.size()].key};
      }
    }
    auto manifest = make_incremental(store_, files_, run);
    files_.forget_changes();
    EXPECT_LE(manifest.block_tables.size(), 12u);
    EXPECT_LE(manifest.digest_tables.size(), 12u);
    if (run.parent && was_merged_in_part(*run.parent, manifest)) ++partial_merges_;
    for (const auto& left : run.leave_packs) {
      must(blocks_in_packs(store_, manifest, {left},
                           [&](const std::string& path, auto, auto) -> Result<void> {
                             ADD_FAILURE() << path << " is still in " << left.text();
                             return {};
                           }));
    }
    kept_.push_back({std::move(manifest), files_.contents()});
  }

  // Any backup may go, but for the newest one: what the others need must stay by itself.
  void forget_some() {
    std::vector<const BackupManifest*> manifests;
    for (std::size_t i = kept_.size() - 1; i-- > 0;) {
      if (random_() % 2 == 0) kept_.erase(kept_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    for (const auto& kept : kept_) manifests.push_back(&kept.manifest);
    remove_unreferenced(store_, manifests);
  }

  void check(std::size_t i) {
    const auto& kept = kept_[i];
    // In one batch, or in many.
    const auto most_placements = random_() % 2 == 0 ? kMostPlacements : 1 + random_() % 200;
    ASSERT_EQ(first_difference(kept.contents, restore(store_, kept.manifest, most_placements)), "")
        << "backup " << i << " of " << kept_.size() << " kept, " << backups_ << " made";
    must(check_block_map(store_, kept.manifest));
    expect_digests_of(store_, kept);
    EXPECT_LE(bytes_read_by_restore(store_, kept.manifest), kept.manifest.restore_read_bytes);
  }

  std::mt19937_64 random_;
  ChangingFiles files_;
  const IncarnationStore& store_;
  std::deque<Kept> kept_;
  std::uint64_t backups_ = 0;
  std::size_t partial_merges_ = 0;
  const bool moves_rarely_;
};

TEST(IncrementalModelTest, EveryKeptBackupHasExactlyItsBytes) {
  const std::uint64_t seed = std::random_device()();
  fmt::print("seed {}\n", seed);
  std::size_t partial_merges = 0;
  for (std::uint64_t round = 0; round < 12; ++round) {
    SCOPED_TRACE(fmt::format("seed {}, round {}", seed, round));
    BackupRepository repository(round % 2 == 0 ? BackupRepository::Cipher::kNone
                                               : BackupRepository::Cipher::kAes);
    History history(seed + round, /*moves_rarely=*/round % 4 < 2, repository);
    history.run(30);
    partial_merges += history.partial_merges();
    if (testing::Test::HasFatalFailure()) return;
  }
  fmt::print("{} merges of some tables\n", partial_merges);
  EXPECT_GT(partial_merges, 20u) << "the histories say little of layers";
}

}  // namespace
}  // namespace pitr::backup_test
