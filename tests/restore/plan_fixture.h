// Backups and WAL that a test writes itself, and plans made on them.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "postgres/wal/segment_facts.h"
#include "postgres/wal/wal_builder.h"
#include "restore/plan/plan.h"
#include "storage/memory/memory_storage.h"

namespace pitr::test {

template <typename T>
T take(Result<T> result) {
  if (!result.has_value()) throw std::runtime_error(result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(result).value();
}

inline constexpr std::int64_t kNoon = 1'772'366'400'000'000;  // 2026-03-01 12:00 UTC
inline Timestamp at(double second) {
  return Timestamp::from_unix_us(kNoon + static_cast<std::int64_t>(second * 1e6));
}

class PlanTest : public testing::Test {
 protected:
  PlanTest()
      : storage_(clock_),
        repository_(take(Repository::init(storage_, std::nullopt))),
        store_(*repository_, {"main", wal_.options().system_identifier, 15},
               wal_.options().segment_size),
        archive_(store_),
        facts_(store_) {}

  // A backup of everything written so far, with what it needs of WAL.
  void back_up(double start_second, double stop_second) {
    BackupManifest backup(BackupId::make(at(start_second), backups_.size()));
    backup.incarnation = store_.id();
    backup.server_version_num = 150000;
    backup.timeline = wal_.options().timeline;
    const auto& checkpoint = wal_.checkpoint(false, wal_.position());
    backup.start_lsn = checkpoint.start;
    if (inside_) inside_();
    backup.stop_lsn = wal_.backup_end(backup.start_lsn).end;
    backup.start_time = at(start_second);
    backup.stop_time = at(stop_second);
    backups_.push_back(backup);
  }

  // Everything written, as segments with facts; the last one as a tail.
  void store_wal(std::optional<std::uint64_t> without = {}) {
    store_wal(wal_, TimelineId(1), wal_.first_segment(), without);
  }
  void store_wal(const WalBuilder& wal, TimelineId timeline, std::uint64_t first,
                 std::optional<std::uint64_t> without = {}) {
    const auto size = wal.options().segment_size;
    std::optional<wal::Carry> carry;
    for (auto number = first; number <= wal.last_segment(); ++number) {
      const SegmentId segment{timeline, number};
      if (number == wal.last_segment()) {
        auto tail = take(archive_.start_tail(segment, 0));
        const auto from = size.start_of(number) - wal.start();
        take(tail->append(ByteView(wal.bytes()).subspan(from)));
        break;
      }
      const auto bytes = wal.segment(number);
      wal::DecoderOptions options;
      options.segment_size = size;
      options.timeline = segment.timeline;
      wal::Carry out;
      const auto facts = take(wal::build_segment_facts(segment, options, carry, bytes, &out));
      carry = out;
      if (without == number) continue;
      take(archive_.put_segment(segment, bytes));
      take(facts_.put(facts));
    }
  }

  void next_segment() {
    wal_.filler(4000);
    wal_.switch_segment();
  }

  Result<RestorePlan> plan(RestoreTarget target, std::optional<TimelineId> timeline = {},
                           std::optional<BackupId> backup = {}) {
    return make_plan({archive_, facts_, backups_, plan_clock_},
                     {std::move(target), timeline, backup, zone_});
  }
  Error refusal(RestoreTarget target, std::optional<TimelineId> timeline = {}) {
    auto planned = plan(std::move(target), timeline);
    if (planned.has_value()) {
      ADD_FAILURE() << "planned to end at " << to_string(planned->end);
      return Error::internal("planned");
    }
    return planned.error();
  }
  void set_watermark(Lsn lsn, double second) {
    take(facts_.put_watermark({wal_.options().timeline, lsn, at(second)}));
  }

  // When a plan is made: long after all that is stored, if a test doesn't say otherwise.
  class PlanClock final : public Clock {
   public:
    Timestamp now() const override { return now_; }
    SteadyTime steady_now() const override { return {}; }
    void set(Timestamp now) { now_ = now; }

   private:
    Timestamp now_ = at(1e6);
  };

  SystemClock clock_;
  PlanClock plan_clock_;
  std::string zone_;
  MemoryStorage storage_;
  WalBuilder wal_;
  std::unique_ptr<Repository> repository_;
  IncarnationStore store_;
  WalArchive archive_;
  FactsStore facts_;
  std::vector<BackupManifest> backups_;
  std::function<void()> inside_;
};

}  // namespace pitr::test
