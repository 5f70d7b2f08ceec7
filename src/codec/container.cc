#include "codec/container.h"

#include <algorithm>

namespace pitr {

std::string_view to_string(ContainerKind kind) {
  switch (kind) {
    case ContainerKind::kPack:
      return "pack";
    case ContainerKind::kSegment:
      return "segment";
    case ContainerKind::kTail:
      return "tail";
    case ContainerKind::kWalFile:
      return "WAL file";
    case ContainerKind::kFacts:
      return "facts";
    case ContainerKind::kFileTable:
      return "file table";
    case ContainerKind::kBlockTable:
      return "block table";
    case ContainerKind::kManifest:
      return "manifest";
    case ContainerKind::kIntent:
      return "intent";
    case ContainerKind::kWatermark:
      return "watermark";
    case ContainerKind::kReservation:
      return "reservation";
    case ContainerKind::kConflict:
      return "conflict";
    case ContainerKind::kIncarnation:
      return "incarnation";
    case ContainerKind::kDigestTable:
      return "digest table";
    case ContainerKind::kTrash:
      return "trash record";
    case ContainerKind::kLease:
      return "lease";
    case ContainerKind::kPin:
      return "pin";
    case ContainerKind::kVerified:
      return "verification of a backup";
    case ContainerKind::kDamagedPack:
      return "damaged pack";
    case ContainerKind::kVerifications:
      return "list of verifications";
    case ContainerKind::kAudit:
      return "audit entry";
  }
  return "unknown";
}

Result<void> MemorySource::read_at(std::uint64_t offset, MutableByteView into) const {
  if (offset > bytes_.size() || into.size() > bytes_.size() - offset) {
    return Error::corrupt("the object ends too early");
  }
  // On pointers: GCC 12 does not make memmove of std::ranges::copy.
  std::copy_n(bytes_.data() + offset, into.size(), into.data());
  return {};
}

Result<Bytes> seal_object(const ContainerIdentity& identity, const ContainerOptions& options,
                          ByteView plain, ByteView metadata) {
  auto writer = TRY(ContainerWriter::create(identity, options));
  Bytes out;
  writer.header(out);
  TRY(writer.add(plain, out));
  TRY(writer.finish(metadata, out));
  return out;
}

Result<Bytes> open_object(ByteView stored, const ContainerIdentity& identity,
                          const Keyring& keyring, std::uint64_t limit_bytes) {
  const MemorySource source(stored);
  const auto reader = TRY(ContainerReader::open(source, identity, keyring));
  return reader.read_all(limit_bytes);
}

}  // namespace pitr
