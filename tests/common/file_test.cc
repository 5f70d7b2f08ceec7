#include "common/file.h"

#include <fcntl.h>

#include "common/clock.h"

namespace pitr {
namespace {

TEST(FileTest, ADurableWriteReplacesTheWholeFile) {
  const Path directory = Path(testing::TempDir()) / "pitr-file-test" / "a" / "b";
  ASSERT_TRUE(create_directories_durably(directory));
  ASSERT_TRUE(write_file_durably(directory / "f", as_bytes("long first version")));
  ASSERT_TRUE(write_file_durably(directory / "f", as_bytes("second")));
  EXPECT_EQ(read_text_file(directory / "f").value(), "second");
  std::filesystem::remove_all(directory.parent_path().parent_path());
}

TEST(FileTest, ErrorsNameTheFileAndTheirKind) {
  const auto missing = read_file("/nonexistent/file");
  EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
  EXPECT_NE(missing.error().message().find("/nonexistent/file"), std::string::npos);
}

TEST(ClockTest, TimestampsPrintInUtcWithMicroseconds) {
  EXPECT_EQ(to_string(Timestamp::from_postgres_us(1)), "2000-01-01 00:00:00.000001+00");
  EXPECT_EQ(to_string(Timestamp::from_unix_us(-1)), "1969-12-31 23:59:59.999999+00");
  EXPECT_EQ(to_compact_string(Timestamp::from_unix_us(0)), "19700101T000000Z");
}

}  // namespace
}  // namespace pitr
