#include "repository/repository.h"

#include <fmt/format.h>

#include <algorithm>

#include "repository/keys/keyring_objects.h"
#include "repository/repository_json.h"

namespace pitr {

static constexpr std::uint64_t kLongestDescription = 1 << 20;
static constexpr std::uint32_t kFirstEpoch = 1;

static Error wrong_key(Storage& storage, const std::vector<KeyringObject>& objects,
                       const std::string& what) {
  return Error::denied(fmt::format("the repository in {} is encrypted, and {}; it needs key {}",
                                   storage.description(), what, kek_ids(objects)))
      .with_hint(
          "pass the key that \"pitr init\" made for this repository, or to which it was rotated "
          "since; without it nothing in the repository can be read");
}

static Result<Keyring> open_keyring(Storage& storage, const std::string& repository_id,
                                    const std::optional<KeyEncryptionKey>& key) {
  const auto objects = TRY(list_keyring(storage));
  if (objects.empty()) {
    return Error::invalid(fmt::format("the repository in {} has no data key: its initialisation "
                                      "was interrupted, or its keyring was removed",
                                      storage.description()))
        .with_hint("if nothing was stored yet, run \"pitr init\" again; else bring keyring/ back");
  }
  if (!key) return wrong_key(storage, objects, "no key is given");
  Keyring keyring;
  for (const auto& object : objects) {
    if (object.kek_id != key->id()) continue;
    auto data_key = TRY(open_keyring_object(storage, object, *key, repository_id));
    TRY(keyring.add(std::move(data_key)));
  }
  if (keyring.empty()) return wrong_key(storage, objects, "key " + key->id() + " is given");
  return keyring;
}

static Result<RepositoryDescription> read_description(Storage& storage) {
  auto bytes = storage.get(layout::repository_json(), kLongestDescription);
  if (!bytes.has_value() && bytes.error().kind() == ErrorKind::kNotFound) {
    return Error::not_found("there is no repository in " + storage.description())
        .with_hint("check the place in the configuration; \"pitr init\" makes a new repository");
  }
  const auto text = TRY(std::move(bytes));
  return TRY(with_context(parse_repository_json(text), storage.description()));
}

// An interrupted init may leave repository.json without a key; everything else is somebody's.
static Result<void> require_unused(Storage& storage) {
  const auto page = TRY(storage.list("", ""));
  for (const auto& object : page.objects) {
    if (object.key == layout::repository_json()) {
      const auto description = TRY(read_description(storage));
      if (description.encrypted && page.objects.size() == 1) continue;
      return Error::conflict("there is a repository in " + storage.description() + " already")
          .with_hint("use it as it is, or choose another place");
    }
    if (!std::ranges::binary_search(page.objects, layout::repository_json(), {},
                                    &ObjectInfo::key)) {
      return Error::conflict(fmt::format("{} holds other things, such as {}", storage.description(),
                                         object.key.text()))
          .with_hint("choose an empty place for the repository");
    }
  }
  return {};
}

static Result<RepositoryDescription> put_description(Storage& storage, bool encrypted) {
  RepositoryDescription description;
  description.id = TRY(make_uuid());
  description.encrypted = encrypted;
  description.created = to_string(SystemClock().now());
  const auto bytes = encode_repository_json(description);
  auto put = storage.put_if_absent(layout::repository_json(), bytes);
  if (put.has_value()) return description;
  if (put.error().kind() != ErrorKind::kConflict) return std::move(put).error();
  // An earlier, interrupted init: go on with its id.
  description = TRY(read_description(storage));
  if (description.encrypted == encrypted) return description;
  return Error::conflict(fmt::format("an interrupted initialisation left a repository in {} that "
                                     "is {}encrypted",
                                     storage.description(), description.encrypted ? "" : "not "))
      .with_hint("initialise it in the same way, or remove its repository.json first");
}

// Two initialisations at a time, each with a key of its own, must not both succeed: both would
// hold a data key of epoch 1.
static Result<void> put_first_key(Storage& storage, const KeyEncryptionKey& key,
                                  const std::string& repository_id) {
  auto secret = TRY(Secret256::random());
  const DataKey data_key{kFirstEpoch, std::move(secret), day_of(SystemClock().now())};
  const auto wrapped = TRY(key.wrap(data_key, repository_id));
  const auto object = layout::keyring_entry(kFirstEpoch, key.id());
  TRY(storage.put_if_absent(object, wrapped));
  const auto objects = TRY(list_keyring(storage));
  if (objects.size() == 1) return {};
  TRY(storage.remove(object));
  return Error::conflict("somebody else initialises the repository in " + storage.description())
      .with_hint("let only one of you do it: run \"pitr init\" again");
}

Repository::Repository(Storage& storage, std::string id, bool encrypted, Keyring keyring)
    : storage_(storage), id_(std::move(id)), encrypted_(encrypted), keyring_(std::move(keyring)) {}

Result<std::unique_ptr<Repository>> Repository::init(Storage& storage,
                                                     const std::optional<KeyEncryptionKey>& key) {
  TRY(require_unused(storage));
  const auto description = TRY(put_description(storage, key.has_value()));
  if (key) TRY(put_first_key(storage, *key, description.id));
  return open(storage, key);
}

Result<std::unique_ptr<Repository>> Repository::open(Storage& storage,
                                                     const std::optional<KeyEncryptionKey>& key) {
  auto description = TRY(read_description(storage));
  if (!description.encrypted && key) {
    return Error::invalid(fmt::format("a key is given, but the repository in {} is not encrypted",
                                      storage.description()))
        .with_hint(
            "if that is meant, take the key out of the configuration; if not, somebody "
            "has exchanged repository.json");
  }
  Keyring keyring;
  if (description.encrypted) keyring = TRY(open_keyring(storage, description.id, key));
  return std::unique_ptr<Repository>(new Repository(storage, std::move(description.id),
                                                    description.encrypted, std::move(keyring)));
}

Result<std::vector<std::uint32_t>> Repository::learn_keys(
    const std::optional<KeyEncryptionKey>& key) {
  std::vector<std::uint32_t> learned;
  if (!encrypted_) return learned;
  const auto found = TRY(open_keyring(storage_, id_, key));
  for (const auto epoch : found.epochs()) {
    const bool is_new = TRY(keyring_.add(*found.find(epoch)));
    if (is_new) learned.push_back(epoch);
  }
  return learned;
}

Result<std::vector<IncarnationId>> Repository::incarnations(std::string_view cluster) {
  std::vector<std::string> clusters{std::string(cluster)};
  if (cluster.empty()) clusters = TRY(storage_.list_folders(""));
  std::vector<IncarnationId> found;
  for (const auto& name : clusters) {
    const auto folders = TRY(storage_.list_folders(name + "/"));
    for (const auto& folder : folders) {
      auto id = parse_incarnation(name + "/" + folder);
      if (id.has_value()) found.push_back(std::move(id).value());
    }
  }
  std::ranges::sort(found);
  return found;
}

ContainerIdentity IncarnationStore::identity(ContainerKind kind, const ObjectKey& key) const {
  return {repository_->id(), to_string(id_), kind, key.text()};
}

const DataKey* IncarnationStore::sealing_key() const {
  return repository_->encrypted() ? repository_->keyring().newest() : nullptr;
}

static Result<Bytes> seal(const IncarnationStore& store, ContainerKind kind, const ObjectKey& key,
                          ByteView plain) {
  ContainerOptions options;
  options.key = store.sealing_key();
  return with_context(seal_object(store.identity(kind, key), options, plain), key.text());
}

Result<void> IncarnationStore::put_sealed(ContainerKind kind, const ObjectKey& key,
                                          ByteView plain) const {
  const auto sealed = TRY(seal(*this, kind, key, plain));
  return storage().put(key, sealed);
}

Result<void> IncarnationStore::put_sealed_if_absent(ContainerKind kind, const ObjectKey& key,
                                                    ByteView plain) const {
  const auto sealed = TRY(seal(*this, kind, key, plain));
  return storage().put_if_absent(key, sealed);
}

Result<Bytes> IncarnationStore::get_sealed(ContainerKind kind, const ObjectKey& key,
                                           std::uint64_t limit_bytes) const {
  // Frames add less than 1/256, header and footer less than 64 KiB.
  const auto stored_limit = limit_bytes + limit_bytes / 256 + (64 << 10);
  const auto stored = TRY(storage().get(key, stored_limit));
  return open_object(stored, identity(kind, key), repository_->keyring(), limit_bytes);
}

}  // namespace pitr
