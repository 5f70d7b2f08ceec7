#include "codec/keyring.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include "codec/aes_gcm.h"
#include "codec/container_samples.h"

namespace pitr::test {

using testing::HasSubstr;

static const std::string kHexKey =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
static const std::string kBase64Key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

TEST(Keys, AreReadAsHexadecimalAndBase64) {
  const auto key = value_of(KeyEncryptionKey::parse(kHexKey));
  for (const auto& text :
       {kBase64Key, kBase64Key.substr(0, 43), "  " + kBase64Key + "\r\n", kHexKey + "\n"}) {
    EXPECT_EQ(value_of(KeyEncryptionKey::parse(text)).id(), key.id()) << text;
  }
  EXPECT_EQ(key.to_text(), kBase64Key + "\n");
  // The first 8 bytes of SHA-256("pitr kek id" || key), computed with sha256sum.
  EXPECT_EQ(key.id(), "c30630ef328dbe54");
}

TEST(Keys, RefuseTextThatIsNoKeyWithoutShowingIt) {
  for (const std::string text :
       {"", "   ", "hunter2", "0001", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh==",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8!",
        "g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f00"}) {
    const auto key = KeyEncryptionKey::parse(text);
    ASSERT_FALSE(key.has_value()) << text;
    EXPECT_EQ(key.error().kind(), ErrorKind::kInvalid);
    if (text.size() > 5) {
      EXPECT_EQ(key.error().message().find(text), std::string::npos);
    }
    EXPECT_FALSE(key.error().hint().empty());
  }
}

TEST(Keys, AreRandomWhenGenerated) {
  const auto one = value_of(KeyEncryptionKey::generate());
  const auto two = value_of(KeyEncryptionKey::generate());
  EXPECT_NE(one.id(), two.id());
  EXPECT_EQ(value_of(KeyEncryptionKey::parse(one.to_text())).id(), one.id());
}

TEST(WrappedDataKey, ComesBackWithTheSameKeyOnly) {
  const auto kek = value_of(KeyEncryptionKey::generate());
  const auto other = value_of(KeyEncryptionKey::generate());
  const auto wrapped = value_of(kek.wrap(sample_key(5), "repo"));
  EXPECT_EQ(wrapped.size(), 92u);
  const auto key = value_of(kek.unwrap(wrapped, "repo"));
  EXPECT_EQ(key.epoch, 5u);
  EXPECT_TRUE(std::ranges::equal(key.secret.bytes(), sample_key().secret.bytes()));

  const auto refused = other.unwrap(wrapped, "repo");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind(), ErrorKind::kDenied);
  EXPECT_THAT(refused.error().message(), HasSubstr(kek.id()));
  EXPECT_THAT(refused.error().message(), HasSubstr(other.id()));
  EXPECT_FALSE(refused.error().hint().empty());
}

TEST(WrappedDataKey, BelongsToOneRepository) {
  const auto kek = value_of(KeyEncryptionKey::generate());
  const auto wrapped = value_of(kek.wrap(sample_key(), "repo"));
  EXPECT_EQ(kek.unwrap(wrapped, "repo2").error().kind(), ErrorKind::kCorrupt);
}

TEST(WrappedDataKey, IsCorruptWithAnyByteFlippedOrCut) {
  const auto kek = value_of(KeyEncryptionKey::generate());
  const auto wrapped = value_of(kek.wrap(sample_key(), "repo"));
  for (std::size_t i = 0; i < wrapped.size(); ++i) {
    auto damaged = wrapped;
    damaged[i] ^= 1;
    ASSERT_FALSE(kek.unwrap(damaged, "repo").has_value()) << i;
    ASSERT_EQ(kek.unwrap(damaged, "repo").error().kind(), ErrorKind::kCorrupt) << i;
    ASSERT_EQ(kek.unwrap(ByteView(wrapped).first(i), "repo").error().kind(), ErrorKind::kCorrupt);
    // The same by somebody who puts the checksum right.
    store(damaged.data() + 84, xxh3_64(ByteView(damaged).first(84)));
    if (i < 84) {
      ASSERT_FALSE(kek.unwrap(damaged, "repo").has_value()) << i;
    }
  }
}

TEST(KeyringOfARepository, SealsWithTheNewestAndKeepsTheOld) {
  Keyring keyring;
  EXPECT_TRUE(keyring.empty());
  EXPECT_EQ(keyring.newest(), nullptr);
  EXPECT_TRUE(value_of(keyring.add(sample_key(2, 20))));
  EXPECT_TRUE(value_of(keyring.add(sample_key(1, 10))));
  EXPECT_EQ(keyring.newest()->epoch, 2u);
  EXPECT_EQ(keyring.find(1)->secret.bytes()[0], 10);
  EXPECT_EQ(keyring.find(3), nullptr);
}

TEST(KeyringOfARepository, NeverExchangesAKey) {
  Keyring keyring;
  value_of(keyring.add(sample_key(1, 10)));
  const auto* key = keyring.find(1);
  EXPECT_FALSE(value_of(keyring.add(sample_key(1, 10))));
  const auto other = keyring.add(sample_key(1, 11));
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(keyring.find(1), key);
  EXPECT_EQ(key->secret.bytes()[0], 10);
}

TEST(KeyringOfARepository, GrowsWhileOthersUseIt) {
  Keyring keyring;
  value_of(keyring.add(sample_key(1, 1)));
  const auto* first = keyring.find(1);
  std::atomic<bool> failed = false;
  const auto use = [&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const auto* newest = keyring.newest();
      // Each key is filled with its epoch's number.
      if (newest->secret.bytes()[31] != newest->epoch || keyring.find(1) != first) failed = true;
    }
  };
  {
    const std::jthread one(use), two(use);
    for (std::uint8_t epoch = 2; epoch < 200; ++epoch)
      value_of(keyring.add(sample_key(epoch, epoch)));
  }
  EXPECT_FALSE(failed);
  EXPECT_EQ(keyring.epochs().size(), 199u);
}

TEST(WrappedDataKey, SaysWhenTheKeyWasMade) {
  const auto kek = value_of(KeyEncryptionKey::generate());
  for (const std::uint32_t day : {0u, 1u, 0x123456u, 0xFFFFFFu}) {
    auto key = sample_key(3);
    key.made_day = day;
    const auto wrapped = value_of(kek.wrap(key, "repo"));
    EXPECT_EQ(value_of(kek.unwrap(wrapped, "repo")).made_day, day);
    const auto header = value_of(read_keyring_object(wrapped));
    EXPECT_EQ(header.made_day, day);
    EXPECT_EQ(header.epoch, 3u);
    EXPECT_EQ(header.kek_id, kek.id());
    EXPECT_EQ(wrapped[9], day & 0xFF);
    EXPECT_EQ(wrapped[11], day >> 16);
  }
  auto far = sample_key();
  far.made_day = 0x1000000;
  EXPECT_FALSE(kek.wrap(far, "repo").has_value());
  EXPECT_EQ(to_string(start_of_day(day_of(Timestamp::from_unix_us(1'772'356'500'123'456)))),
            "2026-03-01 00:00:00.000000+00");
  EXPECT_EQ(day_of(Timestamp::from_unix_us(-1)), 0u);
}

TEST(Hkdf, FollowsRfc5869) {
  // Its test cases have keys of other sizes; this was computed with Python's hmac, step by step.
  Bytes derived(40);
  value_of(hkdf_sha256(value_of(Secret256::from_bytes(value_of(from_hex(kHexKey)))),
                       as_bytes("0123456789abcdef"), "pitr container 1", derived));
  EXPECT_EQ(to_hex(derived),
            "70b8d83f98f5e2de3b374f4c6b469b3b267d0337c73c38ac86e7befb65f9b0e69697605429f8f8aa");
}

TEST(AesGcm256, GivesTheValuesOfTheStandard) {
  // The Galois/Counter Mode of Operation (McGrew, Viega), test case 14.
  auto cipher = value_of(AesGcm::create(AesGcm::Direction::kSeal));
  value_of(cipher.set_key(value_of(Secret256::from_bytes(Bytes(32)))));
  Bytes sealed(16);
  const auto tag = value_of(cipher.seal({}, {}, Bytes(16), sealed.data()));
  EXPECT_EQ(to_hex(sealed), "cea7403d4d606b6e074ec5d3baf39d18");
  EXPECT_EQ(to_hex(tag), "d0d1c8a799996bf0265b98b5d48ab919");
}

class KeyFiles : public testing::Test {
 protected:
  KeyFiles() {
    std::string name = "/tmp/pitr-key-test-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    directory_ = name;
  }
  ~KeyFiles() override { std::filesystem::remove_all(directory_); }

  Path directory_;
};

TEST_F(KeyFiles, AreMadeOnceAndForTheOwnerOnly) {
  const auto path = directory_ / "key";
  const auto key = value_of(KeyEncryptionKey::generate());
  value_of(create_key_file(path, key));
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_EQ(value_of(read_key_file(path)).id(), key.id());
  const auto again = create_key_file(path, value_of(KeyEncryptionKey::generate()));
  EXPECT_EQ(again.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(value_of(read_key_file(path)).id(), key.id());
}

TEST_F(KeyFiles, AreDeniedWhereAbsentOrOpenToEverybody) {
  const auto path = directory_ / "key";
  EXPECT_EQ(read_key_file(path).error().kind(), ErrorKind::kDenied);
  EXPECT_FALSE(read_key_file(path).error().hint().empty());
  value_of(create_key_file(path, value_of(KeyEncryptionKey::generate())));
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  EXPECT_TRUE(read_key_file(path).has_value());
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  EXPECT_EQ(read_key_file(path).error().kind(), ErrorKind::kDenied);
  EXPECT_THAT(read_key_file(path).error().hint(), HasSubstr("chmod"));
}

TEST_F(KeyFiles, AreInvalidWithOtherContents) {
  const auto path = directory_ / "key";
  value_of(write_file_durably(path, as_bytes("not a key")));
  const auto key = read_key_file(path);
  EXPECT_EQ(key.error().kind(), ErrorKind::kInvalid);
  EXPECT_THAT(key.error().message(), HasSubstr(path.string()));
}

TEST(KeyEnvironment, GivesTheKeyOrSaysThatItIsNotSet) {
  ASSERT_EQ(::unsetenv("PITR_TEST_KEY"), 0);
  EXPECT_EQ(read_key_environment("PITR_TEST_KEY").error().kind(), ErrorKind::kDenied);
  ASSERT_EQ(::setenv("PITR_TEST_KEY", kHexKey.c_str(), 1), 0);
  EXPECT_TRUE(read_key_environment("PITR_TEST_KEY").has_value());
  ASSERT_EQ(::unsetenv("PITR_TEST_KEY"), 0);
}

TEST(KeyCommand, GivesTheKeyOnItsOutput) {
  EXPECT_EQ(value_of(run_key_command("echo " + kBase64Key)).to_text(), kBase64Key + "\n");
}

TEST(KeyCommand, IsDeniedWhereItFailsOrHangs) {
  EXPECT_EQ(run_key_command("echo " + kHexKey + "; exit 3").error().kind(), ErrorKind::kDenied);
  EXPECT_THAT(run_key_command("exit 3").error().message(), HasSubstr("exits with 3"));
  EXPECT_EQ(run_key_command("kill -9 $$").error().kind(), ErrorKind::kDenied);
  EXPECT_EQ(run_key_command("/nonexistent/command 2>/dev/null").error().kind(), ErrorKind::kDenied);
  EXPECT_EQ(run_key_command("true").error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(run_key_command("yes").error().kind(), ErrorKind::kInvalid);
  EXPECT_THAT(run_key_command("exec sleep 1000", Seconds(0)).error().message(),
              HasSubstr("too long"));
}

}  // namespace pitr::test
