// One repository: an object store, its repository.json (format version, id, cipher) and its keys.
// Everything below an incarnation is reached through an IncarnationStore.
//
// Thread-safe. Owns nothing but the keyring: the Storage must outlive it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codec/container.h"
#include "codec/keyring.h"
#include "common/clock.h"
#include "common/result.h"
#include "repository/layout.h"
#include "storage/storage.h"

namespace pitr {

class Repository {
 public:
  // Creates repository.json (put-if-absent) and, with a key, the first wrapped data key. Without
  // key everything is stored unencrypted. kConflict where a repository, or anything else, is there
  // already. Killed in between, it can be run again.
  static Result<std::unique_ptr<Repository>> init(Storage& storage,
                                                  const std::optional<KeyEncryptionKey>& key);
  // kNotFound: no repository there. kDenied: encrypted, and the key is missing or another one;
  // the message names the key id wanted. kInvalid: newer format version, or a key is given and the
  // repository is not encrypted (somebody may have exchanged repository.json).
  static Result<std::unique_ptr<Repository>> open(Storage& storage,
                                                  const std::optional<KeyEncryptionKey>& key);

  Storage& storage() { return storage_; }
  const std::string& id() const { return id_; }
  bool encrypted() const { return encrypted_; }
  const Keyring& keyring() const { return keyring_; }
  // Reads the keyring anew and takes up the data keys that are new, while others use the
  // repository; what is known stays. Returns their epochs. Errors as of open(), and kConflict where
  // an epoch has another key than the one that is known.
  Result<std::vector<std::uint32_t>> learn_keys(const std::optional<KeyEncryptionKey>& key);

  // All incarnations of a cluster, or of all clusters where the name is empty, ascending. Lists
  // folders; folders of other names are left out.
  Result<std::vector<IncarnationId>> incarnations(std::string_view cluster = {});

 private:
  Repository(Storage& storage, std::string id, bool encrypted, Keyring keyring);
  Storage& storage_;
  std::string id_;
  bool encrypted_;
  Keyring keyring_;
};

// One incarnation in a repository: names, and sealed small objects. Cheap to copy; thread-safe.
class IncarnationStore {
 public:
  IncarnationStore(Repository& repository, IncarnationId id, SegmentSize segment_size)
      : repository_(&repository), id_(std::move(id)), names_(id_, segment_size) {}

  Repository& repository() const { return *repository_; }
  Storage& storage() const { return repository_->storage(); }
  const IncarnationId& id() const { return id_; }
  const layout::Incarnation& names() const { return names_; }
  SegmentSize segment_size() const { return names_.segment_size(); }

  // What new containers are bound to, and what readers expect.
  ContainerIdentity identity(ContainerKind kind, const ObjectKey& key) const;
  // The key to seal new containers with; null where the repository isn't encrypted.
  const DataKey* sealing_key() const;

  // Small objects as one container each; durable on return. Errors name the object.
  Result<void> put_sealed(ContainerKind kind, const ObjectKey& key, ByteView plain) const;
  Result<void> put_sealed_if_absent(ContainerKind kind, const ObjectKey& key, ByteView plain) const;
  // kNotFound: not there. kCorrupt: damaged, or written under another name. limit_bytes: plain.
  Result<Bytes> get_sealed(ContainerKind kind, const ObjectKey& key,
                           std::uint64_t limit_bytes = 1ull << 30) const;

 private:
  Repository* repository_;
  IncarnationId id_;
  layout::Incarnation names_;
};

}  // namespace pitr
