#include <fcntl.h>

#include "restore/files/target_directory.h"
#include "support/must.h"
#include "support/temporary_directory.h"

namespace pitr::test {
namespace {

FileRow file(std::string path, std::uint64_t size_bytes) {
  return {std::move(path), FileType::kFile, 0600, size_bytes, Timestamp::from_unix_us(1), ""};
}

TEST(DiskSpaceTest, WhatCannotFitIsRefusedBeforeAnythingIsTouched) {
  const auto home = must(TemporaryDirectory::create());
  const Path target = home / "not" / "there";
  EXPECT_TRUE(check_disk_space(target, {}, {file("base/1/2", 8192)}));
  const auto refused = check_disk_space(target, {}, {file("base/1/2", 1ull << 50)});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kInvalid);
  EXPECT_THAT(refused.error().message(), testing::HasSubstr("1048576.00 GiB"));
  EXPECT_THAT(refused.error().hint(), testing::HasSubstr("--target-dir"));
  EXPECT_FALSE(std::filesystem::exists(home / "not"));
}

TEST(DiskSpaceTest, EachFileSystemIsAskedForWhatGoesThere) {
  const auto home = must(TemporaryDirectory::create());
  const TablespacePlace place{16384, "/srv/space", home / "space"};
  const auto name = "pg_tblspc/16384/PG_15_202209061/5/16385";
  EXPECT_TRUE(check_disk_space(home / "data", {place}, {file(name, 8192)}));
  EXPECT_FALSE(check_disk_space(home / "data", {place}, {file(name, 1ull << 50)}));
}

// A rewrite needs room for what it adds only.
TEST(DiskSpaceTest, WhatIsThereIsGivenBack) {
  const auto home = must(TemporaryDirectory::create());
  const auto space = std::filesystem::space(home.path());
  auto taken = must(File::open(home / "present", O_WRONLY | O_CREAT));
  const std::uint64_t present_bytes = 1ull << 30;
  ASSERT_EQ(::posix_fallocate(taken.fd(), 0, present_bytes), 0);
  // All that is free now and half of what the file has: others may write here meanwhile.
  const auto wanted = space.available - present_bytes + present_bytes / 2;
  EXPECT_TRUE(check_disk_space(home.path(), {}, {file("new", wanted)}));
}

}  // namespace
}  // namespace pitr::test
