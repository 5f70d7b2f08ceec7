#include "repository/keys/key_rotation.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "repository/keys/keyring_objects.h"

namespace pitr {
namespace {

using Objects = std::vector<KeyringObject>;

constexpr std::uint32_t kLastEpoch = 99'999'999;  // eight digits in names

Result<Objects> list_of(Repository& repository) {
  if (repository.encrypted()) return list_keyring(repository.storage());
  return Error::invalid(fmt::format("the repository in {} is not encrypted: it has no keys",
                                    repository.storage().description()));
}

Objects without_epochs_of(const Objects& objects, const std::string& kek_id) {
  std::set<std::uint32_t> opened;
  for (const auto& object : objects) {
    if (object.kek_id == kek_id) opened.insert(object.epoch);
  }
  Objects rest;
  std::ranges::copy_if(objects, std::back_inserter(rest),
                       [&](const auto& object) { return !opened.contains(object.epoch); });
  return rest;
}

// Every data key, as this KEK opens it, read from the storage.
Result<Keyring> open_all(Repository& repository, const Objects& objects,
                         const KeyEncryptionKey& kek) {
  const auto closed = without_epochs_of(objects, kek.id());
  if (!closed.empty()) {
    return Error::denied(fmt::format("key {} doesn't open the data key of epoch {}; {} does",
                                     kek.id(), closed.front().epoch, kek_ids(closed)))
        .with_hint(
            "a rotation was interrupted, or another one ran meanwhile: run \"pitr keys rotate\" "
            "again with a key that opens all of \"pitr keys list\"");
  }
  Keyring keys;
  for (const auto& object : objects) {
    if (object.kek_id != kek.id()) continue;
    auto key = TRY(open_keyring_object(repository.storage(), object, kek, repository.id()));
    TRY(keys.add(std::move(key)));
  }
  return keys;
}

// Both hold the same secret for every epoch of `expected`.
Result<void> require_same(const Keyring& expected, const Keyring& found, const std::string& kek) {
  for (const auto epoch : expected.epochs()) {
    const auto* other = found.find(epoch);
    if (other && expected.find(epoch)->secret.same_as(other->secret)) continue;
    return Error::corrupt(fmt::format("key {} gives another data key of epoch {}", kek, epoch))
        .with_hint("delete nothing below keyring/, and retire no key");
  }
  return {};
}

Timestamp oldest_of(const Objects& objects, std::uint32_t epoch) {
  std::optional<Timestamp> oldest;
  for (const auto& object : objects) {
    if (object.epoch == epoch) oldest = std::min(oldest.value_or(object.stored), object.stored);
  }
  return oldest.value_or(Timestamp());
}

// True where it wasn't there. What is there is durable either way.
Result<bool> put_wrapped(Repository& repository, const DataKey& key, const KeyEncryptionKey& kek) {
  const auto wrapped = TRY(kek.wrap(key, repository.id()));
  const auto name = layout::keyring_entry(key.epoch, kek.id());
  auto put = repository.storage().put_if_absent(name, wrapped);
  if (put.has_value()) return true;
  if (put.error().kind() == ErrorKind::kConflict) return false;
  return std::move(put).error().with_context(name.text());
}

KeyringEntry describe(Repository& repository, const KeyringObject& object,
                      const KeyEncryptionKey& key) {
  KeyringEntry entry{object.epoch, object.kek_id, object.stored};
  const auto fail = [&](const Error& error) {
    entry.opens = KeyringEntry::Opens::kDamaged;
    entry.problem = error.message();
    return entry;
  };
  const auto bytes = get_keyring_object(repository.storage(), object);
  if (!bytes) return fail(bytes.error());
  const auto header = read_keyring_object(*bytes);
  if (!header) return fail(header.error());
  entry.made_day = header->made_day;
  if (header->epoch != object.epoch || header->kek_id != object.kek_id) {
    return fail(Error::corrupt(object.key.text() + " holds another key"));
  }
  if (object.kek_id != key.id()) return entry;
  const auto opened = key.unwrap(*bytes, repository.id());
  if (!opened) return fail(opened.error());
  entry.opens = KeyringEntry::Opens::kYes;
  return entry;
}

}  // namespace

Result<std::vector<KeyringEntry>> list_keys(Repository& repository, const KeyEncryptionKey& key) {
  const auto objects = TRY(list_of(repository));
  std::vector<KeyringEntry> entries;
  for (const auto& object : objects) entries.push_back(describe(repository, object, key));
  return entries;
}

Result<AddedWrapping> add_wrapping(Repository& repository, const KeyEncryptionKey& current,
                                   const KeyEncryptionKey& added) {
  if (added.id() == current.id()) {
    return Error::invalid(fmt::format("key {} wraps the data keys already", added.id()))
        .with_hint("give another one");
  }
  const auto before = TRY(list_of(repository));
  const auto keys = TRY(open_all(repository, before, current));
  AddedWrapping result;
  for (const auto epoch : keys.epochs()) {
    auto key = *keys.find(epoch);
    if (key.made_day == 0) key.made_day = day_of(oldest_of(before, epoch));
    const bool is_new = TRY(put_wrapped(repository, key, added));
    if (is_new) ++result.added;
  }
  // What counts is what the storage gives back, of every epoch that there is now.
  const auto after = TRY(list_of(repository));
  const auto read_back = TRY(open_all(repository, after, added));
  TRY(require_same(keys, read_back, added.id()));
  result.proofs = TRY(prove_keys(repository, read_back));
  return result;
}

// Who retires this key at the same time, in favour of the other one, has proven just as much: of
// two such at least one finds that his objects are gone, and while he lives he has the data keys.
static Result<void> require_still_wrapped(Repository& repository, const Keyring& keys,
                                          const KeyEncryptionKey& current) {
  bool was_gone = false;
  for (const auto epoch : keys.epochs()) {
    const bool is_new = TRY(put_wrapped(repository, *keys.find(epoch), current));
    was_gone = was_gone || is_new;
  }
  if (!was_gone) return {};
  return Error::conflict(
             fmt::format("somebody retired key {} at the same time; it opens everything again",
                         current.id()))
      .with_hint("look at \"pitr keys list\", and agree on one key");
}

Result<RetiredKey> retire_key(Repository& repository, const KeyEncryptionKey& current,
                              const std::string& kek_id) {
  if (kek_id == current.id()) {
    return Error::invalid(fmt::format("key {} is the one that is configured", kek_id))
        .with_hint(
            "\"pitr keys rotate\" brings another key; then the configured one is that, and this "
            "one can be retired");
  }
  const auto objects = TRY(list_of(repository));
  Objects old;
  std::ranges::copy_if(objects, std::back_inserter(old),
                       [&](const auto& object) { return object.kek_id == kek_id; });
  if (old.empty()) {
    return Error::not_found(fmt::format("nothing is wrapped by key {}", kek_id))
        .with_hint("keys that wrap something: " + kek_ids(objects));
  }
  const auto keys = TRY(open_all(repository, objects, current));
  TRY(require_same(repository.keyring(), keys, current.id()));
  RetiredKey result;
  result.proofs = TRY(prove_keys(repository, keys));
  // What could be read may still vanish with the power, if who wrote it was interrupted.
  for (const auto& object : objects) {
    if (object.kek_id != current.id()) continue;
    TRY(with_context(repository.storage().ensure_durable(object.key), object.key.text()));
  }
  for (const auto& object : old) {
    TRY(with_context(repository.storage().remove(object.key), object.key.text()));
    ++result.removed;
  }
  TRY(require_still_wrapped(repository, keys, current));
  return result;
}

static Result<void> require_no_others(const Objects& objects, const KeyEncryptionKey& current) {
  Objects others;
  std::ranges::copy_if(objects, std::back_inserter(others),
                       [&](const auto& object) { return object.kek_id != current.id(); });
  if (others.empty()) return {};
  const auto ids = kek_ids(others);
  return Error::invalid(
             fmt::format("the data keys are wrapped by key {} too, which could not open a new one",
                         ids))
      .with_hint(
          fmt::format("finish the rotation first: \"pitr keys retire {}\"", others.front().kek_id));
}

// Of two that chose the same epoch, the one whose object is there.
static Result<void> put_epoch(Repository& repository, const DataKey& key,
                              const KeyEncryptionKey& kek) {
  const auto wrapped = TRY(kek.wrap(key, repository.id()));
  const auto name = layout::keyring_entry(key.epoch, kek.id());
  auto put = repository.storage().put_if_absent(name, wrapped);
  if (put.has_value()) return {};
  if (put.error().kind() != ErrorKind::kConflict) {
    return std::move(put).error().with_context(name.text());
  }
  return Error::conflict(
             fmt::format("somebody else made a data key of epoch {} at the same time", key.epoch))
      .with_hint("that one counts; \"pitr keys list\" shows it");
}

Result<std::uint32_t> add_epoch(Repository& repository, const KeyEncryptionKey& current,
                                const Clock& clock) {
  const auto before = TRY(list_of(repository));
  TRY(require_no_others(before, current));
  const auto keys = TRY(open_all(repository, before, current));
  const auto epoch = keys.newest() == nullptr ? 0 : keys.newest()->epoch;
  if (epoch == 0 || epoch >= kLastEpoch) return Error::internal("no epoch to go on from");
  auto secret = TRY(Secret256::random());
  const DataKey made{epoch + 1, std::move(secret), day_of(clock.now())};
  TRY(put_epoch(repository, made, current));
  const auto after = TRY(list_of(repository));
  // From here on it is there. Who adds a key of his own meanwhile may have missed it.
  TRY(with_context(require_no_others(after, current),
                   fmt::format("the data key of epoch {} is made, but", made.epoch)));
  const auto read_back = TRY(open_all(repository, after, current));
  Keyring expected;
  TRY(expected.add(made));
  TRY(require_same(expected, read_back, current.id()));
  TRY(repository.learn_keys(current));
  return made.epoch;
}

}  // namespace pitr
