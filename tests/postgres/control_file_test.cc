#include "postgres/control_file.h"

#include <unistd.h>

#include <filesystem>

#include "postgres/crc32c.h"

namespace pitr {
namespace {

// A control file with a different value in every field, at the offsets that the compiled headers of
// each version have.
Bytes control_bytes(std::uint32_t version, std::size_t crc_offset) {
  Bytes bytes(kControlFileSizeBytes, 0);
  const auto put32 = [&](std::size_t at, std::uint32_t value) { store(&bytes[at], value); };
  const auto put64 = [&](std::size_t at, std::uint64_t value) { store(&bytes[at], value); };
  put64(0, 7'000'000'000'000'000'001);
  put32(8, version);
  put32(12, 202209061);
  put32(16, 6);
  put64(24, 1'700'000'001);
  put64(32, 0x3000060);
  put64(40, 0x3000028);
  put32(48, 3);
  put32(52, 2);
  bytes[56] = 1;
  put64(104, 1'700'000'002);
  put64(136, 0x4000000);
  put32(144, 5);
  put64(152, 0x5000000);
  put64(160, 0x6000000);
  bytes[168] = 1;
  put32(172, 1);
  bytes[176] = 1;
  put32(216, 8192);
  put32(220, 131072);
  put32(224, 8192);
  put32(228, 64 << 20);
  put32(252, 1);
  put32(crc_offset, crc32c(ByteView(bytes).first(crc_offset)));
  return bytes;
}

void reseal(Bytes& bytes) {
  store(&bytes[288], crc32c(ByteView(bytes).first(288)));
}

TEST(ControlFileTest, EveryFieldOfEveryVersionIsRead) {
  for (const auto& [version, crc_offset] :
       {std::pair{1300u, std::size_t{288}}, {1700u, 288}, {1800u, 292}}) {
    const auto parsed = parse_control_file(control_bytes(version, crc_offset));
    ASSERT_TRUE(parsed.has_value()) << version << parsed.error().message();
    EXPECT_EQ(parsed->system_identifier, 7'000'000'000'000'000'001u);
    EXPECT_EQ(parsed->control_version, version);
    EXPECT_EQ(parsed->catalog_version, 202209061u);
    EXPECT_EQ(parsed->state, ClusterState::kInProduction);
    EXPECT_EQ(parsed->modified.unix_us(), 1'700'000'001'000'000);
    EXPECT_EQ(parsed->checkpoint, Lsn(0x3000060));
    EXPECT_EQ(parsed->redo, Lsn(0x3000028));
    EXPECT_EQ(parsed->timeline, TimelineId(3));
    EXPECT_EQ(parsed->previous_timeline, TimelineId(2));
    EXPECT_TRUE(parsed->full_page_writes);
    EXPECT_EQ(parsed->checkpoint_time.unix_us(), 1'700'000'002'000'000);
    EXPECT_EQ(parsed->min_recovery_point, Lsn(0x4000000));
    EXPECT_EQ(parsed->min_recovery_timeline, TimelineId(5));
    EXPECT_EQ(parsed->backup_start_point, Lsn(0x5000000));
    EXPECT_EQ(parsed->backup_end_point, Lsn(0x6000000));
    EXPECT_TRUE(parsed->backup_end_required);
    EXPECT_EQ(parsed->wal_level, 1u);
    EXPECT_TRUE(parsed->wal_log_hints);
    EXPECT_EQ(parsed->block_size_bytes, 8192u);
    EXPECT_EQ(parsed->relation_segment_blocks, 131072u);
    EXPECT_EQ(parsed->wal_block_size_bytes, 8192u);
    EXPECT_EQ(parsed->wal_segment_size.bytes(), 64u << 20);
    EXPECT_TRUE(parsed->data_checksums());
  }
}

TEST(ControlFileTest, AnyChangedByteUnderTheChecksumIsCorrupt) {
  const auto good = control_bytes(1300, 288);
  for (std::size_t at = 0; at < 292; ++at) {
    auto bytes = good;
    bytes[at] ^= 0x40;
    const auto parsed = parse_control_file(bytes);
    ASSERT_FALSE(parsed.has_value()) << at;
    EXPECT_EQ(parsed.error().kind(), ErrorKind::kCorrupt) << at;
  }
}

TEST(ControlFileTest, OtherVersionsAreToldFromDamage) {
  EXPECT_EQ(parse_control_file(control_bytes(1201, 288)).error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(parse_control_file(control_bytes(1902, 304)).error().kind(), ErrorKind::kInvalid);
}

TEST(ControlFileTest, ImpossibleValuesAreCorruptEvenUnderARightChecksum) {
  auto bytes = control_bytes(1300, 288);
  store<std::uint32_t>(&bytes[228], 12345);
  reseal(bytes);
  EXPECT_EQ(parse_control_file(bytes).error().kind(), ErrorKind::kCorrupt);
  bytes = control_bytes(1300, 288);
  store<std::uint32_t>(&bytes[16], 7);
  reseal(bytes);
  EXPECT_EQ(parse_control_file(bytes).error().kind(), ErrorKind::kCorrupt);
  for (const std::size_t size : {0u, 8u, 292u, 307u}) {
    EXPECT_EQ(parse_control_file(ByteView(bytes).first(size)).error().kind(), ErrorKind::kCorrupt);
  }
}

TEST(ControlFileTest, AFileThatStaysDamagedIsReportedWithItsPath) {
  const Path directory = Path(::testing::TempDir()) / ("control" + std::to_string(::getpid()));
  std::filesystem::create_directories(directory / "global");
  auto bytes = control_bytes(1800, 292);
  ASSERT_TRUE(write_file_durably(directory / "global/pg_control", bytes).has_value());
  const auto image = read_control_file_image(directory);
  ASSERT_TRUE(image.has_value());
  EXPECT_EQ(image->bytes, bytes);
  bytes[40] ^= 1;
  ASSERT_TRUE(write_file_durably(directory / "global/pg_control", bytes).has_value());
  const auto damaged = read_control_file(directory);
  ASSERT_FALSE(damaged.has_value());
  EXPECT_EQ(damaged.error().kind(), ErrorKind::kCorrupt);
  EXPECT_THAT(damaged.error().message(), ::testing::HasSubstr("global/pg_control"));
  std::filesystem::remove_all(directory);
  EXPECT_EQ(read_control_file(directory).error().kind(), ErrorKind::kNotFound);
}

}  // namespace
}  // namespace pitr
