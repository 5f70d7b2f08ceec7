// What pitr-wal-get is told: "absent" only of what lies beyond the plan, whatever goes wrong.

#include "restore/recovery/wal_supply.h"

#include <unistd.h>

#include <filesystem>

#include "postgres/wal/wal_builder.h"
#include "restore/recovery/prefetcher.h"
#include "storage/memory/memory_storage.h"

namespace pitr {
namespace {

using testing::HasSubstr;

template <typename T>
T take(Result<T> result) {
  if (!result.has_value()) throw std::runtime_error(result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(result).value();
}

class WalSupplyTest : public testing::Test {
 protected:
  WalSupplyTest()
      : storage_(clock_),
        repository_(take(Repository::init(storage_, std::nullopt))),
        store_(*repository_, {"main", wal_.options().system_identifier, 15}, size_),
        archive_(store_) {
    for (int i = 0; i < 4; ++i) {
      wal_.filler(4000);
      wal_.switch_segment();
    }
    wal_.filler(4000);  // segment 5, not complete
    for (std::uint64_t number = 1; number <= 4; ++number) {
      take(archive_.put_segment({TimelineId(1), number}, wal_.segment(number)));
    }
    auto tail = take(archive_.start_tail({TimelineId(1), 5}, 0));
    const auto from = size_.start_of(5) - wal_.start();
    take(tail->append(ByteView(wal_.bytes()).subspan(from)));
    take(archive_.put_file("00000002.history", as_bytes("1\t0/100000\tno recovery target\n")));

    plan_.system_identifier = wal_.options().system_identifier;
    plan_.segment_size_bytes = size_.bytes();
    plan_.timeline = TimelineId(1);
    plan_.new_timeline = TimelineId(5);
    plan_.segments = {{TimelineId(1), 2, 5}};
    plan_.target_record_end = wal_.position();
  }

  static std::string name(std::uint64_t number, std::uint32_t timeline = 1) {
    return segment_file_name({TimelineId(timeline), number}, size_);
  }
  WalSupply supply() const { return {archive_, plan_}; }
  void damage(std::uint64_t number) {
    const auto key = store_.names().segment({TimelineId(1), number});
    auto bytes = take(storage_.get(key, 1 << 24));
    bytes[bytes.size() / 2] ^= 1;
    take(storage_.remove(key));
    take(storage_.put(key, bytes));
  }

  static inline const SegmentSize size_ = SegmentSize::from_bytes(1 << 20).value();
  SystemClock clock_;
  MemoryStorage storage_;
  test::WalBuilder wal_;
  std::unique_ptr<Repository> repository_;
  IncarnationStore store_;
  WalArchive archive_;
  RecoveryPlan plan_;
};

TEST_F(WalSupplyTest, DeliversWholeSegmentsAndTheTailFilledUpWithZeros) {
  EXPECT_EQ(take(supply().get(name(2))), wal_.segment(2));
  EXPECT_EQ(take(supply().get(name(5))), wal_.segment(5));
  EXPECT_EQ(take(supply().get(name(5)))->size(), size_.bytes());
}

TEST_F(WalSupplyTest, AbsentIsOnlyWhatLiesBeyondThePlan) {
  EXPECT_EQ(take(supply().get(name(6))), std::nullopt);
  EXPECT_EQ(take(supply().get(name(3, 2))), std::nullopt);  // the plan uses timeline 1
  EXPECT_FALSE(supply().get(name(1)).has_value());          // before the backup: nobody asks
  EXPECT_FALSE(supply().get("nonsense").has_value());
  EXPECT_FALSE(supply().get(name(2) + ".partial").has_value());
}

TEST_F(WalSupplyTest, TroubleInsideThePlanIsNeverAbsence) {
  damage(2);
  EXPECT_EQ(supply().get(name(2)).error().kind(), ErrorKind::kCorrupt);
  take(storage_.remove(store_.names().segment({TimelineId(1), 3})));
  const auto gone = supply().get(name(3));
  ASSERT_FALSE(gone.has_value());
  EXPECT_NE(gone.error().kind(), ErrorKind::kNotFound);
  // The last segment holds less than the plan was made with.
  take(archive_.remove_tails({TimelineId(1), 5}));
  EXPECT_FALSE(supply().get(name(5)).has_value());
  // Another segment's bytes under this name.
  const auto key = store_.names().segment({TimelineId(1), 4});
  take(storage_.remove(key));
  take(archive_.put_segment({TimelineId(1), 4}, wal_.segment(1)));
  EXPECT_THAT(supply().get(name(4)).error().message(), HasSubstr("is another one"));
}

TEST_F(WalSupplyTest, PromotionFindsExactlyTheReservedTimelineFree) {
  EXPECT_EQ(as_text(*take(supply().get("00000002.history"))), "1\t0/100000\tno recovery target\n");
  EXPECT_THAT(std::string(as_text(*take(supply().get("00000003.history")))), HasSubstr("# "));
  EXPECT_TRUE(take(supply().get("00000004.history")).has_value());
  EXPECT_FALSE(take(supply().get("00000005.history")).has_value());
  EXPECT_FALSE(take(supply().get("00000006.history")).has_value());
  plan_.timeline = TimelineId(3);
  EXPECT_FALSE(supply().get("00000003.history").has_value());  // the plan's own is gone: trouble
}

TEST_F(WalSupplyTest, ThePrefetcherKeepsToItsLimitAndDeletesWhatWasPassed) {
  const auto directory =
      std::filesystem::temp_directory_path() / ("pitr-spool-" + std::to_string(::getpid()));
  std::filesystem::create_directories(directory);
  const auto supply = this->supply();
  PrefetcherOptions options;
  options.spool_directory = directory / "spool";
  options.spool_limit_bytes = 2 * size_.bytes();
  {
    const auto prefetcher = take(Prefetcher::start(supply, options));
    for (std::uint64_t number = 2; number <= 5; ++number) {
      EXPECT_EQ(take(prefetcher->deliver(name(number), directory / "RECOVERYXLOG")),
                Delivery::kDelivered);
      EXPECT_EQ(take(read_file(directory / "RECOVERYXLOG")), wal_.segment(number));
      std::size_t kept = 0;
      const auto spool = options.spool_directory / std::to_string(::getpid());
      for (const auto& entry : std::filesystem::directory_iterator(spool)) {
        if (entry.path().extension() != ".pitr-tmp") {
          ++kept;
          EXPECT_GT(entry.path().filename().string(), name(number));
        }
      }
      EXPECT_LE(kept, 2u);
    }
    // The server asks for the last one again when recovery ends, and for the one behind it.
    EXPECT_EQ(take(prefetcher->deliver(name(5), directory / "RECOVERYXLOG")), Delivery::kDelivered);
    EXPECT_EQ(take(prefetcher->deliver(name(6), directory / "RECOVERYXLOG")), Delivery::kAbsent);
    damage(3);
    EXPECT_FALSE(prefetcher->deliver(name(3), directory / "RECOVERYXLOG").has_value());
  }
  EXPECT_FALSE(std::filesystem::exists(options.spool_directory));
  std::filesystem::remove_all(directory);
}

TEST_F(WalSupplyTest, ThePlanSurvivesItsFile) {
  plan_.configuration = "/etc/pitr/pitr.yaml";
  plan_.cluster = "main";
  plan_.end = Lsn(0x123456789);
  plan_.inclusive = false;
  plan_.socket = "/data/pitr_restore/wal.sock";
  const auto read = take(parse_recovery_plan(to_json(plan_)));
  EXPECT_EQ(to_json(read), to_json(plan_));
  EXPECT_EQ(read.segments, plan_.segments);
  EXPECT_THAT(wal_get_plan_text(plan_), HasSubstr("socket=/data/pitr_restore/wal.sock\n"));
  for (const auto* text : {"", "{}", "[1]", "{\"version\": 2}", "nonsense"}) {
    EXPECT_EQ(parse_recovery_plan(text).error().kind(), ErrorKind::kCorrupt) << text;
  }
  plan_.segments.push_back({TimelineId(2), 9, 9});  // a hole
  EXPECT_FALSE(parse_recovery_plan(to_json(plan_)).has_value());
}

}  // namespace
}  // namespace pitr
