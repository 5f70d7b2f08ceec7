// Checks one object by itself. kCorrupt: its bytes aren't what was written under its name;
// kNotFound: it is gone; other errors say nothing about it. Errors name the object.
//
// What doesn't hold is looked at twice: an object may be replaced (facts) while it is read.
// Thread-safe; memory: about a MiB per call, and objects that are small whole.
#pragma once

#include "repository/verify/metered_source.h"
#include "repository/verify/stored_objects.h"
#include "repository/verify/verify.h"

namespace pitr {

class ObjectCheck {
 public:
  ObjectCheck(IncarnationStore store, ReadMeter& meter) : store_(std::move(store)), meter_(meter) {}

  Result<void> check(const StoredObject& object, VerifyDepth depth) const;
  // The plain bytes of a container, every stored byte of which was checked.
  Result<Bytes> read(ContainerKind kind, const ObjectKey& key, std::uint64_t limit_bytes) const;

 private:
  Result<void> check_once(const StoredObject& object, VerifyDepth depth) const;
  Result<void> scrub(const StoredObject& object) const;
  Result<void> open_all(const StoredObject& object) const;
  Result<void> open_frames(ContainerKind kind, const ObjectKey& key) const;
  Result<void> read_rows(ContainerKind kind, const ObjectKey& key) const;
  Result<void> check_tails(const ObjectKey& tail) const;
  Result<void> check_summary(const ObjectKey& key) const;
  Result<void> check_meaning(ContainerKind kind, const ObjectKey& key, ByteView plain) const;

  const IncarnationStore store_;
  ReadMeter& meter_;
};

}  // namespace pitr
