#include "codec/secret_source.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include "codec/digest.h"

namespace pitr {
namespace {

using Kind = SecretSource::Kind;

// RFC 4231, test cases 1, 2 and 6.
TEST(Hmac, KnownVectors) {
  const auto hmac = [](const std::string& key, std::string_view text) {
    return to_hex(hmac_sha256(as_bytes(key), as_bytes(text)));
  };
  EXPECT_EQ(hmac(std::string(20, '\x0b'), "Hi There"),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hmac("Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(
      hmac(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First"),
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(SecretSource, ReadsFileEnvironmentAndCommand) {
  const auto file = testing::TempDir() + "pitr-secret-source";
  std::ofstream(file) << "  open sesame\n";
  std::filesystem::permissions(file, std::filesystem::perms(0600));
  EXPECT_EQ(read_secret({Kind::kFile, file}, "secret")->text(), "open sesame");
  std::filesystem::permissions(file, std::filesystem::perms(0644));
  const auto open = read_secret({Kind::kFile, file}, "secret");
  ASSERT_FALSE(open);
  EXPECT_THAT(open.error().message(), testing::HasSubstr("everybody may read"));
  std::filesystem::remove(file);
  EXPECT_EQ(read_secret({Kind::kFile, file}, "secret").error().kind(), ErrorKind::kDenied);

  ::setenv("PITR_TEST_SECRET", "from here", 1);
  EXPECT_EQ(read_secret({Kind::kEnvironment, "PITR_TEST_SECRET"}, "secret")->text(), "from here");
  ::unsetenv("PITR_TEST_SECRET");
  EXPECT_FALSE(read_secret({Kind::kEnvironment, "PITR_TEST_SECRET"}, "secret"));

  EXPECT_EQ(read_secret({Kind::kCommand, "echo a word"}, "secret")->text(), "a word");
  EXPECT_EQ(read_secret({Kind::kCommand, "true"}, "secret").error().kind(), ErrorKind::kInvalid);
}

TEST(SecretSource, MessagesHoldNoSecret) {
  const auto failed = read_secret({Kind::kCommand, "echo hush; exit 4 # token=hush"}, "password");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message(), "there is no password: the password command exits with 4");
  EXPECT_EQ(failed.error().hint().find("hush"), std::string::npos);
  EXPECT_EQ(
      read_secret({Kind::kCommand, "exec sleep 1000"}, "password", Seconds(0)).error().message(),
      "the password command takes too long");
}

TEST(SecretSource, ACommandThatClosesItsOutputAndStaysIsNotWaitedFor) {
  const SecretSource lingering{Kind::kCommand, "echo hush; exec >&-; sleep 1000"};
  EXPECT_EQ(read_secret(lingering, "password", Seconds(1)).error().message(),
            "the password command takes too long");
  std::stop_source stop;
  std::jthread stopping([&] {
    std::this_thread::sleep_for(Milliseconds(100));
    stop.request_stop();
  });
  EXPECT_EQ(read_secret(lingering, "password", Seconds(1000), stop.get_token()).error().kind(),
            ErrorKind::kCancelled);
}

}  // namespace
}  // namespace pitr
