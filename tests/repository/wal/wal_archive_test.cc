#include "repository/wal/wal_archive.h"

#include <set>
#include <thread>

#include "codec/digest.h"
#include "repository/wal/archive_fixture.h"

namespace pitr::test {
namespace {

class WalArchiveTest : public OnEveryStore {
 protected:
  TestRepository repository_{storage()};
  WalArchive archive_{repository_.store()};

  ObjectKey key_of(SegmentId segment) const { return archive_.store().names().segment(segment); }
  ObjectKey conflict_of(SegmentId segment, ByteView bytes) const {
    return archive_.store().names().conflict(key_of(segment), to_hex(xxh3_128(bytes)));
  }
};

INSTANTIATE_TEST_SUITE_P(Stores, WalArchiveTest,
                         testing::Values(StoreKind::kMemory, StoreKind::kMemoryWithoutAppend,
                                         StoreKind::kLocal),
                         store_name);

TEST_P(WalArchiveTest, ASegmentIsReadBackAndStoredOnce) {
  const auto segment = segment_number(5);
  EXPECT_EQ(kind_of(archive_.read_segment(segment)), ErrorKind::kNotFound);
  EXPECT_FALSE(must(archive_.has_segment(segment)));
  EXPECT_EQ(must(archive_.put_segment(segment, make_wal(5))), PutOutcome::kStored);
  EXPECT_EQ(must(archive_.read_segment(segment)), make_wal(5));
  EXPECT_TRUE(must(archive_.has_segment(segment)));

  const auto before = stored_bytes(storage(), key_of(segment));
  EXPECT_EQ(must(archive_.put_segment(segment, make_wal(5))), PutOutcome::kAlreadyThere);
  EXPECT_EQ(stored_bytes(storage(), key_of(segment)), before);
}

TEST_P(WalArchiveTest, SegmentsOfAnotherSizeAreInvalid) {
  for (const std::size_t size :
       {0uz, 1uz, kSmallSegments.bytes() - 1, kSmallSegments.bytes() + 1}) {
    EXPECT_EQ(kind_of(archive_.put_segment(segment_number(1), make_wal(1, size))),
              ErrorKind::kInvalid);
  }
  EXPECT_FALSE(must(archive_.has_segment(segment_number(1))));
}

TEST_P(WalArchiveTest, OtherBytesAreRefusedAndKeptAside) {
  const auto segment = segment_number(5);
  must(archive_.put_segment(segment, make_wal(5)));
  auto other = make_wal(5);
  other.back() ^= 1;
  for (int time = 0; time < 2; ++time) {
    const auto refused = archive_.put_segment(segment, other);
    ASSERT_EQ(kind_of(refused), ErrorKind::kConflict);
    const auto& message = refused.error().message();
    EXPECT_TRUE(message.contains(key_of(segment).text())) << message;
    EXPECT_TRUE(message.contains(to_hex(xxh3_128(make_wal(5))))) << message;
    EXPECT_TRUE(message.contains(conflict_of(segment, other).text())) << message;
    EXPECT_FALSE(refused.error().hint().empty());
  }
  EXPECT_EQ(must(archive_.read_segment(segment)), make_wal(5));
  EXPECT_EQ(
      must(archive_.store().get_sealed(ContainerKind::kConflict, conflict_of(segment, other))),
      other);
  EXPECT_EQ(must(archive_.put_segment(segment, make_wal(5))), PutOutcome::kAlreadyThere);
}

TEST_P(WalArchiveTest, OfManyWritersWithDifferentBytesOneWins) {
  static constexpr int kWriters = 4;
  for (std::uint64_t round = 0; round < 5; ++round) {
    const auto segment = segment_number(round);
    std::vector<std::optional<Result<PutOutcome>>> results(kWriters);
    {
      std::vector<std::jthread> threads;
      for (int writer = 0; writer < kWriters; ++writer) {
        threads.emplace_back(
            [&, writer] { results[writer] = archive_.put_segment(segment, make_wal(writer / 2)); });
      }
    }
    const auto winner = must(archive_.read_segment(segment));
    int stored = 0;
    for (int writer = 0; writer < kWriters; ++writer) {
      const auto& result = *results[writer];
      if (make_wal(writer / 2) == winner) {
        ASSERT_TRUE(result.has_value()) << result.error().message();
        stored += result.value() == PutOutcome::kStored ? 1 : 0;
      } else {
        EXPECT_EQ(kind_of(result), ErrorKind::kConflict);
      }
    }
    EXPECT_EQ(stored, 1);
  }
}

TEST_P(WalArchiveTest, DamagedSegmentsAreReportedAndNeverReplaced) {
  const auto segment = segment_number(5);
  must(archive_.put_segment(segment, make_wal(5)));
  const auto good = stored_bytes(storage(), key_of(segment));
  std::mt19937_64 random(17);
  for (int round = 0; round < 15; ++round) {
    flip_byte(storage(), key_of(segment), random() % good.size());
    EXPECT_EQ(kind_of(archive_.read_segment(segment)), ErrorKind::kCorrupt);
    // Who archives it again keeps his own, which is the only good copy.
    const auto damaged = stored_bytes(storage(), key_of(segment));
    const auto put = archive_.put_segment(segment, make_wal(5));
    ASSERT_EQ(kind_of(put), ErrorKind::kCorrupt);
    EXPECT_TRUE(put.error().hint().contains(key_of(segment).text()));
    EXPECT_EQ(stored_bytes(storage(), key_of(segment)), damaged);
    replace_object(storage(), key_of(segment), good);
  }
  for (const std::size_t size : {0uz, 1uz, 48uz, good.size() / 2, good.size() - 1}) {
    const auto cut = ByteView(good).first(size);
    replace_object(storage(), key_of(segment), cut);
    EXPECT_EQ(kind_of(archive_.read_segment(segment)), ErrorKind::kCorrupt) << size;
    const auto put = archive_.put_segment(segment, make_wal(5));
    ASSERT_EQ(kind_of(put), ErrorKind::kCorrupt) << size;
    EXPECT_TRUE(put.error().hint().contains(key_of(segment).text()));
    EXPECT_TRUE(std::ranges::equal(stored_bytes(storage(), key_of(segment)), cut));
  }
}

TEST_P(WalArchiveTest, DamagedHistoryFilesAreReportedAndNeverReplaced) {
  const std::string text = "1\t0/3000000\tno recovery target specified\n";
  const auto key = archive_.store().names().history(TimelineId(2));
  must(archive_.put_file("00000002.history", as_bytes(text)));
  const auto good = stored_bytes(storage(), key);
  for (std::size_t at = 0; at < good.size(); ++at) {
    flip_byte(storage(), key, at);
    EXPECT_EQ(kind_of(archive_.put_file("00000002.history", as_bytes(text))), ErrorKind::kCorrupt)
        << at;
    replace_object(storage(), key, good);
  }
  EXPECT_EQ(must(archive_.put_file("00000002.history", as_bytes(text))), PutOutcome::kAlreadyThere);
}

TEST_P(WalArchiveTest, SwappedSegmentsAreFound) {
  must(archive_.put_segment(segment_number(1), make_wal(1)));
  must(archive_.put_segment(segment_number(2), make_wal(2)));
  swap_objects(storage(), key_of(segment_number(1)), key_of(segment_number(2)));
  EXPECT_EQ(kind_of(archive_.read_segment(segment_number(1))), ErrorKind::kCorrupt);
  EXPECT_EQ(kind_of(archive_.put_segment(segment_number(2), make_wal(1))), ErrorKind::kCorrupt);
}

TEST_P(WalArchiveTest, SegmentsAreListedInOrderWhateverOrderTheyCameIn) {
  const auto per_log = kSmallSegments.segments_per_log();
  const std::vector<std::uint64_t> numbers{per_log + 1, 3, per_log - 1, 1, per_log, 2};
  for (const auto number : numbers) must(archive_.put_segment(segment_number(number), make_wal(1)));
  must(archive_.put_segment(segment_number(2, 2), make_wal(1)));
  auto tail = must(archive_.start_tail(segment_number(4), 0));
  must(tail->append(as_bytes("tail")));
  must(archive_.put_file("000000010000000000000002.00000028.backup", as_bytes("backup")));
  must(archive_.put_file("000000010000000000000005.partial", make_wal(9)));

  const auto listed = [&](std::uint64_t from, std::uint64_t to) {
    std::vector<std::uint64_t> found;
    for (const auto& segment : must(archive_.list_segments(TimelineId(1), from, to))) {
      found.push_back(segment.number);
    }
    return found;
  };
  EXPECT_EQ(listed(0, UINT64_MAX),
            (std::vector<std::uint64_t>{1, 2, 3, per_log - 1, per_log, per_log + 1}));
  EXPECT_EQ(listed(2, per_log), (std::vector<std::uint64_t>{2, 3, per_log - 1, per_log}));
  EXPECT_EQ(listed(4, 4), std::vector<std::uint64_t>{});
  EXPECT_TRUE(must(archive_.list_segments(TimelineId(3), 0, UINT64_MAX)).empty());
}

TEST_P(WalArchiveTest, TheNewestSegmentMayBeATail) {
  EXPECT_FALSE(must(archive_.newest_segment(TimelineId(1))).has_value());
  must(archive_.put_segment(segment_number(5), make_wal(1)));
  must(archive_.put_file("000000010000000100000005.partial", make_wal(9)));
  EXPECT_EQ(must(archive_.newest_segment(TimelineId(1))), segment_number(5));
  auto tail = must(archive_.start_tail(segment_number(6), 0));
  must(tail->append(as_bytes("tail")));
  EXPECT_EQ(must(archive_.newest_segment(TimelineId(1))), segment_number(6));
}

TEST_P(WalArchiveTest, TimelinesAreThoseWithHistoryOrSegments) {
  EXPECT_TRUE(must(archive_.timelines()).empty());
  must(archive_.put_file("0000000A.history", as_bytes("1\t0/3000000\tno recovery target\n")));
  must(archive_.put_segment(segment_number(5), make_wal(1)));
  EXPECT_EQ(must(archive_.timelines()), (std::vector<TimelineId>{TimelineId(1), TimelineId(10)}));
}

TEST_P(WalArchiveTest, ASecondPartialOfANameIsKeptAsideAndArchivingGoesOn) {
  const std::string name = "000000010000000000000005.partial";
  EXPECT_EQ(must(archive_.put_file(name, make_wal(1))), PutOutcome::kStored);
  for (int again = 0; again < 2; ++again) {
    EXPECT_EQ(must(archive_.put_file(name, make_wal(2))), PutOutcome::kKeptAside);
    EXPECT_EQ(must(archive_.put_file(name, make_wal(3))), PutOutcome::kKeptAside);
    EXPECT_EQ(must(archive_.put_file(name, make_wal(1))), PutOutcome::kAlreadyThere);
  }
  const auto key = must(archive_.store().names().wal_file(name));
  const auto aside = keys_below(storage(), key.text() + ".conflict-");
  ASSERT_EQ(aside.size(), 2u);
  std::set<Bytes> kept;
  for (const auto& object : aside) {
    kept.insert(must(archive_.store().get_sealed(ContainerKind::kConflict,
                                                 ObjectKey::from_parts(object), 1 << 20)));
  }
  EXPECT_EQ(kept, (std::set<Bytes>{make_wal(2), make_wal(3)}));
  // What is kept aside vouches for itself: damaged, it is not taken for these bytes.
  const auto damaged = ObjectKey::from_parts(aside.at(0));
  flip_byte(storage(), damaged, stored_bytes(storage(), damaged).size() - 10);
  EXPECT_FALSE(archive_.put_file(name, make_wal(2)).has_value() &&
               archive_.put_file(name, make_wal(3)).has_value());
}

TEST_P(WalArchiveTest, HistoryFilesAreComparedByContent) {
  const auto text = as_bytes("1\t0/3000000\tno recovery target specified\n");
  EXPECT_EQ(kind_of(archive_.read_history(TimelineId(2))), ErrorKind::kNotFound);
  EXPECT_EQ(must(archive_.put_file("00000002.history", text)), PutOutcome::kStored);
  EXPECT_EQ(must(archive_.put_file("00000002.history", text)), PutOutcome::kAlreadyThere);
  const auto other = as_bytes("1\t0/4000000\tno recovery target specified\n");
  EXPECT_EQ(kind_of(archive_.put_file("00000002.history", other)), ErrorKind::kConflict);
  EXPECT_TRUE(std::ranges::equal(must(archive_.read_history(TimelineId(2))), text));
  EXPECT_EQ(must(archive_.put_file("00000003.history", {})), PutOutcome::kStored);
  EXPECT_TRUE(must(archive_.read_history(TimelineId(3))).empty());
}

TEST_P(WalArchiveTest, OnlyFilesThatPostgresHandsOverAreTaken) {
  for (const auto* bad : {"000000010000000000000002", "postgresql.conf", "../2.history", ""}) {
    EXPECT_EQ(kind_of(archive_.put_file(bad, as_bytes("x"))), ErrorKind::kInvalid) << bad;
  }
}

// Faults need the memory store.
class WalArchiveFaultTest : public testing::Test {
 protected:
  SystemClock clock_;
  MemoryStorage storage_{clock_};
  TestRepository repository_{storage_};
  WalArchive archive_{repository_.store()};
};

TEST_F(WalArchiveFaultTest, ALateWriterComparesWithTheOneThatWasFaster) {
  for (const bool same : {true, false}) {
    const auto segment = segment_number(same ? 1 : 2);
    const auto gate = std::make_shared<Gate>();
    storage_.faults().add({.calls = {StorageCall::kPutIfAbsent}, .gate = gate});
    std::optional<Result<PutOutcome>> late;
    {
      const std::jthread writer(
          [&] { late = archive_.put_segment(segment, make_wal(same ? 7 : 8)); });
      gate->wait_until_reached();
      EXPECT_EQ(must(archive_.put_segment(segment, make_wal(7))), PutOutcome::kStored);
      gate->open();
    }
    if (same) {
      EXPECT_EQ(must(*late), PutOutcome::kAlreadyThere);
    } else {
      EXPECT_EQ(kind_of(*late), ErrorKind::kConflict);
    }
    EXPECT_EQ(must(archive_.read_segment(segment)), make_wal(7));
  }
}

TEST_F(WalArchiveFaultTest, AFullDiskIsTransientAndHarmsNothing) {
  const Error full = Error::from_errno(ENOSPC, "writing");
  for (const auto moment : {Fault::Moment::kBefore, Fault::Moment::kAfter}) {
    const auto segment = segment_number(moment == Fault::Moment::kBefore ? 1 : 2);
    storage_.faults().add({.calls = {StorageCall::kPutIfAbsent}, .moment = moment, .error = full});
    EXPECT_EQ(kind_of(archive_.put_segment(segment, make_wal(1))), ErrorKind::kTransient);
    EXPECT_EQ(must(archive_.put_segment(segment, make_wal(1))),
              moment == Fault::Moment::kBefore ? PutOutcome::kStored : PutOutcome::kAlreadyThere);
    EXPECT_EQ(must(archive_.read_segment(segment)), make_wal(1));
  }
}

TEST_F(WalArchiveFaultTest, WhatIsFoundThereIsDurableBeforeItCounts) {
  // Visible, but not durable: an earlier attempt got an error in the middle.
  for (std::uint64_t number = 0; number < 20; ++number) {
    storage_.faults().add({.calls = {StorageCall::kPutIfAbsent},
                           .moment = Fault::Moment::kInFlight,
                           .error = Error::transient("planned")});
    const auto segment = segment_number(number);
    EXPECT_EQ(kind_of(archive_.put_segment(segment, make_wal(1))), ErrorKind::kTransient);
    EXPECT_EQ(must(archive_.put_segment(segment, make_wal(1))), PutOutcome::kAlreadyThere);
  }
  storage_.power_loss();
  for (std::uint64_t number = 0; number < 20; ++number) {
    EXPECT_EQ(must(archive_.read_segment(segment_number(number))), make_wal(1)) << number;
  }
}

TEST_F(WalArchiveFaultTest, TroubleIsNeverCalledAbsence) {
  const auto segment = segment_number(1);
  must(archive_.put_segment(segment, make_wal(1)));
  storage_.faults().add({.calls = {StorageCall::kGet, StorageCall::kStat, StorageCall::kList},
                         .times = Fault::kEveryTime,
                         .error = Error::transient("planned")});
  EXPECT_EQ(kind_of(archive_.read_segment(segment)), ErrorKind::kTransient);
  EXPECT_EQ(kind_of(archive_.has_segment(segment)), ErrorKind::kTransient);
  EXPECT_EQ(kind_of(archive_.read_available(segment)), ErrorKind::kTransient);
  EXPECT_EQ(kind_of(archive_.put_segment(segment, make_wal(1))), ErrorKind::kTransient);
  EXPECT_EQ(kind_of(archive_.newest_segment(TimelineId(1))), ErrorKind::kTransient);
  EXPECT_EQ(kind_of(archive_.timelines()), ErrorKind::kTransient);
  EXPECT_EQ(kind_of(archive_.list_segments(TimelineId(1), 0, 9)), ErrorKind::kTransient);
}

TEST_F(WalArchiveFaultTest, AConflictThatCannotBeKeptAsideIsStillAConflict) {
  must(archive_.put_segment(segment_number(1), make_wal(1)));
  storage_.faults().add({.calls = {StorageCall::kPutIfAbsent}, .error = Error::transient("full")});
  const auto refused = archive_.put_segment(segment_number(1), make_wal(2));
  EXPECT_EQ(kind_of(refused), ErrorKind::kConflict);
  EXPECT_TRUE(refused.error().message().contains("could not be kept: full"));
}

}  // namespace
}  // namespace pitr::test
