// The one format of all sealed objects: packs, segments, tails, tables, facts, manifests. Frames of
// up to 64 KiB plain bytes, each compressed and sealed on its own, then a sealed footer.
// docs/repository-format.md ("Containers") has the bytes.
//
// No I/O here: writers append to buffers, readers take a ByteSource. Everything that is read is
// checked against limits and authenticated before a byte of it is handed out. Errors name the
// object and frame: kCorrupt for damaged, truncated, exchanged or moved objects, kDenied for a
// wrong or missing key, kInvalid for a newer format version; errors of the ByteSource are passed
// on.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codec/compression.h"
#include "codec/digest.h"
#include "codec/keyring.h"
#include "common/bytes.h"
#include "common/result.h"

namespace pitr {

inline constexpr std::size_t kFramePlainLimit = 65536;
inline constexpr std::uint32_t kFrameCountLimit = 4u << 20;
inline constexpr std::size_t kMetadataLimit = 32u << 20;

// The numbers stand in headers.
enum class ContainerKind : std::uint8_t {
  kPack = 1,
  kSegment = 2,
  kTail = 3,
  kFacts = 4,
  kFileTable = 5,
  kBlockTable = 6,
  kManifest = 7,
  kWalFile = 8,  // .history, .backup, .partial
  kDump = 9,
  kIntent = 10,
  kWatermark = 11,
  kDigestTable = 12,
  kTimelineReservation = 13,
};
std::string_view to_string(ContainerKind kind);

// What a container is, bound into every frame's seal: it opens only as exactly this object.
struct ContainerIdentity {
  std::string repository_id;
  std::string incarnation;  // empty for objects outside one
  ContainerKind kind = ContainerKind::kPack;
  std::string object_name;
};

struct ContainerOptions {
  Compression compression = Compression::kLz4;
  int level = 0;                 // as Compressor::create takes it
  const DataKey* key = nullptr;  // null: not encrypted. Needed during create() only.
  // Off saves a tenth of the time where nobody compares contents (packs).
  bool plain_digest = true;
};

// Writes one container front to back: header(), add_frame()..., finish(), each appending to `out`,
// which the caller may drain in between. Belongs to one thread; any number at once. After an error
// the container is void: start a new one (frame numbers are nonces and never come twice).
class ContainerWriter {
 public:
  static Result<ContainerWriter> create(const ContainerIdentity& identity,
                                        const ContainerOptions& options);
  ContainerWriter(ContainerWriter&&) noexcept;
  ContainerWriter& operator=(ContainerWriter&&) noexcept;
  ~ContainerWriter();

  void header(Bytes& out);
  // One frame; kInvalid beyond kFramePlainLimit.
  Result<void> add_frame(ByteView plain, Bytes& out);
  // As many frames as it takes.
  Result<void> add(ByteView plain, Bytes& out);
  // Footer frame, frame table and trailer.
  Result<void> finish(ByteView metadata, Bytes& out);

  std::uint32_t frame_count() const;
  std::uint64_t plain_bytes() const;   // in frames so far
  std::uint64_t stored_bytes() const;  // appended to `out` so far
  // XXH3-128 of all plain bytes so far; zero where switched off.
  Digest128 plain_digest() const;

 private:
  struct State;
  explicit ContainerWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Where a reader's bytes come from. read_at() must be thread-safe where a reader is used by several
// threads.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual std::uint64_t size() const = 0;
  // Exactly into.size() bytes; callers stay below size().
  virtual Result<void> read_at(std::uint64_t offset, MutableByteView into) const = 0;
};

// Bytes in memory, which must outlive it.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(ByteView bytes) : bytes_(bytes) {}
  std::uint64_t size() const override { return bytes_.size(); }
  Result<void> read_at(std::uint64_t offset, MutableByteView into) const override;

 private:
  ByteView bytes_;
};

// A finished container, at random. open() takes one read at the end of most containers and
// authenticates the footer; frames are authenticated as they are read. Const calls are thread-safe;
// working buffers are kept per thread. Memory: about 40 bytes a frame (64 KiB of plain bytes).
class ContainerReader {
 public:
  // The source must outlive the reader; the keyring is needed during open() only. In a repository
  // with keys (keyring not empty), containers without cipher are refused.
  static Result<ContainerReader> open(const ByteSource& source, const ContainerIdentity& identity,
                                      const Keyring& keyring);
  ContainerReader(ContainerReader&&) noexcept;
  ContainerReader& operator=(ContainerReader&&) noexcept;
  ~ContainerReader();

  std::uint32_t frame_count() const;
  std::uint64_t plain_bytes() const;
  std::uint64_t stored_bytes() const;  // the whole object
  ByteView metadata() const;
  // XXH3-128 of all plain bytes, from the footer.
  std::optional<Digest128> plain_digest() const;
  std::uint32_t epoch() const;  // of the data key; 0: not encrypted

  // Frames are numbered from 0; the caller stays below frame_count().
  std::uint32_t plain_size(std::uint32_t frame) const;
  std::uint64_t plain_offset(std::uint32_t frame) const;
  // Frames follow one another without gaps: many are fetched with one ranged read.
  std::uint64_t stored_offset(std::uint32_t frame) const;
  std::uint32_t stored_size(std::uint32_t frame) const;
  // The frame that holds the plain byte at `offset`; the caller stays below plain_bytes().
  std::uint32_t frame_at(std::uint64_t offset) const;

  // Opens a frame from its stored bytes; into.size() must be its plain size.
  Result<void> open_frame(std::uint32_t frame, ByteView stored, MutableByteView into) const;
  // Replaces `into` by the plain bytes of one frame, or of `count` adjacent ones with one read.
  Result<void> read_frame(std::uint32_t frame, Bytes& into) const;
  Result<void> read_frames(std::uint32_t first, std::uint32_t count, Bytes& into) const;
  // Any range of plain bytes; kInvalid beyond the end.
  Result<void> read_plain(std::uint64_t offset, MutableByteView into) const;
  // All plain bytes; kInvalid where there are more than limit_bytes. Checked against the plain
  // digest where there is one.
  Result<Bytes> read_all(std::uint64_t limit_bytes = 1ull << 30) const;

 private:
  struct State;
  explicit ContainerReader(std::unique_ptr<const State> state);
  std::unique_ptr<const State> state_;
};

// Walks a container front to back without needing its end: a tail that is being written, or that
// power loss tore. Belongs to one thread.
class ContainerScanner {
 public:
  enum class End {
    kFinished,  // footer and all that follows it are there and right
    kTorn,      // the rest is no whole frame: as an interrupted append leaves it
  };

  // The size is taken now: what is appended later isn't seen. An object that ends within its header
  // opens, and has no frames. The source must outlive the scanner.
  static Result<ContainerScanner> open(const ByteSource& source, const ContainerIdentity& identity,
                                       const Keyring& keyring);
  ContainerScanner(ContainerScanner&&) noexcept;
  ContainerScanner& operator=(ContainerScanner&&) noexcept;
  ~ContainerScanner();

  // Replaces `into` by the next frame's plain bytes; false at the end, and end() says which.
  // kCorrupt where bytes are damaged and authentic frames of this container follow them.
  Result<bool> next(Bytes& into);
  End end() const;

  std::uint32_t frame_count() const;   // delivered so far
  std::uint64_t plain_bytes() const;   // delivered so far
  std::uint64_t stored_bytes() const;  // header and frames delivered so far

 private:
  struct State;
  explicit ContainerScanner(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

struct ContainerSummary {
  ContainerKind kind = ContainerKind::kPack;
  std::uint32_t epoch = 0;  // 0: not encrypted
  std::uint32_t frame_count = 0;
  std::uint64_t plain_bytes = 0;
  std::uint64_t stored_bytes = 0;
};

// Scrubbing: reads all of a finished container and finds damage, without any key. It can't see
// whether an object was exchanged for another undamaged one. object_name is for messages.
Result<ContainerSummary> verify_container(const ByteSource& source, std::string_view object_name);

// A small object in one go.
Result<Bytes> seal_object(const ContainerIdentity& identity, const ContainerOptions& options,
                          ByteView plain, ByteView metadata = {});
Result<Bytes> open_object(ByteView container, const ContainerIdentity& identity,
                          const Keyring& keyring, std::uint64_t limit_bytes = 1ull << 30);

}  // namespace pitr
