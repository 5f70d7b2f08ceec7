#include "walreceiver/watermark_probe.h"

#include <gtest/gtest.h>

namespace pitr::test {
namespace {

TEST(WatermarkProbe, APagesHeaderIsNotWaitedFor) {
  const SegmentSize size;
  const auto shown = [&](std::uint64_t lsn) { return without_page_header(Lsn(lsn), size).value(); };
  // The first page of a segment has a header of 40 bytes, the others of 24.
  EXPECT_EQ(shown(0x4000000), 0x4000000u);
  EXPECT_EQ(shown(0x4000028), 0x4000000u);
  EXPECT_EQ(shown(0x4000030), 0x4000030u);
  EXPECT_EQ(shown(0x4002000), 0x4002000u);
  EXPECT_EQ(shown(0x4002018), 0x4002000u);
  EXPECT_EQ(shown(0x4002020), 0x4002020u);
  EXPECT_EQ(shown(0x4003FF8), 0x4003FF8u);
}

}  // namespace
}  // namespace pitr::test
