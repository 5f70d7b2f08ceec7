#include "repository/repository.h"

#include "repository/wal/archive_fixture.h"

namespace pitr::test {
namespace {

class RepositoryTest : public testing::Test {
 protected:
  SystemClock clock_;
  MemoryStorage storage_{clock_};
};

TEST_F(RepositoryTest, WhatOneProcessSealsAnotherOpens) {
  TestRepository first(storage_);
  const auto key = first.store().names().timeline_reservation(TimelineId(2));
  must(first.store().put_sealed(ContainerKind::kReservation, key, as_bytes("hello")));

  const auto second = must(Repository::open(storage_, first.key()));
  EXPECT_EQ(second->id(), first.repository().id());
  EXPECT_TRUE(second->encrypted());
  const IncarnationStore store(*second, kIncarnation, kSmallSegments);
  EXPECT_EQ(as_text(must(store.get_sealed(ContainerKind::kReservation, key))), "hello");
}

TEST_F(RepositoryTest, NothingOfAnEncryptedObjectIsReadable) {
  TestRepository repository(storage_);
  const auto key = repository.store().names().timeline_reservation(TimelineId(2));
  must(repository.store().put_sealed(ContainerKind::kReservation, key, as_bytes("a secret")));
  EXPECT_FALSE(std::string(as_text(stored_bytes(storage_, key))).contains("secret"));
}

TEST_F(RepositoryTest, WithoutKeyNothingIsEncrypted) {
  const auto repository = must(Repository::init(storage_, std::nullopt));
  EXPECT_FALSE(repository->encrypted());
  const IncarnationStore store(*repository, kIncarnation, kSmallSegments);
  const auto key = store.names().timeline_reservation(TimelineId(2));
  must(store.put_sealed(ContainerKind::kReservation, key, as_bytes("hello")));
  const auto again = must(Repository::open(storage_, std::nullopt));
  const IncarnationStore reader(*again, kIncarnation, kSmallSegments);
  EXPECT_EQ(as_text(must(reader.get_sealed(ContainerKind::kReservation, key))), "hello");
}

TEST_F(RepositoryTest, AKeyForAnUnencryptedRepositoryIsRefused) {
  must(Repository::init(storage_, std::nullopt));
  EXPECT_EQ(kind_of(Repository::open(storage_, make_key())), ErrorKind::kInvalid);
}

TEST_F(RepositoryTest, NoRepositoryIsNotFoundAndTroubleIsNot) {
  EXPECT_EQ(kind_of(Repository::open(storage_, make_key())), ErrorKind::kNotFound);
  storage_.faults().add({.calls = {StorageCall::kGet}, .error = Error::transient("planned")});
  EXPECT_EQ(kind_of(Repository::open(storage_, make_key())), ErrorKind::kTransient);
}

TEST_F(RepositoryTest, AnExistingRepositoryIsNotInitialisedAgain) {
  const TestRepository repository(storage_);
  EXPECT_EQ(kind_of(Repository::init(storage_, repository.key())), ErrorKind::kConflict);
  EXPECT_EQ(kind_of(Repository::init(storage_, make_key())), ErrorKind::kConflict);
  EXPECT_EQ(kind_of(Repository::init(storage_, std::nullopt)), ErrorKind::kConflict);
  must(Repository::open(storage_, repository.key()));
}

TEST_F(RepositoryTest, APlaceWithOtherThingsInItIsRefused) {
  must(storage_.put(ObjectKey::from_parts("photos/cat.jpg"), as_bytes("meow")));
  EXPECT_EQ(kind_of(Repository::init(storage_, make_key())), ErrorKind::kConflict);
  EXPECT_EQ(keys_below(storage_, "").size(), 1u);
}

TEST_F(RepositoryTest, AnInterruptedInitialisationCanBeRunAgain) {
  const auto key = make_key();
  storage_.faults().add({.calls = {StorageCall::kPutIfAbsent},
                         .key_contains = "keyring/",
                         .error = Error::transient("planned")});
  EXPECT_EQ(kind_of(Repository::init(storage_, key)), ErrorKind::kTransient);
  EXPECT_EQ(kind_of(Repository::open(storage_, key)), ErrorKind::kInvalid);
  must(Repository::init(storage_, key));
  must(Repository::open(storage_, key));
}

TEST_F(RepositoryTest, MissingAndWrongKeysAreDeniedAndTheRightOneIsNamed) {
  const TestRepository repository(storage_);
  const auto wrong = make_key();
  const auto without = Repository::open(storage_, std::nullopt);
  EXPECT_EQ(kind_of(without), ErrorKind::kDenied);
  EXPECT_TRUE(without.error().message().contains(repository.key().id()));
  const auto with_wrong = Repository::open(storage_, wrong);
  EXPECT_EQ(kind_of(with_wrong), ErrorKind::kDenied);
  EXPECT_TRUE(with_wrong.error().message().contains(repository.key().id()));
  EXPECT_TRUE(with_wrong.error().message().contains(wrong.id()));
}

TEST_F(RepositoryTest, EveryFlippedByteOfTheKeyringEntryIsFound) {
  const TestRepository repository(storage_);
  const auto entry = ObjectKey::from_parts(keys_below(storage_, layout::kKeyringPrefix).at(0));
  const auto size = stored_bytes(storage_, entry).size();
  for (std::size_t at = 0; at < size; ++at) {
    flip_byte(storage_, entry, at);
    EXPECT_FALSE(Repository::open(storage_, repository.key()).has_value()) << "byte " << at;
    flip_byte(storage_, entry, at);
  }
  must(Repository::open(storage_, repository.key()));
}

TEST_F(RepositoryTest, OtherDescriptionsAreRefused) {
  TestRepository repository(storage_);
  const auto key = layout::repository_json();
  const std::string good(as_text(stored_bytes(storage_, key)));
  const auto open_with = [&](std::string_view from, std::string_view to) {
    std::string changed = good;
    const auto at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    replace_object(storage_, key, as_bytes(changed.replace(at, from.size(), to)));
    return kind_of(Repository::open(storage_, repository.key()));
  };
  EXPECT_EQ(open_with("\"version\": 1", "\"version\": 2"), ErrorKind::kInvalid);
  EXPECT_EQ(open_with("\"version\": 1", "\"version\": \"1\""), ErrorKind::kCorrupt);
  EXPECT_EQ(open_with("pitr-repository", "borg-repository"), ErrorKind::kInvalid);
  EXPECT_EQ(open_with("aes-256-gcm", "aes-256-xts"), ErrorKind::kInvalid);
  EXPECT_EQ(open_with("aes-256-gcm", "none"), ErrorKind::kInvalid);
  EXPECT_EQ(open_with(good, "{}"), ErrorKind::kInvalid);
  EXPECT_EQ(open_with(good, "[1, 2"), ErrorKind::kCorrupt);
  EXPECT_EQ(open_with(repository.repository().id(), "7b0a4f0e"), ErrorKind::kCorrupt);
}

TEST_F(RepositoryTest, EveryFlippedOrMissingByteOfASmallObjectIsFound) {
  TestRepository repository(storage_);
  const auto store = repository.store();
  const auto key = store.names().timeline_reservation(TimelineId(2));
  must(store.put_sealed(ContainerKind::kReservation, key, as_bytes("some bytes to be kept")));
  const auto good = stored_bytes(storage_, key);
  for (std::size_t at = 0; at < good.size(); ++at) {
    flip_byte(storage_, key, at);
    EXPECT_FALSE(store.get_sealed(ContainerKind::kReservation, key).has_value()) << "byte " << at;
    replace_object(storage_, key, ByteView(good).first(at));
    const auto cut = store.get_sealed(ContainerKind::kReservation, key);
    ASSERT_EQ(kind_of(cut), ErrorKind::kCorrupt) << at << " bytes";
    EXPECT_TRUE(cut.error().message().contains(key.text())) << cut.error().message();
    replace_object(storage_, key, good);
  }
  must(store.get_sealed(ContainerKind::kReservation, key));
}

TEST_F(RepositoryTest, AnObjectOpensOnlyUnderItsNameKindAndIncarnation) {
  TestRepository repository(storage_);
  const auto store = repository.store();
  const auto two = store.names().timeline_reservation(TimelineId(2));
  const auto three = store.names().timeline_reservation(TimelineId(3));
  must(store.put_sealed(ContainerKind::kReservation, two, as_bytes("two")));
  must(store.put_sealed(ContainerKind::kReservation, three, as_bytes("three")));
  EXPECT_EQ(kind_of(store.get_sealed(ContainerKind::kFacts, two)), ErrorKind::kCorrupt);
  swap_objects(storage_, two, three);
  EXPECT_EQ(kind_of(store.get_sealed(ContainerKind::kReservation, two)), ErrorKind::kCorrupt);
  EXPECT_EQ(kind_of(store.get_sealed(ContainerKind::kReservation, three)), ErrorKind::kCorrupt);
}

TEST_F(RepositoryTest, AnAbsentObjectIsNotFoundAndALargeOneIsRefused) {
  TestRepository repository(storage_);
  const auto store = repository.store();
  const auto key = store.names().timeline_reservation(TimelineId(2));
  EXPECT_EQ(kind_of(store.get_sealed(ContainerKind::kReservation, key)), ErrorKind::kNotFound);
  must(store.put_sealed(ContainerKind::kReservation, key, make_wal(1)));
  EXPECT_FALSE(store.get_sealed(ContainerKind::kReservation, key, 1000).has_value());
  EXPECT_EQ(must(store.get_sealed(ContainerKind::kReservation, key)), make_wal(1));
}

TEST_F(RepositoryTest, IncarnationsAreFoundByTheirFolders) {
  TestRepository repository(storage_);
  const IncarnationId other{"main", 7301234567890123456, 16};
  const IncarnationId test{"test", 1, 13};
  for (const auto& id : {test, other, kIncarnation}) {
    must(storage_.put(ObjectKey::from_parts(to_string(id) + "/backup/x"), as_bytes("x")));
  }
  must(storage_.put(ObjectKey::from_parts("main/something-else/x"), as_bytes("x")));
  EXPECT_EQ(must(repository.repository().incarnations()),
            (std::vector<IncarnationId>{kIncarnation, other, test}));
  EXPECT_EQ(must(repository.repository().incarnations("test")), std::vector<IncarnationId>{test});
  EXPECT_TRUE(must(repository.repository().incarnations("none")).empty());
}

}  // namespace
}  // namespace pitr::test
