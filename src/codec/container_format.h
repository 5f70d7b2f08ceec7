// The fixed parts of a container as bytes and back: docs/repository-format.md ("Containers") in
// code, for the writer, reader, scanner and verifier alone. Plain functions; thread-safe. Parsing
// checks everything that can be checked without a key; its errors leave out the object's name.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "codec/container.h"
#include "codec/digest.h"
#include "common/bytes.h"
#include "common/result.h"

namespace pitr::container {

inline constexpr std::size_t kHeaderSize = 56;
inline constexpr std::size_t kFrameHeaderSize = 20;
inline constexpr std::size_t kFrameHeaderSealedSize = 16;  // the part in the associated data
inline constexpr std::size_t kTagSize = 16;
inline constexpr std::size_t kFrameOverhead = kFrameHeaderSize + kTagSize;
inline constexpr std::size_t kTableRowSize = 32;
inline constexpr std::size_t kTrailerSize = 112;
inline constexpr std::size_t kFooterPrefixSize = 24;
inline constexpr std::uint32_t kFrameCountLimit = 4u << 20;
inline constexpr std::size_t kMetadataLimit = 32u << 20;
inline constexpr std::size_t kFooterPlainLimit = kFooterPrefixSize + kMetadataLimit;
// Without frames.
inline constexpr std::size_t kSmallestContainer = kHeaderSize + kFrameOverhead + kTrailerSize;

enum class Cipher : std::uint8_t { kNone = 0, kAes256Gcm = 1 };
using ContainerId = std::array<std::uint8_t, 16>;
using Check = std::array<std::uint8_t, 8>;
using HeaderBytes = std::array<std::uint8_t, kHeaderSize>;

struct Header {
  ContainerKind kind = ContainerKind::kPack;
  Cipher cipher = Cipher::kNone;
  std::uint32_t epoch = 0;
  ContainerId id{};
  Check key_check{};
  Check identity_check{};  // filled in by encode_header
};

// Of header and identity: what every seal is bound to.
Sha256Digest context_of(const Header& header, const ContainerIdentity& identity);
HeaderBytes encode_header(const Header& header, const Sha256Digest& context);
Result<Header> parse_header(ByteView bytes);  // kHeaderSize of them

struct FrameHeader {
  std::uint32_t number = 0;
  std::uint32_t payload_size = 0;
  std::uint32_t plain_size = 0;
  Compression compression = Compression::kNone;
  bool last = false;

  std::uint64_t stored_size() const { return kFrameOverhead + payload_size; }
};
// What seeds the check of all frame headers of a container.
std::uint64_t frame_seed(const ContainerId& id);
void encode_frame_header(const FrameHeader& header, std::uint64_t seed, std::uint8_t* into);
// None where the bytes are no frame header of this container.
std::optional<FrameHeader> parse_frame_header(ByteView bytes, std::uint64_t seed);

struct TableRow {
  std::uint32_t payload_size = 0;
  std::uint32_t plain_size = 0;
  std::array<std::uint8_t, kTagSize> tag{};
  std::uint64_t xxh3 = 0;

  std::uint64_t stored_size() const { return kFrameOverhead + payload_size; }
};
// The row of a frame as it is stored.
void append_table_row(ByteView stored_frame, std::uint32_t plain_size, Bytes& table);
// kCorrupt where the sizes cannot be those of a frame.
Result<TableRow> parse_table_row(ByteView table, std::uint32_t frame);

struct Trailer {
  Header header;
  HeaderBytes header_bytes{};
  std::uint32_t frame_count = 0;
  std::uint32_t footer_size = 0;
  std::uint64_t container_size = 0;

  std::uint64_t table_size() const { return std::uint64_t{frame_count} * kTableRowSize; }
  std::uint64_t table_offset() const { return container_size - kTrailerSize - table_size(); }
  std::uint64_t footer_offset() const { return table_offset() - footer_size; }
};
using TrailerBytes = std::array<std::uint8_t, kTrailerSize>;
TrailerBytes make_trailer(const HeaderBytes& header, ByteView footer, ByteView table,
                          std::uint64_t frames_size);
// The trailer of an object of container_size bytes: everything but the digest, and that its parts
// find room in the object.
Result<Trailer> parse_trailer(ByteView bytes, std::uint64_t container_size);
Result<void> check_digest(ByteView trailer, ByteView footer, ByteView table);

}  // namespace pitr::container
