#include "codec/container.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "codec/container_format.h"
#include "codec/container_samples.h"

namespace pitr::test {

using testing::HasSubstr;

struct Variant {
  Compression compression;
  bool encrypted;
};

class ContainerVariants : public testing::TestWithParam<Variant> {
 protected:
  ContainerOptions options() const {
    return {GetParam().compression, 0, GetParam().encrypted ? &key_ : nullptr};
  }
  Keyring keyring() const { return sample_keyring(GetParam().encrypted); }

  // Opens the whole container and reads all of it, in each way that there is.
  Result<Bytes> read(ByteView stored) const {
    const MemorySource source(stored);
    const auto reader = TRY(ContainerReader::open(source, sample_identity(), keyring()));
    if (as_text(reader.metadata()) != "metadata") return Error::internal("other metadata");
    return reader.read_all(1 << 30);
  }

  const DataKey key_ = sample_key();
};

INSTANTIATE_TEST_SUITE_P(
    All, ContainerVariants,
    testing::Values(Variant{Compression::kNone, false}, Variant{Compression::kNone, true},
                    Variant{Compression::kLz4, false}, Variant{Compression::kLz4, true},
                    Variant{Compression::kZstd, false}, Variant{Compression::kZstd, true}),
    [](const auto& variant) {
      return std::string(to_string(variant.param.compression)) +
             (variant.param.encrypted ? "_encrypted" : "_plain");
    });

TEST_P(ContainerVariants, ReturnsWhatWasWrittenAtEverySizeAroundFrameBorders) {
  for (const std::size_t size :
       {0ul, 1ul, 2ul, 100ul, 65535ul, 65536ul, 65537ul, 131071ul, 131072ul, 131073ul, 1000000ul}) {
    for (const auto& plain : {compressible_bytes(size), random_bytes(size)}) {
      const auto stored = value_of(seal_object(sample_identity(), options(), plain));
      EXPECT_EQ(value_of(open_object(stored, sample_identity(), keyring(), 1 << 30)), plain);
      EXPECT_TRUE(verify_container(MemorySource(stored)).has_value());
    }
  }
}

TEST_P(ContainerVariants, GivesTheSameContentOnTwoThreads) {
  for (const std::size_t size : {0ul, 1ul, 65536ul, 65537ul, 131072ul, 200000ul, 1000000ul}) {
    for (const auto& plain : {compressible_bytes(size), random_bytes(size)}) {
      auto writer = value_of(ContainerWriter::create(sample_identity(), options()));
      Bytes stored;
      writer.header(stored);
      value_of(writer.add(as_bytes("before"), stored));
      value_of(writer.add_on_two_threads(plain, stored));
      value_of(writer.add(as_bytes("after"), stored));
      value_of(writer.finish(as_bytes("metadata"), stored));
      const Bytes before{'b', 'e', 'f', 'o', 'r', 'e'};
      const Bytes after{'a', 'f', 't', 'e', 'r'};
      EXPECT_EQ(value_of(read(stored)), joined({before, plain, after})) << size;
      EXPECT_TRUE(verify_container(MemorySource(stored)).has_value());
    }
  }
}

TEST_P(ContainerVariants, ReadsFramesRangesAndDigestAtRandom) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  std::vector<Bytes> frames;
  for (int i = 0; i < 40; ++i) {
    const auto size = i % 5 == 0 ? kFrameSize : 1 + random() % kFrameSize;
    frames.push_back(random() % 4 == 0 ? random_bytes(size, random())
                                       : compressible_bytes(size, random()));
  }
  const auto plain = joined(frames);
  const auto sample = make_sample(frames, options(), sample_identity(), true);
  const MemorySource source(sample.stored);
  const auto keys = keyring();
  const auto reader = value_of(ContainerReader::open(source, sample_identity(), keys));
  ASSERT_EQ(reader.frame_count(), frames.size());
  EXPECT_EQ(reader.plain_size_bytes(), plain.size());
  EXPECT_EQ(reader.plain_digest(), xxh3_128(plain));
  EXPECT_EQ(as_text(reader.metadata()), "metadata");
  std::uint64_t plain_offset = 0;
  for (std::uint32_t i = 0; i < frames.size(); ++i) {
    EXPECT_EQ(reader.plain_offset(i), plain_offset);
    EXPECT_EQ(reader.frame_at(plain_offset), i);
    plain_offset += frames[i].size();
    EXPECT_EQ(reader.frame_at(plain_offset - 1), i);
    EXPECT_EQ(reader.sealed_offset(i), sample.frame_offsets[i]);
    const auto size = sample.frame_offsets[i + 1] - sample.frame_offsets[i];
    Bytes into(frames[i].size());
    value_of(
        reader.open_frame(i, ByteView(sample.stored).subspan(sample.frame_offsets[i], size), into));
    EXPECT_EQ(into, frames[i]);
    value_of(reader.read_frame(i, into));
    EXPECT_EQ(into, frames[i]);
  }
  EXPECT_EQ(reader.plain_offset(reader.frame_count()), plain.size());
  EXPECT_EQ(reader.sealed_offset(reader.frame_count()), sample.frame_offsets.back());
  for (int i = 0; i < 300; ++i) {
    const auto offset = random() % (plain.size() + 1);
    const auto rest = plain.size() - offset;
    Bytes into(random() % (std::min<std::size_t>(rest, i % 3 == 0 ? rest : 100'000) + 1));
    value_of(reader.read_plain(offset, into));
    EXPECT_TRUE(
        std::equal(into.begin(), into.end(), plain.begin() + static_cast<std::ptrdiff_t>(offset)));
  }
  Bytes several;
  value_of(reader.read_frames(3, 20, several));
  EXPECT_EQ(several, joined({frames.begin() + 3, frames.begin() + 23}));
}

TEST_P(ContainerVariants, FindsEveryFlippedByte) {
  const std::vector<Bytes> frames{compressible_bytes(300), random_bytes(40), random_bytes(1)};
  const auto stored = make_sample(frames, options(), sample_identity(), true).stored;
  ASSERT_EQ(value_of(read(stored)), joined(frames));
  for (std::size_t i = 0; i < stored.size(); ++i) {
    for (const std::uint8_t flip : {0x01, 0x80, 0xFF}) {
      auto damaged = stored;
      damaged[i] ^= flip;
      const auto result = read(damaged);
      ASSERT_FALSE(result.has_value()) << "byte " << i;
      ASSERT_EQ(result.error().kind(), ErrorKind::kCorrupt) << result.error().message();
      ASSERT_THAT(result.error().message(), HasSubstr(sample_identity().object_name));
      const auto verified = verify_container(MemorySource(damaged));
      ASSERT_FALSE(verified.has_value()) << "byte " << i;
      ASSERT_EQ(verified.error().kind(), ErrorKind::kCorrupt) << verified.error().message();
    }
  }
}

TEST_P(ContainerVariants, FindsTruncationAtEveryLengthAndBytesBehindTheEnd) {
  const std::vector<Bytes> frames{compressible_bytes(300), random_bytes(40)};
  const auto stored = make_sample(frames, options(), sample_identity(), true).stored;
  for (std::size_t size = 0; size < stored.size(); ++size) {
    const auto cut = ByteView(stored).first(size);
    const auto result = read(cut);
    ASSERT_FALSE(result.has_value()) << "size " << size;
    ASSERT_EQ(result.error().kind(), ErrorKind::kCorrupt);
    ASSERT_FALSE(verify_container(MemorySource(cut)).has_value()) << "size " << size;
  }
  auto longer = stored;
  longer.push_back(0);
  EXPECT_FALSE(read(longer).has_value());
  auto twice = stored;
  twice.insert(twice.end(), stored.begin(), stored.end());
  EXPECT_FALSE(read(twice).has_value());
}

TEST_P(ContainerVariants, RefusesSwappedFrames) {
  const std::vector<Bytes> frames{random_bytes(500, 1), random_bytes(500, 2), random_bytes(9, 3)};
  const auto sample = make_sample(frames, options(), sample_identity(), true);
  auto swapped = sample.stored;
  const auto first = swapped.begin() + static_cast<std::ptrdiff_t>(sample.frame_offsets[0]);
  const auto second = swapped.begin() + static_cast<std::ptrdiff_t>(sample.frame_offsets[1]);
  ASSERT_EQ(sample.frame_offsets[1] - sample.frame_offsets[0],
            sample.frame_offsets[2] - sample.frame_offsets[1]);
  std::swap_ranges(first, second, second);
  const auto result = read(swapped);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().kind(), ErrorKind::kCorrupt);
  EXPECT_THAT(result.error().message(), HasSubstr("frame 0"));
  EXPECT_FALSE(verify_container(MemorySource(swapped)).has_value());
}

TEST_P(ContainerVariants, OpensOnlyAsTheObjectThatWasWritten) {
  const auto stored = value_of(seal_object(sample_identity(), options(), compressible_bytes(1000)));
  std::vector<ContainerIdentity> others(5, sample_identity());
  others[0].object_name = "main/7-15/pack/a-000002";
  others[1].incarnation = "main/8-15";
  others[2].repository_id = "repo-2";
  others[3].kind = ContainerKind::kSegment;
  others[4].incarnation = "main/7-15main/7-15";  // the borders between the parts count
  others[4].object_name = "/pack/a-000001";
  for (const auto& other : others) {
    const auto result = open_object(stored, other, keyring(), 1 << 20);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().kind(), ErrorKind::kCorrupt);
    EXPECT_THAT(result.error().message(), HasSubstr("moved, or exchanged"));
    const auto scanner = ContainerScanner::open(stored, other, keyring());
    ASSERT_FALSE(scanner.has_value());
    EXPECT_EQ(scanner.error().kind(), ErrorKind::kCorrupt);
  }
}

TEST_P(ContainerVariants, StoresIncompressibleBytesRaw) {
  const auto plain = random_bytes(kFrameSize);
  const auto sample = make_sample({plain}, options(), sample_identity(), false);
  EXPECT_EQ(sample.frame_offsets[1] - sample.frame_offsets[0], kFrameSize + 36);
  const auto small =
      make_sample({compressible_bytes(kFrameSize)}, options(), sample_identity(), false);
  const auto size = small.frame_offsets[1] - small.frame_offsets[0];
  if (GetParam().compression == Compression::kNone) {
    EXPECT_EQ(size, kFrameSize + 36);
  } else {
    EXPECT_LT(size, kFrameSize / 2);
  }
}

TEST_P(ContainerVariants, KeepsPlainBytesOutOfEncryptedObjects) {
  const std::string secret = "a rather long piece of text that nobody else should ever get to see";
  const auto stored = value_of(
      seal_object(sample_identity(), options(), as_bytes(secret), as_bytes("secret metadata")));
  EXPECT_EQ(as_text(stored).find("nobody else") == std::string_view::npos, GetParam().encrypted);
  EXPECT_EQ(as_text(stored).find("secret metadata") == std::string_view::npos,
            GetParam().encrypted);
}

TEST_P(ContainerVariants, ServesSeveralThreadsFromOneReader) {
  const auto plain = compressible_bytes(20 * kFrameSize);
  const auto stored = value_of(seal_object(sample_identity(), options(), plain));
  const auto other_stored = value_of(seal_object(sample_identity("b"), options(), plain));
  const MemorySource source(stored), other_source(other_stored);
  const auto keys = keyring();
  const auto reader = value_of(ContainerReader::open(source, sample_identity(), keys));
  const auto other = value_of(ContainerReader::open(other_source, sample_identity("b"), keys));
  std::array<bool, 4> same{};
  {
    std::vector<std::jthread> threads;
    for (auto& mine : same) {
      threads.emplace_back([&] {
        mine = true;
        Bytes into;
        for (std::uint32_t i = 0; i < reader.frame_count(); ++i) {
          for (const auto* one : {&reader, &other}) {
            mine = mine && one->read_frame(i, into).has_value() &&
                   std::equal(into.begin(), into.end(), plain.begin() + i * kFrameSize);
          }
        }
      });
    }
  }
  EXPECT_THAT(same, testing::Each(true));
}

TEST(Container, RefusesFramesAndMetadataBeyondTheLimits) {
  Bytes out;
  auto writer = value_of(ContainerWriter::create(sample_identity(), {}));
  EXPECT_EQ(writer.add_frame(Bytes(kFrameSize + 1), out).error().kind(), ErrorKind::kInvalid);
  EXPECT_TRUE(out.empty());
  // A frame's number is a nonce: after an error none is given out any more.
  EXPECT_EQ(writer.add_frame(Bytes(1), out).error().kind(), ErrorKind::kInternal);
  auto another = value_of(ContainerWriter::create(sample_identity(), {}));
  EXPECT_EQ(another.add_frame({}, out).error().kind(), ErrorKind::kInvalid);
  auto third = value_of(ContainerWriter::create(sample_identity(), {}));
  EXPECT_EQ(third.finish(Bytes((32u << 20) + 1), out).error().kind(), ErrorKind::kInvalid);
}

TEST(Container, DoesWithoutPlainDigest) {
  const auto plain = compressible_bytes(100'000);
  const auto stored = value_of(seal_object(sample_identity(), {.plain_digest = false}, plain));
  const MemorySource source(stored);
  const auto reader = value_of(ContainerReader::open(source, sample_identity(), {}));
  EXPECT_EQ(reader.plain_digest(), Digest128{});
  EXPECT_EQ(value_of(reader.read_all(1 << 20)), plain);
}

TEST(Container, KeepsMetadataOfManyMegabytes) {
  const auto metadata = compressible_bytes(5'000'000);
  const auto key = sample_key();
  const auto stored = value_of(
      seal_object(sample_identity(), {.key = &key}, compressible_bytes(100'000), metadata));
  const MemorySource source(stored);
  const auto keys = sample_keyring(true);
  const auto reader = value_of(ContainerReader::open(source, sample_identity(), keys));
  EXPECT_TRUE(std::ranges::equal(reader.metadata(), metadata));
  EXPECT_EQ(value_of(reader.read_all(1 << 20)), compressible_bytes(100'000));
}

TEST(Container, RefusesToReadMoreThanItsCallerExpects) {
  const auto stored = value_of(seal_object(sample_identity(), {}, compressible_bytes(1000)));
  EXPECT_EQ(open_object(stored, sample_identity(), {}, 999).error().kind(), ErrorKind::kInvalid);
  const MemorySource source(stored);
  const auto reader = value_of(ContainerReader::open(source, sample_identity(), {}));
  Bytes into(10);
  EXPECT_EQ(reader.read_plain(991, into).error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(reader.read_plain(~0ull - 3, into).error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(reader.read_frames(0, 2, into).error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(reader.read_frames(5, 0, into).error().kind(), ErrorKind::kInvalid);
}

TEST(Container, TellsAWrongOrMissingKeyFromDamage) {
  const auto key = sample_key(3);
  const auto stored =
      value_of(seal_object(sample_identity(), {.key = &key}, compressible_bytes(1000)));
  Keyring none, other_epoch, other_secret, right;
  value_of(other_epoch.add(sample_key(2)));
  value_of(other_secret.add(sample_key(3, 8)));
  value_of(right.add(sample_key(2, 9)));
  value_of(right.add(sample_key(3)));
  EXPECT_TRUE(open_object(stored, sample_identity(), right, 1 << 20).has_value());
  for (const auto* keyring : {&none, &other_epoch, &other_secret}) {
    const auto result = open_object(stored, sample_identity(), *keyring, 1 << 20);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().kind(), ErrorKind::kDenied) << result.error().message();
    EXPECT_FALSE(result.error().hint().empty());
    const auto scanner = ContainerScanner::open(stored, sample_identity(), *keyring);
    ASSERT_FALSE(scanner.has_value());
    EXPECT_EQ(scanner.error().kind(), ErrorKind::kDenied);
  }
}

TEST(Container, RefusesUnsealedObjectsInASealedRepository) {
  const auto stored = value_of(seal_object(sample_identity(), {}, compressible_bytes(1000)));
  const auto result = open_object(stored, sample_identity(), sample_keyring(true), 1 << 20);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().kind(), ErrorKind::kDenied);
}

TEST(Container, FindsForgeriesWhoseDigestsWerePutRight) {
  const auto key = sample_key();
  const auto sample =
      make_sample({random_bytes(50), random_bytes(70, 2)}, {.key = &key}, sample_identity(), true);
  const auto table_size = 2 * container::kTableRowSize;
  const auto table_at = sample.stored.size() - container::kTrailerSize - table_size;
  const auto footer_at = sample.frame_offsets.back();
  container::HeaderBytes header;
  std::copy_n(sample.stored.begin(), header.size(), header.begin());
  for (auto i = footer_at; i < table_at + table_size; ++i) {
    auto forged = sample.stored;
    forged[i] ^= 1;
    const auto trailer = container::make_trailer(
        header, ByteView(forged).subspan(footer_at, table_at - footer_at),
        ByteView(forged).subspan(table_at, table_size), footer_at - container::kHeaderSize);
    std::ranges::copy(trailer, forged.end() - container::kTrailerSize);
    const MemorySource source(forged);
    const auto reader = ContainerReader::open(source, sample_identity(), sample_keyring(true));
    ASSERT_FALSE(reader.has_value()) << "byte " << i;
    ASSERT_EQ(reader.error().kind(), ErrorKind::kCorrupt);
  }
}

TEST(Container, NamesANewerFormat) {
  auto stored = value_of(seal_object(sample_identity(), {}, compressible_bytes(10)));
  auto* copy = stored.data() + stored.size() - 112;
  for (auto* header : {stored.data(), copy}) {
    header[8] = 2;
    store(header + 48, xxh3_64(ByteView(header, 48)));
  }
  const auto result = open_object(stored, sample_identity(), {}, 1 << 20);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(ContainerScanner::open(stored, sample_identity(), {}).error().kind(),
            ErrorKind::kInvalid);
}

TEST(Container, GivesEveryContainerAKeyOfItsOwn) {
  const auto key = sample_key();
  const auto plain = compressible_bytes(1000);
  const auto one = value_of(seal_object(sample_identity(), {.key = &key}, plain));
  const auto two = value_of(seal_object(sample_identity(), {.key = &key}, plain));
  EXPECT_NE(Bytes(one.begin() + 76, one.begin() + 116), Bytes(two.begin() + 76, two.begin() + 116));
}

}  // namespace pitr::test
