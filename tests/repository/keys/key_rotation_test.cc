#include "repository/keys/key_rotation.h"

#include <thread>

#include "repository/incarnations.h"
#include "repository/keys/keyring_objects.h"
#include "repository/wal/archive_fixture.h"

namespace pitr::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Opens = KeyringEntry::Opens;

// A registered incarnation, so that there is something sealed with the first data key.
class KeyRotationTest : public testing::Test {
 protected:
  KeyRotationTest() { register_incarnation(); }
  void register_incarnation() {
    must(pitr::register_incarnation(old_.repository(), kIncarnation, kSmallSegments, clock_));
  }
  Repository& repository() { return old_.repository(); }
  const KeyEncryptionKey& old_key() const { return old_.key(); }
  // As another process opens it: everything that is stored must be readable.
  std::unique_ptr<Repository> open(const KeyEncryptionKey& key) {
    auto opened = must(Repository::open(storage_, key));
    EXPECT_TRUE(must(registered_incarnation(*opened, kIncarnation)).has_value());
    return opened;
  }
  bool opens_all(const KeyEncryptionKey& key) {
    const auto repository = Repository::open(storage_, key);
    if (!repository) return false;
    const auto entries = must(list_keyring(storage_));
    return std::ranges::all_of(entries, [&](const auto& entry) {
      return (*repository)->keyring().find(entry.epoch) != nullptr;
    });
  }
  std::vector<std::string> keyring() { return keys_below(storage_, layout::kKeyringPrefix); }

  SystemClock clock_;
  MemoryStorage storage_{clock_};
  TestRepository old_{storage_};
  KeyEncryptionKey new_ = make_key();
};

TEST_F(KeyRotationTest, AnotherKeyOpensEverythingAndThenTheOldOneGoes) {
  const auto added = must(add_wrapping(repository(), old_key(), new_));
  EXPECT_EQ(added.added, 1u);
  ASSERT_EQ(added.proofs.size(), 1u);
  EXPECT_THAT(added.proofs[0].opened->text(), HasSubstr("/identity"));
  open(old_key());
  const auto with_new = open(new_);
  EXPECT_TRUE(with_new->keyring().find(1)->secret.same_as(repository().keyring().find(1)->secret));

  EXPECT_EQ(must(retire_key(*with_new, new_, old_key().id())).removed, 1u);
  open(new_);
  const auto refused = Repository::open(storage_, old_key());
  EXPECT_EQ(kind_of(refused), ErrorKind::kDenied);
  EXPECT_THAT(refused.error().message(), HasSubstr(new_.id()));
}

TEST_F(KeyRotationTest, RunAgainItHasNothingLeftToAdd) {
  must(add_wrapping(repository(), old_key(), new_));
  EXPECT_EQ(must(add_wrapping(repository(), old_key(), new_)).added, 0u);
  EXPECT_EQ(keyring().size(), 2u);
}

TEST_F(KeyRotationTest, TheListSaysWhichKeyOpensWhatAndWhenItWasMade) {
  must(add_wrapping(repository(), old_key(), new_));
  flip_byte(storage_, layout::keyring_entry(1, new_.id()), 40);
  const auto entries = must(list_keys(repository(), old_key()));
  ASSERT_EQ(entries.size(), 2u);
  for (const auto& entry : entries) {
    const bool is_old = entry.kek_id == old_key().id();
    EXPECT_EQ(entry.opens, is_old ? Opens::kYes : Opens::kDamaged);
    EXPECT_EQ(entry.problem.empty(), is_old);
    if (is_old) EXPECT_EQ(entry.made_day, day_of(clock_.now()));
  }
  const auto other = must(list_keys(repository(), make_key()));
  EXPECT_TRUE(std::ranges::any_of(other, [](auto& e) { return e.opens == Opens::kOtherKey; }));
}

// Keyring objects of versions that didn't write the day.
TEST_F(KeyRotationTest, ADayThatIsNotKnownBecomesTheDayOfTheOldestObject) {
  auto key = *repository().keyring().find(1);
  key.made_day = 0;
  replace_object(storage_, layout::keyring_entry(1, old_key().id()),
                 must(old_key().wrap(key, repository().id())));
  must(add_wrapping(repository(), old_key(), new_));
  EXPECT_EQ(open(new_)->keyring().newest()->made_day, day_of(clock_.now()));
  EXPECT_EQ(open(old_key())->keyring().newest()->made_day, 0u);
}

TEST_F(KeyRotationTest, WhereNothingIsStoredItSaysSo) {
  MemoryStorage empty(clock_);
  TestRepository fresh(empty);
  const auto added = must(add_wrapping(fresh.repository(), fresh.key(), new_));
  ASSERT_EQ(added.proofs.size(), 1u);
  EXPECT_FALSE(added.proofs[0].opened.has_value());
}

TEST_F(KeyRotationTest, TheSameKeyAndUnencryptedRepositoriesAreRefused) {
  EXPECT_EQ(kind_of(add_wrapping(repository(), old_key(), old_key())), ErrorKind::kInvalid);
  MemoryStorage clear(clock_);
  const auto without = must(Repository::init(clear, std::nullopt));
  EXPECT_EQ(kind_of(add_wrapping(*without, old_key(), new_)), ErrorKind::kInvalid);
  EXPECT_EQ(kind_of(add_epoch(*without, old_key(), clock_)), ErrorKind::kInvalid);
  EXPECT_EQ(kind_of(list_keys(*without, old_key())), ErrorKind::kInvalid);
}

TEST_F(KeyRotationTest, AWrongKeyAddsNothing) {
  EXPECT_EQ(kind_of(add_wrapping(repository(), make_key(), new_)), ErrorKind::kDenied);
  EXPECT_EQ(keyring().size(), 1u);
}

TEST_F(KeyRotationTest, WhatTheStorageGivesBackDamagedIsNoSuccess) {
  must(add_wrapping(repository(), old_key(), new_));
  flip_byte(storage_, layout::keyring_entry(1, new_.id()), 40);
  EXPECT_EQ(kind_of(add_wrapping(repository(), old_key(), new_)), ErrorKind::kCorrupt);
}

// Somebody put a wrapped key there that is whole, but not this repository's.
TEST_F(KeyRotationTest, AnotherSecretUnderTheNewKeyIsFound) {
  const DataKey forged{1, must(Secret256::random())};
  const auto name = layout::keyring_entry(1, new_.id());
  must(storage_.put(name, must(new_.wrap(forged, repository().id()))));
  EXPECT_EQ(kind_of(add_wrapping(repository(), old_key(), new_)), ErrorKind::kCorrupt);
  // A process that knows only this key would read nothing, and must not delete the right one.
  const auto misled = must(Repository::open(storage_, new_));
  EXPECT_EQ(kind_of(retire_key(*misled, new_, old_key().id())), ErrorKind::kDenied);
  EXPECT_EQ(keyring().size(), 2u);
}

TEST_F(KeyRotationTest, ADamagedObjectIsNoProof) {
  const layout::Incarnation names(kIncarnation, kSmallSegments);
  flip_byte(storage_, names.identity(), stored_bytes(storage_, names.identity()).size() / 2);
  const auto added = add_wrapping(repository(), old_key(), new_);
  EXPECT_EQ(kind_of(added), ErrorKind::kCorrupt);
  EXPECT_THAT(added.error().message(), HasSubstr("epoch 1"));
}

TEST_F(KeyRotationTest, RetiringIsRefusedWhileAnyEpochNeedsTheOldKey) {
  EXPECT_EQ(kind_of(retire_key(repository(), old_key(), old_key().id())), ErrorKind::kInvalid);
  const auto unknown = retire_key(repository(), old_key(), new_.id());
  EXPECT_EQ(kind_of(unknown), ErrorKind::kNotFound);
  EXPECT_THAT(unknown.error().hint(), HasSubstr(old_key().id()));

  must(add_epoch(repository(), old_key(), clock_));
  must(add_wrapping(repository(), old_key(), new_));
  must(storage_.remove(layout::keyring_entry(1, new_.id())));
  const auto partial = must(Repository::open(storage_, new_));
  const auto refused = retire_key(*partial, new_, old_key().id());
  EXPECT_EQ(kind_of(refused), ErrorKind::kDenied);
  EXPECT_THAT(refused.error().message(), HasSubstr(old_key().id()));
  EXPECT_EQ(keyring().size(), 3u);
}

TEST_F(KeyRotationTest, RetiringReadsTheNewKeysObjectsAnew) {
  must(add_wrapping(repository(), old_key(), new_));
  const auto with_new = open(new_);
  flip_byte(storage_, layout::keyring_entry(1, new_.id()), 40);
  EXPECT_EQ(kind_of(retire_key(*with_new, new_, old_key().id())), ErrorKind::kCorrupt);
  EXPECT_EQ(keyring().size(), 2u);
  open(old_key());
}

// The answer that the objects are there was lost, and so are they with the power, unless somebody
// makes sure of them.
TEST_F(KeyRotationTest, RetiringMakesSureThatTheNewKeysObjectsStay) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    MemoryStorage storage(clock_, {.seed = seed});
    TestRepository old(storage);
    storage.faults().add({.calls = {StorageCall::kPutIfAbsent},
                          .key_contains = new_.id(),
                          .moment = Fault::Moment::kInFlight,
                          .error = Error::transient("planned")});
    EXPECT_EQ(kind_of(add_wrapping(old.repository(), old.key(), new_)), ErrorKind::kTransient);
    const auto with_new = must(Repository::open(storage, new_));
    // The power goes as soon as the old key's object has.
    storage.faults().add({.calls = {StorageCall::kRemove},
                          .moment = Fault::Moment::kAfter,
                          .error = Error::transient("planned")});
    EXPECT_EQ(kind_of(retire_key(*with_new, new_, old.key().id())), ErrorKind::kTransient);
    storage.power_loss();
    EXPECT_TRUE(Repository::open(storage, new_).has_value()) << "seed " << seed;
  }
}

TEST_F(KeyRotationTest, ANewDataKeySealsAndTheOldOnesStayReadable) {
  EXPECT_EQ(must(add_epoch(repository(), old_key(), clock_)), 2u);
  EXPECT_EQ(repository().keyring().newest()->epoch, 2u);
  const auto another = open(old_key());
  EXPECT_EQ(another->keyring().epochs(), (std::vector<std::uint32_t>{1, 2}));
  EXPECT_EQ(another->keyring().newest()->made_day, day_of(clock_.now()));
  const auto store = old_.store();
  const auto name = store.names().timeline_reservation(TimelineId(2));
  must(store.put_sealed(ContainerKind::kReservation, name, as_bytes("sealed with the second")));
  const IncarnationStore reader(*another, kIncarnation, kSmallSegments);
  EXPECT_EQ(as_text(must(reader.get_sealed(ContainerKind::kReservation, name))),
            "sealed with the second");
  EXPECT_EQ(must(add_epoch(repository(), old_key(), clock_)), 3u);
}

TEST_F(KeyRotationTest, AProcessThatRunsLearnsNewDataKeysWhenItIsTold) {
  const auto running = open(old_key());
  const auto* first = running->keyring().find(1);
  must(add_epoch(repository(), old_key(), clock_));
  const auto store = old_.store();
  const auto name = store.names().timeline_reservation(TimelineId(2));
  must(store.put_sealed(ContainerKind::kReservation, name, as_bytes("x")));

  const IncarnationStore reader(*running, kIncarnation, kSmallSegments);
  const auto unknown = reader.get_sealed(ContainerKind::kReservation, name);
  EXPECT_EQ(kind_of(unknown), ErrorKind::kDenied);
  EXPECT_THAT(unknown.error().hint(), HasSubstr("systemctl reload pitr-agent"));
  EXPECT_THAT(must(running->learn_keys(old_key())), ElementsAre(2));
  EXPECT_TRUE(must(running->learn_keys(old_key())).empty());
  EXPECT_EQ(as_text(must(reader.get_sealed(ContainerKind::kReservation, name))), "x");
  EXPECT_EQ(running->keyring().find(1), first);
  EXPECT_EQ(kind_of(running->learn_keys(new_)), ErrorKind::kDenied);
  EXPECT_EQ(kind_of(running->learn_keys(std::nullopt)), ErrorKind::kDenied);
}

TEST_F(KeyRotationTest, NoNewDataKeyWhileAnotherKeyCouldNotOpenIt) {
  must(add_wrapping(repository(), old_key(), new_));
  for (const KeyEncryptionKey* key : {&old_key(), static_cast<const KeyEncryptionKey*>(&new_)}) {
    const auto& other = key == &new_ ? old_key() : new_;
    const auto refused = add_epoch(*open(*key), *key, clock_);
    EXPECT_EQ(kind_of(refused), ErrorKind::kInvalid);
    EXPECT_THAT(refused.error().hint(), HasSubstr("pitr keys retire " + other.id()));
  }
  EXPECT_EQ(keyring().size(), 2u);
  const auto with_new = open(new_);
  must(retire_key(*with_new, new_, old_key().id()));
  EXPECT_EQ(must(add_epoch(*with_new, new_, clock_)), 2u);
}

TEST_F(KeyRotationTest, OfTwoNewDataKeysAtATimeOneCounts) {
  const auto gate = std::make_shared<Gate>();
  storage_.faults().add(
      {.calls = {StorageCall::kPutIfAbsent}, .key_contains = "keyring/00000002", .gate = gate});
  std::optional<Result<std::uint32_t>> slow;
  const auto other = open(old_key());
  {
    std::jthread thread([&] { slow = add_epoch(*other, old_key(), clock_); });
    gate->wait_until_reached();
    EXPECT_EQ(must(add_epoch(repository(), old_key(), clock_)), 2u);
    gate->open();
  }
  EXPECT_EQ(kind_of(*slow), ErrorKind::kConflict);
  EXPECT_EQ(keyring().size(), 2u);
  EXPECT_TRUE(
      open(old_key())->keyring().newest()->secret.same_as(repository().keyring().newest()->secret));
}

// Each of two operators ends the rotation in favour of his own key.
TEST_F(KeyRotationTest, OfTwoThatRetireEachOthersKeyOneStays) {
  must(add_wrapping(repository(), old_key(), new_));
  const auto gate = std::make_shared<Gate>();
  storage_.faults().add({.calls = {StorageCall::kRemove}, .key_contains = new_.id(), .gate = gate});
  const auto with_old = open(old_key());
  const auto with_new = open(new_);
  std::optional<Result<RetiredKey>> slow;
  {
    std::jthread thread([&] { slow = retire_key(*with_old, old_key(), new_.id()); });
    gate->wait_until_reached();
    must(retire_key(*with_new, new_, old_key().id()));
    gate->open();
  }
  EXPECT_EQ(kind_of(*slow), ErrorKind::kConflict);
  EXPECT_THAT(slow->error().message(), HasSubstr("opens everything again"));
  EXPECT_TRUE(opens_all(old_key()));
  open(old_key());
}

// A KEK that was added while the data key was made can't open it: whoever made it is told, and
// nothing goes until that is mended.
TEST_F(KeyRotationTest, AKeyThatIsAddedMeanwhileIsNotForgotten) {
  const auto gate = std::make_shared<Gate>();
  storage_.faults().add(
      {.calls = {StorageCall::kPutIfAbsent}, .key_contains = "keyring/00000002", .gate = gate});
  const auto other = open(old_key());
  std::optional<Result<std::uint32_t>> made;
  {
    std::jthread thread([&] { made = add_epoch(*other, old_key(), clock_); });
    gate->wait_until_reached();
    must(add_wrapping(repository(), old_key(), new_));
    gate->open();
  }
  EXPECT_EQ(kind_of(*made), ErrorKind::kInvalid);
  EXPECT_EQ(kind_of(retire_key(*open(new_), new_, old_key().id())), ErrorKind::kDenied);
  must(add_wrapping(repository(), old_key(), new_));
  must(retire_key(*open(new_), new_, old_key().id()));
  EXPECT_TRUE(opens_all(new_));
}

// One fault at each call of an operation in turn, before, during and after it took effect, with and
// without the power going. `check` sees the repository behind it.
class KeyRotationFaultsTest : public testing::Test {
 protected:
  using Work = std::function<bool(MemoryStorage&, TestRepository&)>;
  void at_every_call(const Work& prepare, const Work& work, const Work& check) {
    for (const auto moment :
         {Fault::Moment::kBefore, Fault::Moment::kInFlight, Fault::Moment::kAfter}) {
      for (const bool power_loss : {false, true}) {
        std::uint64_t call = 0;
        for (; one(moment, power_loss, call, prepare, work, check); ++call) {
        }
        EXPECT_GE(call, 5u) << "the faults hit nothing";
      }
    }
  }

  KeyEncryptionKey new_ = make_key();
  SystemClock clock_;

 private:
  // False where the operation has fewer calls.
  bool one(Fault::Moment moment, bool power_loss, std::uint64_t call, const Work& prepare,
           const Work& work, const Work& check) {
    SCOPED_TRACE(testing::Message() << "moment " << static_cast<int>(moment) << ", call " << call
                                    << (power_loss ? ", power loss" : ""));
    MemoryStorage storage(clock_, {.seed = call + 1});
    TestRepository old(storage);
    must(register_incarnation(old.repository(), kIncarnation, kSmallSegments, clock_));
    must(add_epoch(old.repository(), old.key(), clock_));
    EXPECT_TRUE(prepare(storage, old));
    storage.faults().add({.skip = call, .moment = moment, .error = Error::transient("planned")});
    const auto hits_before = storage.faults().hits();
    const bool done = work(storage, old);
    const bool hit = storage.faults().hits() > hits_before;
    storage.faults().clear();
    // Reading has no other moment than before.
    EXPECT_TRUE(moment == Fault::Moment::kBefore ? done != hit : done || hit);
    if (power_loss) storage.power_loss();
    EXPECT_TRUE(check(storage, old)) << "behind the fault";
    EXPECT_TRUE(work(storage, old)) << "the second time";
    if (power_loss) storage.power_loss();
    EXPECT_TRUE(check(storage, old)) << "behind the second time";
    return hit;
  }
};

bool reads_all(MemoryStorage& storage, const KeyEncryptionKey& key) {
  const auto repository = Repository::open(storage, key);
  if (!repository) return false;
  for (const auto& object : must(list_keyring(storage))) {
    if ((*repository)->keyring().find(object.epoch) == nullptr) return false;
  }
  return registered_incarnation(**repository, kIncarnation).has_value();
}

TEST_F(KeyRotationFaultsTest, AddingAKeyNeverTakesTheOldOneAway) {
  at_every_call(
      [](auto&, auto&) { return true; },
      [&](MemoryStorage& storage, TestRepository& old) {
        const bool done = add_wrapping(old.repository(), old.key(), new_).has_value();
        storage.faults().clear();
        if (done) EXPECT_TRUE(reads_all(storage, new_));
        return done;
      },
      [](MemoryStorage& storage, TestRepository& old) { return reads_all(storage, old.key()); });
}

TEST_F(KeyRotationFaultsTest, RetiringAKeyNeverTakesTheOtherOneAway) {
  at_every_call(
      [&](auto&, TestRepository& old) {
        return add_wrapping(old.repository(), old.key(), new_).has_value();
      },
      [&](MemoryStorage& storage, TestRepository& old) {
        const auto repository = Repository::open(storage, new_);
        if (!repository) return false;
        const auto retired = retire_key(**repository, new_, old.key().id());
        // The second time it may have been done already.
        return retired.has_value() || retired.error().kind() == ErrorKind::kNotFound;
      },
      [&](MemoryStorage& storage, TestRepository&) { return reads_all(storage, new_); });
}

TEST_F(KeyRotationFaultsTest, ANewDataKeyLeavesEverythingReadable) {
  at_every_call(
      [](auto&, auto&) { return true; },
      [&](MemoryStorage&, TestRepository& old) {
        return add_epoch(old.repository(), old.key(), clock_).has_value();
      },
      [](MemoryStorage& storage, TestRepository& old) { return reads_all(storage, old.key()); });
}

}  // namespace
}  // namespace pitr::test
