#include "storage/local/local_storage.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "storage/conformance.h"

namespace pitr {
namespace {

class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const std::string& parent = testing::TempDir()) {
    std::string pattern = parent + "/pitr-local-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const Path& path() const { return path_; }

 private:
  Path path_;
};

// What the suite asks doesn't depend on the disk, so thousands of fsyncs needn't wait for one.
std::string fast_directory() {
  return ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : testing::TempDir();
}

class LocalUnderTest final : public StorageUnderTest {
 public:
  LocalUnderTest() : storage_(LocalStorage::create(directory_.path() / "r", clock_).value()) {}
  Storage& storage() override { return *storage_; }

 private:
  SystemClock clock_;
  TemporaryDirectory directory_{fast_directory()};
  std::unique_ptr<LocalStorage> storage_;
};

INSTANTIATE_TEST_SUITE_P(Local, StorageConformanceTest,
                         testing::Values(StorageFactory{
                             "Local", [] { return std::make_unique<LocalUnderTest>(); }}),
                         factory_name);

class LocalStorageTest : public testing::Test {
 protected:
  std::size_t files_in(const Path& directory) const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      count += entry.is_regular_file() ? 1 : 0;
    }
    return count;
  }

  SystemClock clock_;
  TemporaryDirectory directory_;
  Path root_ = directory_.path() / "repository";
};

TEST_F(LocalStorageTest, AMissingOrEmptyDirectoryIsNotOpened) {
  const auto missing = LocalStorage::open(root_, clock_);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::kInvalid);
  EXPECT_NE(missing.error().hint().find("mounted"), std::string::npos);
  std::filesystem::create_directory(root_);
  EXPECT_EQ(LocalStorage::open(root_, clock_).error().kind(), ErrorKind::kInvalid);
  ASSERT_TRUE(LocalStorage::create(root_, clock_));
  EXPECT_TRUE(LocalStorage::open(root_, clock_));
  EXPECT_TRUE(LocalStorage::create(root_, clock_));
}

TEST_F(LocalStorageTest, ObjectsAreFilesOfTheirNamesAndNothingElseIsLeft) {
  auto storage = LocalStorage::create(root_, clock_).value();
  ASSERT_TRUE(storage->put(key("a/b/c"), as_bytes("x")));
  ASSERT_TRUE(storage->put_if_absent(key("a/b/d"), as_bytes("x")));
  EXPECT_FALSE(storage->put_if_absent(key("a/b/d"), as_bytes("x")));
  EXPECT_EQ(read_text_file(root_ / "a/b/c").value(), "x");
  EXPECT_EQ(files_in(root_ / ".pitr-tmp"), 0u);
}

TEST_F(LocalStorageTest, ForeignFilesAreNotListed) {
  auto storage = LocalStorage::create(root_, clock_).value();
  ASSERT_TRUE(storage->put(key("a"), {}));
  std::filesystem::create_directories(root_ / "lost+found" / "x");
  ASSERT_TRUE(write_file_durably(root_ / "lost+found" / "x" / "y", {}));
  ASSERT_TRUE(write_file_durably(root_ / ".hidden", {}));
  ASSERT_TRUE(write_file_durably(root_ / "with space", {}));
  ASSERT_EQ(::mkfifo((root_ / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(listed_keys(*storage, ""), std::vector<std::string>{"a"});
  EXPECT_EQ(storage->get(key("fifo"), 1).error().kind(), ErrorKind::kNotFound);
}

TEST_F(LocalStorageTest, OldTemporaryFilesAreRemovedOnOpenAndYoungOnesKept) {
  (void)LocalStorage::create(root_, clock_).value();
  ASSERT_TRUE(write_file_durably(root_ / ".pitr-tmp" / "old", {}));
  ASSERT_TRUE(write_file_durably(root_ / ".pitr-tmp" / "young", {}));
  const auto age = [&](const char* name, std::chrono::hours hours) {
    std::filesystem::last_write_time(root_ / ".pitr-tmp" / name,
                                     std::filesystem::file_time_type::clock::now() - hours);
  };
  age("old", std::chrono::hours(25));
  age("young", std::chrono::hours(23));
  (void)LocalStorage::open(root_, clock_).value();
  EXPECT_FALSE(std::filesystem::exists(root_ / ".pitr-tmp" / "old"));
  EXPECT_TRUE(std::filesystem::exists(root_ / ".pitr-tmp" / "young"));
}

// A slow upload: its file is open, and nothing was written to it for more than a day.
TEST_F(LocalStorageTest, ATemporaryFileThatIsOpenIsKeptHoweverOldItIs) {
  auto storage = LocalStorage::create(root_, clock_).value();
  auto upload = storage->start_upload(key("a/slow")).value();
  ASSERT_TRUE(upload->write(as_bytes("first ")));
  for (const auto& entry : std::filesystem::directory_iterator(root_ / ".pitr-tmp")) {
    std::filesystem::last_write_time(
        entry, std::filesystem::file_time_type::clock::now() - std::chrono::hours(48));
  }
  (void)LocalStorage::open(root_, clock_).value();
  EXPECT_EQ(files_in(root_ / ".pitr-tmp"), 1u);
  ASSERT_TRUE(upload->write(as_bytes("second")));
  ASSERT_TRUE(upload->commit());
  EXPECT_EQ(as_text(storage->get(key("a/slow"), 100).value()), "first second");
}

TEST_F(LocalStorageTest, AnEntryThatCantBeLookedAtEndsAListing) {
  auto storage = LocalStorage::create(root_, clock_).value();
  ASSERT_TRUE(storage->put(key("a/object"), {}));
  std::filesystem::create_symlink("nowhere", root_ / "a" / "gone");  // as if it had vanished
  EXPECT_EQ(listed_keys(*storage, ""), std::vector<std::string>{"a/object"});
  std::filesystem::create_symlink("loop", root_ / "a" / "loop");
  const auto listed = storage->list("", "");
  ASSERT_FALSE(listed);
  EXPECT_TRUE(listed.error().message().contains("a/loop")) << listed.error().message();
}

TEST_F(LocalStorageTest, AnObjectWhereADirectoryIsNeededIsRefused) {
  auto storage = LocalStorage::create(root_, clock_).value();
  ASSERT_TRUE(storage->put(key("a"), as_bytes("x")));
  EXPECT_EQ(storage->put(key("a/b"), as_bytes("x")).error().kind(), ErrorKind::kInvalid);
  ASSERT_TRUE(storage->put(key("c/d"), as_bytes("x")));
  EXPECT_EQ(storage->put(key("c"), as_bytes("x")).error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(files_in(root_ / ".pitr-tmp"), 0u);
}

TEST_F(LocalStorageTest, DirectoriesRemovedByOthersAreMadeAnewAfterOneError) {
  auto storage = LocalStorage::create(root_, clock_).value();
  ASSERT_TRUE(storage->put(key("a/b/c"), as_bytes("x")));
  std::filesystem::remove_all(root_ / "a");
  EXPECT_EQ(storage->put(key("a/b/c"), as_bytes("x")).error().kind(), ErrorKind::kTransient);
  EXPECT_TRUE(storage->put(key("a/b/c"), as_bytes("x")));
}

// In one process and in several, all for the first time.
TEST_F(LocalStorageTest, DirectoriesCanBeMadeByManyAtOnce) {
  for (int round = 0; round < 30; ++round) {
    const auto one = LocalStorage::create(root_, clock_).value();
    const auto other = LocalStorage::create(root_, clock_).value();
    std::vector<std::jthread> threads;
    for (int i = 0; i < 6; ++i) {
      threads.emplace_back([&, i] {
        auto& storage = i % 2 == 0 ? *one : *other;
        const auto name = key(fmt::format("{}/b/c/{}", round, i));
        auto put = storage.put(name, as_bytes("x"));
        // Processes may get into each other's way, which is told, and not for long.
        for (int again = 0; again < 5 && !put; ++again) {
          EXPECT_EQ(put.error().kind(), ErrorKind::kTransient);
          put = storage.put(name, as_bytes("x"));
        }
        EXPECT_TRUE(put) << put.error().message();
      });
    }
    threads.clear();
    EXPECT_EQ(listed_keys(*one, fmt::format("{}/", round)).size(), 6u);
  }
}

TEST_F(LocalStorageTest, TheDirectoryThatWasOpenedIsKeptWhateverIsPutInItsPlace) {
  auto storage = LocalStorage::create(root_, clock_).value();
  ASSERT_TRUE(storage->put(key("a"), as_bytes("x")));
  std::filesystem::rename(root_, directory_.path() / "moved");
  std::filesystem::create_directory(root_);
  EXPECT_TRUE(storage->get(key("a"), 9));
}

TEST_F(LocalStorageTest, FreeBytesAreKnown) {
  auto storage = LocalStorage::create(root_, clock_).value();
  const auto space = std::filesystem::space(root_);
  EXPECT_NEAR(static_cast<double>(storage->free_bytes().value().value()),
              static_cast<double>(space.available), 1e9);
}

class RootsStorageTest : public LocalStorageTest {};

TEST_F(RootsStorageTest, WhatRootLeavesBelongsToTheOwnerOfTheRepository) {
  if (::geteuid() != 0) GTEST_SKIP() << "not root";
  constexpr uid_t kUser = 12345;
  constexpr gid_t kGroup = 54321;
  {
    auto storage = LocalStorage::create(root_, clock_).value();
  }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root_)) {
    ASSERT_EQ(::chown(entry.path().c_str(), kUser, kGroup), 0);
  }
  ASSERT_EQ(::chown(root_.c_str(), kUser, kGroup), 0);
  auto storage = LocalStorage::open(root_, clock_).value();
  ASSERT_TRUE(storage->put(key("lease/a"), as_bytes("x")));
  ASSERT_TRUE(storage->put_if_absent(key("timeline/b"), as_bytes("x")));
  auto appender = storage->start_append(key("audit/c/d")).value();
  ASSERT_TRUE(appender->append(as_bytes("x")));
  int entries = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root_)) {
    struct stat status{};
    ASSERT_EQ(::lstat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, kUser) << entry.path();
    EXPECT_EQ(status.st_gid, kGroup) << entry.path();
    ++entries;
  }
  EXPECT_GE(entries, 7);
}

// Mounts are root's; elsewhere the simulated file system's tests say the same.
class MountedDirectoryTest : public LocalStorageTest {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(root_);
    // In a mount namespace of its own: a crashed test leaves no mount behind.
    const bool can_mount = ::unshare(CLONE_NEWNS) == 0 &&
                           ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                           ::mount("none", root_.c_str(), "tmpfs", 0, "size=1m") == 0;
    if (!can_mount) {
      GTEST_SKIP() << "cannot mount";
    }
    is_mounted_ = true;
  }
  void TearDown() override {
    if (is_mounted_) ::umount2(root_.c_str(), MNT_DETACH);
  }

  bool is_mounted_ = false;
};

TEST_F(MountedDirectoryTest, AFullDiskIsATransientErrorWithAHint) {
  auto storage = LocalStorage::create(root_, clock_).value();
  ASSERT_TRUE(storage->put(key("small"), as_bytes("x")));
  const auto full = storage->put(key("large"), Bytes(2 << 20));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind(), ErrorKind::kTransient);
  EXPECT_NE(full.error().message().find("No space left"), std::string::npos);
  EXPECT_NE(full.error().message().find(root_.native()), std::string::npos);
  EXPECT_NE(full.error().hint().find("free space"), std::string::npos);
  // Nothing of it is left, so that what fits can be written.
  EXPECT_EQ(listed_keys(*storage, ""), std::vector<std::string>{"small"});
  EXPECT_TRUE(storage->put(key("fits"), Bytes(900'000)));

  auto appender = storage->start_append(key("tail")).value();
  Result<void> appended;
  std::uint64_t acknowledged_bytes = 0;
  while ((appended = appender->append(Bytes(10'000)))) acknowledged_bytes += 10'000;
  EXPECT_EQ(appended.error().kind(), ErrorKind::kTransient);
  EXPECT_EQ(storage->stat(key("tail"))->size_bytes, acknowledged_bytes);
}

TEST_F(MountedDirectoryTest, AReadOnlyFileSystemCanBeReadAndRefusesTheRest) {
  {
    auto storage = LocalStorage::create(root_, clock_).value();
    ASSERT_TRUE(storage->put(key("a/b"), as_bytes("x")));
  }
  ASSERT_EQ(::mount("none", root_.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr), 0);
  auto storage = LocalStorage::open(root_, clock_).value();
  EXPECT_EQ(storage->get(key("a/b"), 9).value(), bytes_of("x"));
  EXPECT_EQ(listed_keys(*storage, ""), std::vector<std::string>{"a/b"});
  for (const auto& refused : {storage->put(key("a/c"), as_bytes("x")), storage->remove(key("a/b")),
                              storage->put_if_absent(key("d/e"), as_bytes("x"))}) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kDenied);
    EXPECT_NE(refused.error().message().find(root_.native()), std::string::npos);
    EXPECT_NE(refused.error().hint().find("mount it for writing"), std::string::npos);
  }
  EXPECT_EQ(storage->start_append(key("a/t")).error().kind(), ErrorKind::kDenied);
}

}  // namespace
}  // namespace pitr
