// The key file while it is exchanged: whenever that stops, a file opens the repository, and the
// next exchange goes on.
#include "agent/key_file.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <random>
#include <thread>

#include "agent/pitr_site.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;

class KeyFileTest : public testing::Test {
 protected:
  KeyFileTest() { must(read_or_create_key_file(file_)); }
  static std::string id_in(const Path& file) { return must(read_key_file(file)).id(); }
  static unsigned mode_of(const Path& file) {
    struct stat status{};
    if (::stat(file.c_str(), &status) != 0) throw std::runtime_error("no " + file.native());
    return status.st_mode & 07777;
  }
  Path beside(const std::string& suffix) const { return file_.native() + "." + suffix; }
  // Every FILE.<id> holds the key that its name says.
  void check_kept_files() const {
    for (const auto& entry : std::filesystem::directory_iterator(home_.path())) {
      const auto name = entry.path().filename().native();
      const auto suffix = name.substr(name.rfind('.') + 1);
      if (name == "pitr.key" || suffix == "new" || suffix == "tmp") continue;
      EXPECT_EQ(id_in(entry.path()), suffix);
    }
  }

  TemporaryDirectory home_ = must(TemporaryDirectory::create());
  Path file_ = home_ / "pitr.key";
};

TEST_F(KeyFileTest, AKeyIsMadeOnceAndForItsOwnerOnly) {
  EXPECT_EQ(mode_of(file_), 0600u);
  const auto id = id_in(file_);
  EXPECT_EQ(must(read_or_create_key_file(file_)).id(), id);
  write_text(file_, "not a key");
  EXPECT_FALSE(read_or_create_key_file(file_));
  EXPECT_EQ(must(read_text_file(file_)), "not a key");
}

TEST_F(KeyFileTest, OfTwoThatMakeItBothGetTheSameKey) {
  const auto file = home_ / "other.key";
  std::vector<pid_t> children;
  for (int i = 0; i < 20; ++i) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    const auto key = read_or_create_key_file(file);
    ::_exit(key && key->id() == id_in(file) ? 0 : 1);
  }
  for (const auto child : children) {
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(mode_of(file), 0600u);
  for (const auto& entry : std::filesystem::directory_iterator(home_.path())) {
    EXPECT_TRUE(entry.path() == file || entry.path() == file_) << entry.path();
  }
}

TEST_F(KeyFileTest, TheNewKeyTakesThePlaceOfTheOldOneWhichIsKept) {
  std::filesystem::permissions(file_, std::filesystem::perms(0640));
  const auto old_id = id_in(file_);
  auto exchange = must(KeyFileExchange::start(file_));
  EXPECT_EQ(exchange.old_key().id(), old_id);
  EXPECT_NE(exchange.new_key().id(), old_id);
  EXPECT_EQ(id_in(file_), old_id) << "before it is finished";
  must(exchange.finish());
  EXPECT_EQ(id_in(file_), exchange.new_key().id());
  EXPECT_EQ(mode_of(file_), 0640u);
  EXPECT_EQ(exchange.kept_file(), beside(old_id));
  EXPECT_EQ(id_in(beside(old_id)), old_id);
  EXPECT_EQ(mode_of(beside(old_id)), 0600u);
  EXPECT_FALSE(std::filesystem::exists(beside("new")));
}

// The repository may know the new key already.
TEST_F(KeyFileTest, AnInterruptedExchangeGoesOnWithTheKeyThatItMade) {
  const auto old_id = id_in(file_);
  const auto made = must(KeyFileExchange::start(file_)).new_key().id();
  EXPECT_EQ(must(KeyFileExchange::start(file_)).new_key().id(), made);
  // As far as it comes before the new key is put in place.
  std::filesystem::copy_file(file_, beside(old_id));
  auto exchange = must(KeyFileExchange::start(file_));
  EXPECT_EQ(exchange.new_key().id(), made);
  must(exchange.finish());
  EXPECT_EQ(id_in(file_), made);
  EXPECT_EQ(id_in(beside(old_id)), old_id);
}

TEST_F(KeyFileTest, WhatIsNoKeyInItsPlaceIsLeftThere) {
  const auto old_id = id_in(file_);
  write_text(beside("new"), "half a k");
  std::filesystem::permissions(beside("new"), std::filesystem::perms(0600));
  const auto refused = KeyFileExchange::start(file_);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr(beside("new").native()));
  EXPECT_EQ(must(read_text_file(beside("new"))), "half a k");
  EXPECT_EQ(id_in(file_), old_id);
}

TEST_F(KeyFileTest, OneExchangesAtATime) {
  auto first = std::optional(must(KeyFileExchange::start(file_)));
  const auto second = KeyFileExchange::start(file_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kConflict);
  EXPECT_FALSE(second.error().hint().empty());
  must(first->finish());
  first.reset();
  EXPECT_TRUE(KeyFileExchange::start(file_));
}

TEST_F(KeyFileTest, ALinkStaysALink) {
  const Path link = home_ / "link";
  std::filesystem::create_symlink(file_, link);
  const auto old_id = id_in(file_);
  auto exchange = must(KeyFileExchange::start(link));
  must(exchange.finish());
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_EQ(id_in(link), exchange.new_key().id());
  EXPECT_EQ(id_in(beside(old_id)), old_id);
}

// Killed at random moments, PITR_KILLS_SEED repeats them.
class KilledExchanges : public KeyFileTest {
 protected:
  // A process that exchanges keys until it is killed.
  void kill_one_after(Microseconds time) const {
    const auto child = ::fork();
    if (child == 0) exchange_for_ever();
    std::this_thread::sleep_for(time);
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "an exchange failed: " << status;
  }
  [[noreturn]] void exchange_for_ever() const {
    while (true) {
      auto exchange = KeyFileExchange::start(file_);
      if (!exchange || !exchange->finish()) ::_exit(1);
    }
  }
};

TEST_F(KilledExchanges, LeaveAWholeKeyAndAllThatWereBefore) {
  const char* given = std::getenv("PITR_KILLS_SEED");
  const auto seed = given ? std::strtoull(given, nullptr, 10) : std::random_device()();
  SCOPED_TRACE(fmt::format("PITR_KILLS_SEED={}", seed));
  std::mt19937_64 random(seed);
  std::filesystem::permissions(file_, std::filesystem::perms(0640));
  int exchanged = 0;
  int interrupted = 0;
  for (int kill = 0; kill < 60; ++kill) {
    SCOPED_TRACE(fmt::format("kill {}", kill));
    const auto before = id_in(file_);
    kill_one_after(Microseconds(random() % 15'000));
    if (HasFatalFailure()) return;
    const auto now = id_in(file_);
    EXPECT_EQ(mode_of(file_), 0640u);
    if (now != before) {
      EXPECT_EQ(id_in(beside(before)), before);
      ++exchanged;
    }
    check_kept_files();
    if (!std::filesystem::exists(beside("new"))) continue;
    EXPECT_EQ(must(KeyFileExchange::start(file_)).new_key().id(), id_in(beside("new")));
    ++interrupted;
  }
  EXPECT_GT(exchanged, 0);
  EXPECT_GT(interrupted, 0);
}

}  // namespace
}  // namespace pitr::test
