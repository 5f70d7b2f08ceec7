// The one container format, for everything that the repository stores: a header, frames of up to
// 64 KiB plain bytes, each compressed and sealed by itself, and a sealed footer with the frame
// table and metadata. docs/repository-format.md has the bytes.
//
// Seal: AES-256-GCM with a key derived from a data key and the container's random id; the nonce is
// the frame's number; the associated data is the identity below, the frame's number and a
// last-frame flag. Frames that were flipped, cut, swapped or moved to another object don't open.
// Without a data key a truncated SHA-256 over the same takes the tag's place: it finds damage, not
// forgery.
//
// Writers and readers do no I/O of their own. A writer belongs to one thread; ContainerReader's
// const functions may be called by many.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "codec/compression.h"
#include "codec/digest.h"
#include "codec/keyring.h"
#include "common/bytes.h"
#include "common/result.h"

namespace pitr {

inline constexpr std::size_t kFrameSize = 64 * 1024;  // plain bytes of a frame, at most

enum class ContainerKind : std::uint8_t {
  kPack = 1,
  kSegment = 2,
  kTail = 3,
  kWalFile = 4,  // .history, .partial, .backup
  kFacts = 5,
  kFileTable = 6,
  kBlockTable = 7,
  kManifest = 8,
  kIntent = 9,
  kWatermark = 10,
  kReservation = 11,
  kConflict = 12,  // WAL that was refused and kept aside
  kIncarnation = 13,
  kDigestTable = 14,
  kTrash = 15,
  kLease = 16,
  kPin = 17,
  kVerified = 18,     // of a backup
  kDamagedPack = 19,  // that verification found
  kAudit = 20,
  kVerifications = 21,  // when packs and WAL were verified last
};

// Bound into every frame: a container opens only under the name and kind it was written for.
struct ContainerIdentity {
  std::string repository_id;
  std::string incarnation;  // empty outside one
  ContainerKind kind = ContainerKind::kPack;
  std::string object_name;
};

struct ContainerOptions {
  Compression compression = Compression::kLz4;
  int level = 0;
  const DataKey* key = nullptr;  // null: not encrypted. Used by create() only.
  // Needed where contents are compared (segments); off, it saves packs 5 to 10 % of the time.
  bool plain_digest = true;
};

class ContainerWriter {
 public:
  static Result<ContainerWriter> create(const ContainerIdentity& identity,
                                        const ContainerOptions& options);
  ContainerWriter(ContainerWriter&&) noexcept;
  ContainerWriter& operator=(ContainerWriter&&) noexcept;
  ~ContainerWriter();

  // Each appends the bytes to store to `out`. Order: header, frames, finish.
  void header(Bytes& out);
  Result<void> add_frame(ByteView plain, Bytes& out);  // 1 to kFrameSize bytes
  Result<void> add(ByteView plain, Bytes& out);        // any size, cut into frames
  // The same for bytes that somebody waits for: a second thread makes half of the frames.
  Result<void> add_on_two_threads(ByteView plain, Bytes& out);
  Result<void> finish(ByteView metadata, Bytes& out);  // nothing may follow

  std::uint32_t frame_count() const;
  std::uint64_t plain_size_bytes() const;

 private:
  struct Impl;
  explicit ContainerWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Random access to stored bytes. Errors name the object, so readers do not. Thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual Result<std::uint64_t> size() const = 0;
  virtual Result<void> read_at(std::uint64_t offset, MutableByteView into) const = 0;
  // A hint that these bytes will be read soon.
  virtual void expect(std::uint64_t /*offset*/, std::uint64_t /*size_bytes*/) const {}
};

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(ByteView bytes) : bytes_(bytes) {}
  Result<std::uint64_t> size() const override { return bytes_.size(); }
  Result<void> read_at(std::uint64_t offset, MutableByteView into) const override;

 private:
  ByteView bytes_;
};

class ContainerReader {
 public:
  // Reads the end of the container, with one read_at() for most. kCorrupt: damaged, cut, or another
  // object; kDenied: its data key is not in the keyring, or it is not encrypted although there are
  // keys; kInvalid: a newer format. Messages name the object. The source must outlive the reader.
  static Result<ContainerReader> open(const ByteSource& source, const ContainerIdentity& identity,
                                      const Keyring& keyring);
  ContainerReader(ContainerReader&&) noexcept;
  ContainerReader& operator=(ContainerReader&&) noexcept;
  ~ContainerReader();

  std::uint32_t frame_count() const;
  std::uint64_t plain_size_bytes() const;
  const Digest128& plain_digest() const;  // XXH3-128 of all plain bytes in order; zeros: not taken
  ByteView metadata() const;

  std::uint64_t plain_offset(std::uint32_t frame) const;  // frame_count() gives the plain size
  std::uint32_t frame_at(std::uint64_t plain_offset) const;
  std::uint64_t sealed_offset(
      std::uint32_t frame) const;  // frame_count() gives the footer's offset

  // kCorrupt where the header at the container's beginning isn't that of its end, which alone is
  // needed for reading.
  Result<void> check_header() const;

  // Replaces `into`. Several adjacent frames take one read.
  Result<void> read_frame(std::uint32_t frame, Bytes& into) const;
  Result<void> read_frames(std::uint32_t first, std::uint32_t count, Bytes& into) const;
  // A hint that these frames will be read soon; what isn't there is passed over.
  void expect_frames(std::uint32_t first, std::uint32_t count) const;
  // Opens a frame whose stored bytes [sealed_offset(f), sealed_offset(f + 1)) are at hand. `into`
  // has exactly the frame's plain size.
  Result<void> open_frame(std::uint32_t frame, ByteView sealed, MutableByteView into) const;
  // Plain bytes over frame borders; kInvalid beyond the end.
  Result<void> read_plain(std::uint64_t plain_offset, MutableByteView into) const;
  Result<Bytes> read_all(std::uint64_t limit_bytes) const;

 private:
  struct Impl;
  explicit ContainerReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Reads a container front to back without its footer: a tail that is being written, or was torn.
// Belongs to one thread; the stored bytes must outlive it.
class ContainerScanner {
 public:
  static Result<ContainerScanner> open(ByteView stored, const ContainerIdentity& identity,
                                       const Keyring& keyring);
  ContainerScanner(ContainerScanner&&) noexcept;
  ContainerScanner& operator=(ContainerScanner&&) noexcept;
  ~ContainerScanner();

  // Appends the next frame's plain bytes; false at the end: a footer, the last byte, or what an
  // append leaves that was interrupted before its sync returned. That is a frame whose end is cut
  // off, or one with sectors that were never written and so read as zeros. kCorrupt where bytes
  // that are no frame can't come from that: all of them were written, or an authentic frame or a
  // footer follows. (A file that lost its end, or had it zeroed, looks like an interrupted append.)
  Result<bool> next(Bytes& into);
  // After false: how many bytes followed that are no whole frame.
  std::uint64_t torn_bytes() const;

 private:
  struct Impl;
  explicit ContainerScanner(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Scrubbing: checks the digests over the stored bytes, without any key. Errors name the frame, but
// not the object. With an identity: that it is the object of this kind and name, too.
Result<void> verify_container(const ByteSource& source);
Result<void> verify_container(const ByteSource& source, const ContainerIdentity& identity);

// A whole small object in one go.
Result<Bytes> seal_object(const ContainerIdentity& identity, const ContainerOptions& options,
                          ByteView plain, ByteView metadata = {});
Result<Bytes> open_object(ByteView stored, const ContainerIdentity& identity,
                          const Keyring& keyring, std::uint64_t limit_bytes);

}  // namespace pitr
