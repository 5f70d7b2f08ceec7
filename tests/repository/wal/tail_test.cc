#include "repository/wal/archive_fixture.h"

namespace pitr::test {
namespace {

const SegmentId kSegment = segment_number(7);

Bytes slice(const Bytes& wal, std::size_t from, std::size_t to) {
  return {wal.begin() + static_cast<std::ptrdiff_t>(from),
          wal.begin() + static_cast<std::ptrdiff_t>(to)};
}

class TailTest : public OnEveryStore {
 protected:
  Bytes available() { return must(archive_.read_available(kSegment)).bytes; }
  std::vector<std::string> tails() {
    return keys_below(storage(), archive_.store().names().tail_prefix(kSegment));
  }
  // Leaves a tail with wal_[from, to).
  void write_tail(std::size_t from, std::size_t to) {
    auto tail = must(archive_.start_tail(kSegment, static_cast<std::uint32_t>(from)));
    must(tail->append(slice(wal_, from, to)));
  }

  TestRepository repository_{storage()};
  WalArchive archive_{repository_.store()};
  const Bytes wal_ = make_wal(42);
};

INSTANTIATE_TEST_SUITE_P(Stores, TailTest,
                         testing::Values(StoreKind::kMemory, StoreKind::kMemoryWithoutAppend,
                                         StoreKind::kLocal),
                         store_name);

TEST_P(TailTest, EveryAppendIsReadableAtOnce) {
  EXPECT_TRUE(available().empty());
  auto tail = must(archive_.start_tail(kSegment, 0));
  EXPECT_TRUE(available().empty());
  std::size_t end = 0;
  for (const std::size_t size : {1uz, 100uz, 8192uz, 65536uz, 65537uz, 300'000uz}) {
    must(tail->append(slice(wal_, end, end + size)));
    end += size;
    EXPECT_EQ(tail->end_offset(), end);
    EXPECT_EQ(available(), slice(wal_, 0, end));
  }
  must(tail->append(slice(wal_, end, wal_.size())));
  EXPECT_EQ(available(), wal_);
  EXPECT_EQ(tails().size(), storage().supports_append() ? 1u : 7u);
}

TEST_P(TailTest, NothingGoesBeyondTheSegment) {
  auto tail = must(archive_.start_tail(kSegment, 1 << 19));
  EXPECT_EQ(kind_of(tail->append(make_wal(1, (1 << 19) + 1))), ErrorKind::kInvalid);
  EXPECT_EQ(kind_of(archive_.start_tail(kSegment, 1 << 20)), ErrorKind::kInvalid);
}

TEST_P(TailTest, AWriterGoesOnAfterARestart) {
  write_tail(0, 1000);
  const auto adopted = must(archive_.adopt_available(kSegment));
  EXPECT_EQ(adopted.bytes, slice(wal_, 0, 1000));
  write_tail(1000, 5000);
  write_tail(5000, 70'000);
  EXPECT_EQ(available(), slice(wal_, 0, 70'000));
}

TEST_P(TailTest, ARestartBeforeTheFirstByteLeavesNothingInTheWay) {
  for (int time = 0; time < 3; ++time) must(archive_.start_tail(kSegment, 0));
  EXPECT_TRUE(available().empty());
  write_tail(0, 1000);
  EXPECT_EQ(available(), slice(wal_, 0, 1000));
}

TEST_P(TailTest, AWriterThatOutlivesItsTimeDoesNoHarm) {
  auto old_writer = must(archive_.start_tail(kSegment, 0));
  must(old_writer->append(slice(wal_, 0, 1000)));
  auto new_writer = must(archive_.start_tail(kSegment, 1000));
  must(new_writer->append(slice(wal_, 1000, 3000)));
  must(old_writer->append(slice(wal_, 1000, 2000)));  // late
  EXPECT_EQ(available(), slice(wal_, 0, 3000));
  must(new_writer->append(slice(wal_, 3000, 4000)));
  EXPECT_EQ(available(), slice(wal_, 0, 4000));
}

TEST_P(TailTest, TailsOfDifferentServersAreAConflict) {
  write_tail(0, 1000);
  auto clone = must(archive_.start_tail(kSegment, 500));
  must(clone->append(make_wal(43, 100)));
  EXPECT_EQ(kind_of(archive_.read_available(kSegment)), ErrorKind::kConflict);
  EXPECT_EQ(kind_of(archive_.adopt_available(kSegment)), ErrorKind::kConflict);
}

TEST_P(TailTest, TheCompleteSegmentCountsBeforeItsTails) {
  write_tail(0, 1000);
  must(archive_.put_segment(kSegment, wal_));
  EXPECT_EQ(available(), wal_);
  EXPECT_EQ(must(archive_.adopt_available(kSegment)).bytes, wal_);
  must(archive_.remove_tails(kSegment));
  EXPECT_TRUE(tails().empty());
  EXPECT_EQ(available(), wal_);
}

TEST_P(TailTest, RemovedTailsLeaveOtherSegmentsAlone) {
  write_tail(0, 1000);
  auto other = must(archive_.start_tail(segment_number(8), 0));
  must(other->append(as_bytes("other")));
  must(archive_.remove_tails(kSegment));
  EXPECT_TRUE(available().empty());
  EXPECT_EQ(as_text(must(archive_.read_available(segment_number(8))).bytes), "other");
}

TEST_P(TailTest, ATornEndIsCutOff) {
  write_tail(0, 1000);
  write_tail(1000, 2000);
  const auto second = ObjectKey::from_parts(tails().at(1));
  const auto whole = stored_bytes(storage(), second);
  std::size_t with_all = 0;
  for (std::size_t size = 0; size <= whole.size(); size += 31) {
    replace_object(storage(), second, ByteView(whole).first(size));
    const auto bytes = available();
    EXPECT_TRUE(bytes == slice(wal_, 0, 1000) || bytes == slice(wal_, 0, 2000)) << size;
    with_all += bytes.size() == 2000 ? 1 : 0;
    EXPECT_EQ(must(archive_.adopt_available(kSegment)).bytes, bytes);
  }
  // Without append, an object has a footer behind its frames.
  EXPECT_LE(with_all, storage().supports_append() ? 1u : 40u);
}

TEST_P(TailTest, AFirstAppendThatNeverReachedTheDiskIsTornAndALostHeaderIsDamage) {
  write_tail(0, 1000);
  const auto key = ObjectKey::from_parts(tails().at(0));
  const auto good = stored_bytes(storage(), key);
  for (const std::size_t reached : {0uz, 5uz, 20uz, 40uz, 56uz, 60uz}) {
    Bytes torn(good.size());
    std::copy_n(good.begin(), reached, torn.begin());
    replace_object(storage(), key, torn);
    EXPECT_TRUE(available().empty()) << reached;
  }
  auto without_header = good;
  std::fill_n(without_header.begin(), 40, 0);
  replace_object(storage(), key, without_header);
  EXPECT_EQ(kind_of(archive_.read_available(kSegment)), ErrorKind::kCorrupt);
}

TEST_P(TailTest, MissingBytesBeforeOthersAreDamage) {
  write_tail(0, 1000);
  write_tail(1000, 2000);
  write_tail(2000, 3000);
  must(storage().remove(ObjectKey::from_parts(tails().at(1))));
  const auto damaged = archive_.read_available(kSegment);
  ASSERT_EQ(kind_of(damaged), ErrorKind::kCorrupt);
  EXPECT_TRUE(damaged.error().message().contains("1000 to 2000")) << damaged.error().message();
  EXPECT_TRUE(damaged.error().hint().contains("0/7003E8")) << damaged.error().hint();
  // Streamed again, all is well.
  EXPECT_EQ(must(archive_.adopt_available(kSegment)).bytes, slice(wal_, 0, 1000));
  write_tail(1000, 2500);
  EXPECT_EQ(available(), slice(wal_, 0, 3000));
}

TEST_P(TailTest, ADamagedMiddleIsFoundAndHealedByStreamingAgain) {
  auto tail = must(archive_.start_tail(kSegment, 0));
  for (std::size_t at = 0; at < 400'000; at += 100'000) {
    must(tail->append(slice(wal_, at, at + 100'000)));
  }
  const auto key = ObjectKey::from_parts(tails().at(storage().supports_append() ? 0 : 1));
  const auto good = stored_bytes(storage(), key);
  std::mt19937_64 random(3);
  for (int round = 0; round < 10; ++round) {
    flip_byte(storage(), key, random() % (good.size() / 2));
    EXPECT_EQ(kind_of(archive_.read_available(kSegment)), ErrorKind::kCorrupt) << round;
    replace_object(storage(), key, good);
  }
  flip_byte(storage(), key, good.size() / 3);
  const auto adopted = must(archive_.adopt_available(kSegment)).bytes;
  EXPECT_LT(adopted.size(), 400'000u);
  EXPECT_EQ(adopted, slice(wal_, 0, adopted.size()));
  write_tail(adopted.size(), 400'000);
  EXPECT_EQ(available(), slice(wal_, 0, 400'000));
}

// The last append of the newest tail: nothing follows that could tell.
TEST_P(TailTest, WhatWasWrittenAndChangedIsDamageToTheLastByte) {
  write_tail(0, 1000);
  auto tail = must(archive_.start_tail(kSegment, 1000));
  must(tail->append(slice(wal_, 1000, 3000)));
  const auto key = ObjectKey::from_parts(tails().at(1));
  const auto good = stored_bytes(storage(), key);
  for (std::size_t at = 0; at < good.size(); at += at + 200 < good.size() ? 7 : 1) {
    flip_byte(storage(), key, at);
    EXPECT_EQ(kind_of(archive_.read_available(kSegment)), ErrorKind::kCorrupt) << at;
    const auto readable = must(archive_.read_up_to_damage(kSegment));
    // A numbered tail may be damaged behind its only frame.
    EXPECT_TRUE(readable.bytes == slice(wal_, 0, 1000) || readable.bytes == slice(wal_, 0, 3000));
    EXPECT_TRUE(readable.damage.has_value());
    replace_object(storage(), key, good);
  }
}

TEST_P(TailTest, ATornEndIsCountedUntilAWriterGoesOnBehindIt) {
  write_tail(0, 1000);
  write_tail(1000, 2000);
  const auto key = ObjectKey::from_parts(tails().at(1));
  const auto good = stored_bytes(storage(), key);
  for (const std::size_t size : {57uz, 80uz, 300uz}) {
    replace_object(storage(), key, ByteView(good).first(size));
    const auto torn = must(archive_.read_available(kSegment));
    EXPECT_EQ(torn.bytes, slice(wal_, 0, 1000));
    ASSERT_TRUE(torn.torn.has_value());
    EXPECT_EQ(torn.torn->object, key.text());
    EXPECT_EQ(torn.torn->size_bytes, size - 56);  // behind the header
  }
  write_tail(1000, 1500);
  const auto gone_on = must(archive_.read_available(kSegment));
  EXPECT_EQ(gone_on.bytes, slice(wal_, 0, 1500));
  EXPECT_FALSE(gone_on.torn.has_value());
}

TEST_P(TailTest, SwappedTailsAreFound) {
  write_tail(0, 1000);
  write_tail(1000, 2000);
  const auto keys = tails();
  swap_objects(storage(), ObjectKey::from_parts(keys.at(0)), ObjectKey::from_parts(keys.at(1)));
  EXPECT_EQ(kind_of(archive_.read_available(kSegment)), ErrorKind::kCorrupt);
}

// Streams a segment through errors, kills and power losses: whatever was acknowledged is read back.
class TailPowerLossTest : public testing::TestWithParam<std::uint64_t> {};

TEST_P(TailPowerLossTest, AcknowledgedBytesAreAlwaysReadBack) {
  std::mt19937_64 random(GetParam());
  const auto chance = [&](int one_in) { return random() % one_in == 0; };
  const SystemClock clock;
  MemoryStorage storage(clock, {.seed = GetParam(), .can_append = GetParam() % 4 != 0});
  TestRepository repository(storage);
  WalArchive archive(repository.store());
  const Bytes wal = make_wal(GetParam());
  std::size_t acknowledged = 0;

  for (int life = 0; life < 40 && acknowledged < wal.size(); ++life) {
    const auto adopted = must(archive.adopt_available(kSegment)).bytes;
    ASSERT_GE(adopted.size(), acknowledged) << "life " << life;
    ASSERT_EQ(adopted, slice(wal, 0, adopted.size()));
    acknowledged = adopted.size();  // adopted bytes may be acknowledged
    if (acknowledged == wal.size()) break;
    auto writer = archive.start_tail(kSegment, static_cast<std::uint32_t>(acknowledged));
    while (writer.has_value() && acknowledged < wal.size() && !chance(12)) {
      if (chance(8)) {
        const auto moment = static_cast<Fault::Moment>(random() % 3);
        storage.faults().add({.calls = {StorageCall::kAppend, StorageCall::kPut},
                              .moment = moment,
                              .error = Error::transient("planned")});
      }
      const auto end = std::min<std::size_t>(
          wal.size(), acknowledged + 1 + random() % (chance(5) ? 200'000 : 9'000));
      if (!writer.value()->append(slice(wal, acknowledged, end)).has_value()) break;
      acknowledged = end;
    }
    storage.faults().clear();
    if (chance(2)) storage.power_loss();
    if (chance(3)) {
      // Nobody restarts the receiver: a restore reads what there is.
      const auto found = must(archive.read_available(kSegment)).bytes;
      ASSERT_GE(found.size(), acknowledged) << "life " << life;
      ASSERT_EQ(found, slice(wal, 0, found.size()));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, TailPowerLossTest, testing::Range<std::uint64_t>(1, 41));

}  // namespace
}  // namespace pitr::test
