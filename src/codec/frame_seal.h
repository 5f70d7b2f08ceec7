// Seals and opens single frames: the tag of AES-256-GCM, or of a truncated SHA-256 where there is
// no cipher, over the container's context and the frame's header.
//
// FrameSecrets are immutable and shared by threads; a FrameSealer belongs to one thread, opening
// keeps a cipher context a thread.
#pragma once

#include <cstdint>
#include <optional>

#include "codec/aes_gcm.h"
#include "codec/container_format.h"

namespace pitr::container {

struct FrameSecrets {
  std::optional<Secret256> key;  // none: no cipher
  Sha256Digest context{};
  std::uint64_t seed = 0;    // of the checks of frame headers
  std::uint64_t serial = 0;  // differs for each use of a key in this process
};

// Of a new container: fills in the header's id and checks.
Result<FrameSecrets> make_secrets(Header& header, const ContainerIdentity& identity,
                                  const DataKey* key);
// Of a stored one: kDenied without its key, kCorrupt where it is another object. Messages name the
// object.
Result<FrameSecrets> open_secrets(const Header& header, const ContainerIdentity& identity,
                                  const Keyring& keyring);

class FrameSealer {
 public:
  static Result<FrameSealer> create(const FrameSecrets& secrets);

  // Makes a whole frame of header and payload. `frame` has room for header.stored_size() bytes; the
  // payload may already stand in its place there. table_digest: of the frame table, for the last
  // frame.
  Result<void> seal(const FrameHeader& header, ByteView payload,
                    const std::optional<Sha256Digest>& table_digest, std::uint8_t* frame);

 private:
  FrameSealer(const FrameSecrets& secrets, std::optional<AesGcm> cipher)
      : secrets_(secrets), cipher_(std::move(cipher)) {}
  FrameSecrets secrets_;
  std::optional<AesGcm> cipher_;
};

// The plain bytes of a whole stored frame, whose header was parsed from it; into.size() is the
// header's plain size. False where the frame is not authentic. Thread-safe.
Result<bool> open_sealed_frame(const FrameSecrets& secrets, const FrameHeader& header,
                               ByteView frame, const std::optional<Sha256Digest>& table_digest,
                               MutableByteView into);

// The plain bytes of the footer frame.
Result<Bytes> open_footer(const FrameSecrets& secrets, ByteView footer, ByteView table,
                          std::uint32_t number);

}  // namespace pitr::container
