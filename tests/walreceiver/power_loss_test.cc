// A stream of WAL is stored through the receiver's writer in many short lives, each ended by an
// error, a kill, a hang or power loss of the store, at random moments. Whatever was reported as
// durable once must be there, byte for byte, after everything that follows.
//
// PITR_POWER_LOSS_SEED runs one seed again.

#include <cstdlib>
#include <thread>

#include "repository/wal/tail_chain.h"
#include "storage/local/local_storage.h"
#include "support/simulated_filesystem.h"
#include "walreceiver/ingest_fixture.h"

namespace pitr::test {
namespace {

constexpr std::uint64_t kSegments = 4;

// Storage that can be broken, killed and cut from power.
class Machine {
 public:
  virtual ~Machine() = default;
  virtual Storage& storage() = 0;
  // Makes something go wrong soon.
  virtual void plan_trouble(std::mt19937_64& random) = 0;
  // Calls end with errors from now on: the process is being killed, wherever it is.
  virtual void kill() = 0;
  // Power comes back, and a new process finds what survived.
  virtual void restart(bool after_power_loss) = 0;
};

class MemoryMachine final : public Machine {
 public:
  MemoryMachine(std::uint64_t seed, bool can_append)
      : storage_(clock_, {.seed = seed, .can_append = can_append}) {}

  Storage& storage() override { return storage_; }

  void plan_trouble(std::mt19937_64& random) override {
    const auto faults = random() % 4;
    for (std::uint64_t i = 0; i < faults; ++i) {
      Fault fault;
      fault.calls = random_calls(random);
      fault.skip = random() % 6;
      // Bytes that can be seen and aren't durable are the hard case.
      static constexpr Fault::Moment kMoments[] = {Fault::Moment::kInFlight,
                                                   Fault::Moment::kInFlight, Fault::Moment::kBefore,
                                                   Fault::Moment::kAfter};
      fault.moment = kMoments[random() % std::size(kMoments)];
      if (random() % 4 == 0) {
        // Hangs until the power goes.
        fault.gate = std::make_shared<Gate>();
        cutter_ = std::jthread([this, gate = fault.gate] {
          gate->wait_until_reached();
          storage_.power_loss();
        });
        gate_ = fault.gate;
        storage_.faults().add(fault);
        return;
      }
      fault.error = Error::transient("planned");
      storage_.faults().add(fault);
    }
  }

  void kill() override {
    Fault everything;
    everything.times = Fault::kEveryTime;
    everything.error = Error::transient("killed");
    storage_.faults().clear();
    storage_.faults().add(everything);
  }

  void restart(bool after_power_loss) override {
    if (cutter_.joinable()) {
      // Where nothing came to the gate, this does.
      std::atomic<std::uint64_t> power_count = 0;
      gate_->open();
      gate_->pass(power_count, 0);
      cutter_.join();
    }
    storage_.faults().clear();
    if (after_power_loss) storage_.power_loss();
  }

 private:
  static std::set<StorageCall> random_calls(std::mt19937_64& random) {
    switch (random() % 6) {
      case 0:
      case 5:
        return {StorageCall::kAppend, StorageCall::kPut};
      case 1:
        return {StorageCall::kPutIfAbsent};
      case 2:
        return {StorageCall::kStartAppend, StorageCall::kEnsureDurable};
      case 3:
        return {StorageCall::kRemove};
      default:
        return {};
    }
  }

  SystemClock clock_;
  MemoryStorage storage_;
  std::shared_ptr<Gate> gate_;
  std::jthread cutter_;  // last: it uses the storage
};

// The local backend on a file system that forgets what was not synced, or what a sync failed on.
class LocalMachine final : public Machine {
 public:
  explicit LocalMachine(std::uint64_t seed)
      : files_(std::make_shared<SimulatedFileSystem>(seed)),
        storage_(must(LocalStorage::create_on(files_, clock_))) {}

  Storage& storage() override { return *storage_; }
  void plan_trouble(std::mt19937_64& random) override {
    if (random() % 2 == 0) files_->fail_at_step(random() % 60);
    if (random() % 2 == 0) files_->stop_at_step(random() % 60);
  }
  void kill() override { files_->stop_at_step(0); }
  void restart(bool after_power_loss) override {
    files_->fail_at_step(SimulatedFileSystem::kNever);
    if (after_power_loss) {
      files_->restart_after_power_loss();
    } else {
      files_->restart_after_kill();
    }
    storage_ = must(LocalStorage::open_on(files_, clock_));
  }

 private:
  SystemClock clock_;
  std::shared_ptr<SimulatedFileSystem> files_;
  std::unique_ptr<LocalStorage> storage_;
};

class Simulation {
 public:
  Simulation(Machine& machine, std::uint64_t seed)
      : machine_(machine),
        random_(seed),
        wal_(random_wal(seed, kSegments)),
        key_(make_repository(machine.storage())),
        reported_(wal_.start()) {}

  // Lives until the whole stream was reported, then one without trouble, which must complete it.
  // Returns how many lives it took.
  int run() {
    int lives = 0;
    for (; reported_ < wal_.position() && lives < 200; ++lives) {
      live(/*ends=*/true);
      machine_.restart(random_() % 2 == 0);
      check_what_was_reported();
      if (testing::Test::HasFatalFailure()) return lives;
    }
    live(/*ends=*/false);
    machine_.restart(true);
    check_what_was_reported();
    check_completeness();
    return lives;
  }

 private:
  const SegmentSize& size() const { return wal_.options().segment_size; }
  ByteView stream(Lsn from, std::uint64_t size_bytes) const {
    return ByteView(wal_.bytes()).subspan(from - wal_.start(), size_bytes);
  }

  // One process: continues as StreamSession does.
  void live(bool ends) {
    IngestParts parts(machine_.storage(), key_, wal_);
    if (ends) machine_.plan_trouble(random_);
    const auto lived = stream_some(parts, ends);
    if (!ends) must(lived);
  }

  Result<void> stream_some(IngestParts& parts, bool ends) {
    TRY(parts.ingest().seal_complete_tails(kTimeline));
    const auto newest = TRY(parts.archive().newest_segment(kTimeline));
    const Lsn start = newest ? size().start_of(newest->number) : wal_.start();
    SegmentSealer sealer(parts.ingest());
    const auto streamed = stream_from(parts, sealer, start, ends);
    // Killed at the end or in the middle of sealing.
    if (ends && random_() % 2 == 0) machine_.kill();
    return streamed;
  }

  Result<void> stream_from(IngestParts& parts, SegmentSealer& sealer, Lsn start, bool ends) {
    const auto writer = TRY(StreamWriter::open(parts.ingest(), sealer, kTimeline, start));
    const auto steps = ends ? 1 + random_() % 12 : ~0ull;
    static constexpr std::uint64_t kLargest[] = {100, 8192, 60'000, 400'000};
    for (std::uint64_t step = 0; step < steps && writer->received() < wal_.position(); ++step) {
      const auto left = wal_.position() - writer->received();
      const auto largest = ends ? kLargest[random_() % std::size(kLargest)] : 400'000;
      const auto bytes = stream(writer->received(), std::min(left, 1 + random_() % largest));
      TRY(writer->write(bytes));
      if (!ends || random_() % 3 > 0) TRY(writer->make_durable());
      reported_ = std::max(reported_, writer->durable());
      if (ends && random_() % 16 == 0) archive_something(parts);
    }
    return sealer.drain();
  }

  // archive_command has segments too, up to where the server is.
  void archive_something(IngestParts& parts) {
    const auto index = random_() % (size().number_of(reported_) - wal_.first_segment() + 1);
    const SegmentId segment{kTimeline, wal_.first_segment() + index};
    if (segment.number > wal_.last_segment()) return;
    SegmentIngest other(parts.archive(), parts.facts());
    const auto archived = other.put(segment, wal_.segment(segment.number));
    if (!archived)
      EXPECT_EQ(archived.error().kind(), ErrorKind::kTransient) << archived.error().message();
  }

  // What was reported is there; of what wasn't, nothing but the right bytes, and no hole.
  void check_what_was_reported() {
    IngestParts parts(machine_.storage(), key_, wal_);
    const auto newest = must(parts.archive().newest_segment(kTimeline));
    for (auto number = wal_.first_segment(); number <= wal_.last_segment(); ++number) {
      const Lsn start = size().start_of(number);
      const auto stored = look_at(parts, {kTimeline, number});
      ASSERT_TRUE(std::ranges::equal(stored, stream(start, stored.size())))
          << "segment " << number << " is not what was streamed";
      const auto reported = std::min(size().bytes(), reported_ - std::min(reported_, start));
      ASSERT_GE(stored.size(), reported) << "lost after it was reported, in segment " << number;
      if (newest && number < newest->number) {
        ASSERT_EQ(stored.size(), size().bytes()) << "a hole in segment " << number;
      }
    }
  }

  // What adopt_available() would give, which makes it durable as well: nothing that was reported
  // may depend on somebody looking at it. A torn end is cut off.
  static Bytes look_at(IngestParts& parts, SegmentId segment) {
    if (must(parts.archive().has_segment(segment))) {
      return must(parts.archive().read_segment(segment));
    }
    return must(read_tail_chain(parts.store(), segment)).bytes;
  }

  void check_completeness() {
    EXPECT_EQ(reported_, wal_.position());
    SystemClock clock;
    MemoryStorage pristine_storage(clock);
    const auto pristine_key = make_repository(pristine_storage);
    IngestParts pristine(pristine_storage, pristine_key, wal_);
    IngestParts parts(machine_.storage(), key_, wal_);
    for (auto number = wal_.first_segment(); number <= wal_.last_segment(); ++number) {
      const SegmentId segment{kTimeline, number};
      must(pristine.ingest().put(segment, wal_.segment(number)));
      EXPECT_EQ(must(parts.archive().read_segment(segment)), wal_.segment(number));
      const auto facts = must(parts.facts().get(segment));
      ASSERT_TRUE(facts.has_value()) << "no facts of segment " << number;
      EXPECT_EQ(wal::encode_facts(*facts), wal::encode_facts(*must(pristine.facts().get(segment))));
    }
    const auto covered =
        must(wal_coverage(parts.archive(), parts.facts(),
                          TimelineHistory::without_ancestors(kTimeline), wal_.start()));
    EXPECT_EQ(covered.segments.size(), kSegments) << covered.ended_by;
  }

  Machine& machine_;
  std::mt19937_64 random_;
  const WalBuilder wal_;
  const KeyEncryptionKey key_;
  Lsn reported_;
};

template <typename MakeMachine>
void simulate(int simulations, MakeMachine&& make_machine) {
  int lives = 0;
  std::uint64_t first = std::random_device()();
  if (const char* given = std::getenv("PITR_POWER_LOSS_SEED")) {
    first = std::strtoull(given, nullptr, 10);
    simulations = 1;
  }
  for (std::uint64_t seed = first; seed < first + static_cast<std::uint64_t>(simulations); ++seed) {
    SCOPED_TRACE("PITR_POWER_LOSS_SEED=" + std::to_string(seed));
    const auto machine = make_machine(seed);
    lives += Simulation(*machine, seed).run();
    if (testing::Test::HasFailure()) return;
  }
  testing::Test::RecordProperty("lives", lives);
  if (simulations > 1) EXPECT_GT(lives, 8 * simulations);
}

TEST(PowerLossTest, WhatWasReportedSurvivesOnStorageThatAppends) {
  simulate(12, [](std::uint64_t seed) { return std::make_unique<MemoryMachine>(seed, true); });
}

TEST(PowerLossTest, WhatWasReportedSurvivesOnAnObjectStore) {
  simulate(12, [](std::uint64_t seed) { return std::make_unique<MemoryMachine>(seed, false); });
}

TEST(PowerLossTest, WhatWasReportedSurvivesOnALocalDirectory) {
  simulate(12, [](std::uint64_t seed) { return std::make_unique<LocalMachine>(seed); });
}

}  // namespace
}  // namespace pitr::test
