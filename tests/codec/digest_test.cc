#include "codec/digest.h"

#include <gtest/gtest.h>

#include "codec/container_samples.h"

namespace pitr::test {

TEST(Digest, GivesTheValuesOfTheStandards) {
  // FIPS 180-2, appendix B.1; xxhsum -H3 and -H2 of the empty input.
  EXPECT_EQ(to_hex(sha256(as_bytes("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(xxh3_64({}), 0x2D06800538D394C2u);
  EXPECT_EQ(to_hex(xxh3_128({})), "99aa06d3014798d86001c324468d497f");
}

TEST(Digest, StreamsToTheSameValuesInAnyPieces) {
  const auto bytes = random_bytes(300'000);
  for (const std::size_t piece : {1ul, 63ul, 1000ul, 65536ul, 300'000ul}) {
    Xxh3Stream xxh3;
    Sha256Stream sha;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      const auto part = ByteView(bytes).subspan(at, std::min(piece, bytes.size() - at));
      xxh3.update(part);
      sha.update(part);
      if (at == 0) {
        EXPECT_EQ(xxh3.digest(), xxh3_128(part));
      }
    }
    EXPECT_EQ(xxh3.digest(), xxh3_128(bytes));
    EXPECT_EQ(sha.finish(), sha256(bytes));
    EXPECT_EQ(sha.finish(), sha256({}));
  }
}

TEST(Digest, DependsOnTheSeed) {
  const auto bytes = as_bytes("seeded");
  EXPECT_EQ(xxh3_64(bytes, 0), xxh3_64(bytes));
  EXPECT_NE(xxh3_64(bytes, 1), xxh3_64(bytes, 2));
}

}  // namespace pitr::test
