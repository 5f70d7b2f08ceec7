#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/container.h"
#include "codec/container_samples.h"

namespace pitr::test {

enum class End { kClean, kTorn, kDamaged };

struct Scan {
  Bytes plain;
  std::uint32_t frames = 0;
  End end = End::kClean;
};

class Scanner : public testing::TestWithParam<bool> {
 protected:
  Sample sample(bool finished) const {
    const auto key = sample_key();
    return make_sample(frames_, {.key = GetParam() ? &key : nullptr}, sample_identity(), finished);
  }

  Scan scan(ByteView stored) const {
    const auto keyring = sample_keyring(GetParam());
    Scan result;
    auto opened = ContainerScanner::open(stored, sample_identity(), keyring);
    if (!opened.has_value()) {
      EXPECT_EQ(opened.error().kind(), ErrorKind::kCorrupt) << opened.error().message();
      result.end = End::kDamaged;
      return result;
    }
    while (true) {
      const auto more = opened->next(result.plain);
      if (!more.has_value()) {
        EXPECT_EQ(more.error().kind(), ErrorKind::kCorrupt);
        EXPECT_THAT(more.error().message(), testing::HasSubstr(sample_identity().object_name));
        result.end = End::kDamaged;
        return result;
      }
      if (!*more) break;
      ++result.frames;
    }
    EXPECT_FALSE(value_of(opened->next(result.plain)));  // and stays at the end
    result.end = opened->torn_bytes() > 0 ? End::kTorn : End::kClean;
    return result;
  }

  // Whatever happens to the stored bytes: what comes out is what was written, up to some frame.
  void expect_only_written_bytes(const Scan& result) const {
    const std::vector<Bytes> expected(frames_.begin(), frames_.begin() + result.frames);
    ASSERT_EQ(result.plain, joined(expected));
  }

  const std::vector<Bytes> frames_{compressible_bytes(200, 1), random_bytes(60, 2),
                                   compressible_bytes(90, 3), random_bytes(1, 4)};
};

INSTANTIATE_TEST_SUITE_P(Seals, Scanner, testing::Bool(), [](const auto& variant) {
  return std::string(variant.param ? "encrypted" : "plain");
});

TEST_P(Scanner, ReadsFinishedAndUnfinishedContainers) {
  for (const bool finished : {false, true}) {
    const auto result = scan(sample(finished).stored);
    EXPECT_EQ(result.plain, joined(frames_));
    EXPECT_EQ(result.end, End::kClean);
  }
}

TEST_P(Scanner, DeliversWholeFramesAtEveryCut) {
  const auto whole = sample(true);
  for (std::size_t size = 0; size < whole.stored.size(); ++size) {
    SCOPED_TRACE(size);
    const auto result = scan(ByteView(whole.stored).first(size));
    std::size_t whole_frames = 0;
    while (whole_frames < frames_.size() && whole.frame_offsets[whole_frames + 1] <= size) {
      ++whole_frames;
    }
    EXPECT_EQ(result.frames, whole_frames);
    expect_only_written_bytes(result);
    const bool at_border =
        size == 0 || std::ranges::find(whole.frame_offsets, size) != whole.frame_offsets.end();
    EXPECT_EQ(result.end, at_border ? End::kClean : End::kTorn);
  }
}

TEST_P(Scanner, TakesRoomThatWasNeverFilledForATornEnd) {
  const auto whole = sample(true);
  for (std::size_t size = 0; size < whole.stored.size(); ++size) {
    SCOPED_TRACE(size);
    auto torn = whole.stored;
    std::fill(torn.begin() + static_cast<std::ptrdiff_t>(size), torn.end(), 0);
    if (torn == whole.stored) continue;
    const auto result = scan(torn);
    expect_only_written_bytes(result);
    // A header lies in one sector: it is there, or it isn't.
    if (size == 0 || size >= 56) {
      EXPECT_EQ(result.end, End::kTorn);
    }
  }
}

TEST_P(Scanner, NeverDeliversChangedBytes) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (const bool finished : {false, true}) {
    const auto whole = sample(finished);
    for (std::size_t i = 0; i < whole.stored.size(); ++i) {
      SCOPED_TRACE(i);
      auto damaged = whole.stored;
      damaged[i] ^= static_cast<std::uint8_t>(1 + random() % 255);
      const auto result = scan(damaged);
      expect_only_written_bytes(result);
      EXPECT_NE(result.end, End::kClean);
      EXPECT_EQ(result.end, End::kDamaged);
    }
  }
}

// Power loss before the sync of an append returned: any of its sectors may be missing.
TEST_P(Scanner, TakesSectorsThatWereNeverWrittenForATornEnd) {
  const auto key = sample_key();
  const std::vector<Bytes> frames{random_bytes(700, 1), random_bytes(3000, 2)};
  const auto whole =
      make_sample(frames, {.key = GetParam() ? &key : nullptr}, sample_identity(), false);
  const auto begin = whole.frame_offsets[1];
  for (auto sector = begin / 512; sector <= (whole.stored.size() - 1) / 512; ++sector) {
    SCOPED_TRACE(sector);
    const auto from = std::max<std::size_t>(sector * 512, begin);
    const auto to = std::min<std::size_t>((sector + 1) * 512, whole.stored.size());
    auto torn = whole.stored;
    std::fill(torn.begin() + static_cast<std::ptrdiff_t>(from),
              torn.begin() + static_cast<std::ptrdiff_t>(to), 0);
    const auto result = scan(torn);
    EXPECT_EQ(result.plain, frames[0]);
    EXPECT_EQ(result.end, End::kTorn);
    // A part of a sector is never missing.
    if (to - from < 512) continue;
    torn = whole.stored;
    std::fill_n(torn.begin() + static_cast<std::ptrdiff_t>(from) + 100, 300, 0);
    EXPECT_EQ(scan(torn).end, End::kDamaged);
  }
}

TEST_P(Scanner, TellsLostFramesInTheMiddleFromATornEnd) {
  const auto whole = sample(false);
  const auto at = [&](std::size_t frame) {
    return whole.stored.begin() + static_cast<std::ptrdiff_t>(whole.frame_offsets[frame]);
  };
  Bytes without_second(whole.stored.begin(), at(1));
  without_second.insert(without_second.end(), at(2), whole.stored.end());
  const auto lost = scan(without_second);
  EXPECT_EQ(lost.frames, 1u);
  EXPECT_EQ(lost.end, End::kDamaged);

  auto garbage = whole.stored;
  const auto noise = random_bytes(5000);
  garbage.insert(garbage.end(), noise.begin(), noise.end());
  const auto behind = scan(garbage);
  EXPECT_EQ(behind.plain, joined(frames_));
  EXPECT_EQ(behind.end, End::kDamaged);  // an append leaves its own bytes or none
}

TEST_P(Scanner, DoesNotTakeFramesOfAnotherContainer) {
  const auto one = sample(false);
  const auto two = sample(false);
  auto mixed = Bytes(one.stored.begin(),
                     one.stored.begin() + static_cast<std::ptrdiff_t>(one.frame_offsets[1]));
  mixed.insert(mixed.end(), two.stored.begin() + static_cast<std::ptrdiff_t>(two.frame_offsets[1]),
               two.stored.end());
  const auto result = scan(mixed);
  EXPECT_EQ(result.plain, frames_[0]);
  EXPECT_EQ(result.end, End::kDamaged);
}

}  // namespace pitr::test
