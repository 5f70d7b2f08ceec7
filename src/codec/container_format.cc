#include "codec/container_format.h"

#include <fmt/format.h>

#include <algorithm>

namespace pitr::container {

static constexpr std::string_view kHeaderMagic = "PITRCONT";
static constexpr std::string_view kTrailerMagic = "PITRTAIL";
static constexpr std::uint8_t kVersion = 1;
static constexpr std::size_t kIdOffset = 16;
static constexpr std::size_t kKeyCheckOffset = 32;
static constexpr std::size_t kIdentityCheckOffset = 40;
static constexpr std::size_t kHeaderCheckOffset = 48;
static constexpr std::size_t kTrailerCountOffset = 56;
static constexpr std::size_t kTrailerDigestOffset = 72;
static constexpr std::size_t kTrailerMagicOffset = 104;
static constexpr std::uint8_t kLastFrameFlag = 1;

// The bytes that the context covers; the rest of the header depends on it.
static std::array<std::uint8_t, kIdentityCheckOffset> encode_header_start(const Header& header) {
  std::array<std::uint8_t, kIdentityCheckOffset> bytes{};
  std::ranges::copy(kHeaderMagic, bytes.begin());
  bytes[8] = kVersion;
  bytes[9] = static_cast<std::uint8_t>(header.kind);
  bytes[10] = static_cast<std::uint8_t>(header.cipher);
  store(bytes.data() + 12, header.epoch);
  std::ranges::copy(header.id, bytes.begin() + kIdOffset);
  std::ranges::copy(header.key_check, bytes.begin() + kKeyCheckOffset);
  return bytes;
}

Sha256Digest context_of(const Header& header, const ContainerIdentity& identity) {
  ByteWriter text;
  text.raw(encode_header_start(header));
  for (const std::string_view part :
       {std::string_view(identity.repository_id), std::string_view(identity.incarnation),
        std::string_view(identity.object_name)}) {
    text.u32(static_cast<std::uint32_t>(part.size()));
    text.raw(as_bytes(part));
  }
  return sha256(text.bytes());
}

HeaderBytes encode_header(const Header& header, const Sha256Digest& context) {
  HeaderBytes bytes{};
  std::ranges::copy(encode_header_start(header), bytes.begin());
  std::copy_n(context.begin(), header.identity_check.size(), bytes.begin() + kIdentityCheckOffset);
  store(bytes.data() + kHeaderCheckOffset, xxh3_64(ByteView(bytes).first(kHeaderCheckOffset)));
  return bytes;
}

Result<Header> parse_header(ByteView bytes) {
  if (as_text(bytes.first(kHeaderMagic.size())) != kHeaderMagic) {
    return Error::corrupt("this is no container, or its header is damaged");
  }
  if (load<std::uint64_t>(bytes.data() + kHeaderCheckOffset) !=
      xxh3_64(bytes.first(kHeaderCheckOffset))) {
    return Error::corrupt("the container's header is damaged");
  }
  if (bytes[8] != kVersion) {
    return Error::invalid(
               fmt::format("the container has format version {}, known is {}", bytes[8], kVersion))
        .with_hint("use the version of pitr that wrote it, or a later one");
  }
  Header header;
  header.kind = static_cast<ContainerKind>(bytes[9]);
  header.cipher = static_cast<Cipher>(bytes[10]);
  header.epoch = load<std::uint32_t>(bytes.data() + 12);
  std::copy_n(bytes.begin() + kIdOffset, header.id.size(), header.id.begin());
  std::copy_n(bytes.begin() + kKeyCheckOffset, header.key_check.size(), header.key_check.begin());
  std::copy_n(bytes.begin() + kIdentityCheckOffset, header.identity_check.size(),
              header.identity_check.begin());
  const bool sealed = header.cipher == Cipher::kAes256Gcm;
  if (bytes[10] > static_cast<std::uint8_t>(Cipher::kAes256Gcm) || bytes[11] != 0 ||
      sealed == (header.epoch == 0)) {
    return Error::corrupt("the container's header makes no sense");
  }
  return header;
}

std::uint64_t frame_seed(const ContainerId& id) {
  return load<std::uint64_t>(id.data());
}

static std::uint32_t frame_header_check(const std::uint8_t* bytes, std::uint64_t seed) {
  return static_cast<std::uint32_t>(xxh3_64(ByteView(bytes, kFrameHeaderSealedSize), seed));
}

void encode_frame_header(const FrameHeader& header, std::uint64_t seed, std::uint8_t* into) {
  store(into, header.number);
  store(into + 4, header.payload_size);
  store(into + 8, header.plain_size);
  into[12] = static_cast<std::uint8_t>(header.compression);
  into[13] = header.last ? kLastFrameFlag : 0;
  store<std::uint16_t>(into + 14, 0);
  store(into + kFrameHeaderSealedSize, frame_header_check(into, seed));
}

static bool sizes_are_possible(std::uint32_t payload_size, std::uint32_t plain_size,
                               std::size_t plain_limit) {
  return payload_size > 0 && payload_size <= plain_size && plain_size <= plain_limit;
}

std::optional<FrameHeader> parse_frame_header(ByteView bytes, std::uint64_t seed) {
  if (bytes.size() < kFrameHeaderSize) return std::nullopt;
  const auto* from = bytes.data();
  // The cheap conditions first: a search tries this at every byte.
  if (from[12] > static_cast<std::uint8_t>(Compression::kZstd) || from[13] > kLastFrameFlag ||
      load<std::uint16_t>(from + 14) != 0) {
    return std::nullopt;
  }
  const FrameHeader header{load<std::uint32_t>(from), load<std::uint32_t>(from + 4),
                           load<std::uint32_t>(from + 8), static_cast<Compression>(from[12]),
                           from[13] == kLastFrameFlag};
  const bool raw = header.compression == Compression::kNone;
  const bool possible =
      header.number <= kFrameCountLimit && raw == (header.payload_size == header.plain_size) &&
      sizes_are_possible(header.payload_size, header.plain_size,
                         header.last ? kFooterPlainLimit : kFrameSize) &&
      load<std::uint32_t>(from + kFrameHeaderSealedSize) == frame_header_check(from, seed);
  return possible ? std::optional(header) : std::nullopt;
}

void append_table_row(ByteView stored_frame, std::uint32_t plain_size, Bytes& table) {
  std::array<std::uint8_t, kTableRowSize> row{};
  store(row.data(), static_cast<std::uint32_t>(stored_frame.size() - kFrameOverhead));
  store(row.data() + 4, plain_size);
  std::ranges::copy(stored_frame.last(kTagSize), row.begin() + 8);
  store(row.data() + 24, xxh3_64(stored_frame));
  table.insert(table.end(), row.begin(), row.end());
}

Result<TableRow> parse_table_row(ByteView table, std::uint32_t frame) {
  const auto bytes = table.subspan(std::size_t{frame} * kTableRowSize, kTableRowSize);
  TableRow row;
  row.payload_size = load<std::uint32_t>(bytes.data());
  row.plain_size = load<std::uint32_t>(bytes.data() + 4);
  std::copy_n(bytes.begin() + 8, row.tag.size(), row.tag.begin());
  row.xxh3 = load<std::uint64_t>(bytes.data() + 24);
  if (sizes_are_possible(row.payload_size, row.plain_size, kFrameSize)) return row;
  return Error::corrupt(fmt::format("the frame table makes no sense at frame {}", frame));
}

static Sha256Digest container_digest(ByteView trailer, ByteView footer, ByteView table) {
  Sha256Stream stream;
  stream.update(table);
  stream.update(footer);
  stream.update(trailer.first(kTrailerDigestOffset));
  return stream.finish();
}

TrailerBytes make_trailer(const HeaderBytes& header, ByteView footer, ByteView table,
                          std::uint64_t frames_size) {
  TrailerBytes bytes{};
  std::ranges::copy(header, bytes.begin());
  auto* counts = bytes.data() + kTrailerCountOffset;
  store(counts, static_cast<std::uint32_t>(table.size() / kTableRowSize));
  store(counts + 4, static_cast<std::uint32_t>(footer.size()));
  store<std::uint64_t>(counts + 8,
                       kHeaderSize + frames_size + footer.size() + table.size() + kTrailerSize);
  std::ranges::copy(container_digest(bytes, footer, table), bytes.begin() + kTrailerDigestOffset);
  std::ranges::copy(kTrailerMagic, bytes.begin() + kTrailerMagicOffset);
  return bytes;
}

Result<Trailer> parse_trailer(ByteView bytes, std::uint64_t container_size) {
  if (bytes.size() != kTrailerSize || container_size < kSmallestContainer ||
      as_text(bytes.subspan(kTrailerMagicOffset)) != kTrailerMagic) {
    return Error::corrupt("the container has no end: it was not finished, or was cut");
  }
  Trailer trailer;
  trailer.header = TRY(with_context(parse_header(bytes.first(kHeaderSize)), "at its end"));
  std::copy_n(bytes.begin(), kHeaderSize, trailer.header_bytes.begin());
  const auto* counts = bytes.data() + kTrailerCountOffset;
  trailer.frame_count = load<std::uint32_t>(counts);
  trailer.footer_size = load<std::uint32_t>(counts + 4);
  trailer.container_size = load<std::uint64_t>(counts + 8);
  if (trailer.container_size != container_size) {
    return Error::corrupt(fmt::format("the container has {} bytes, {} were written", container_size,
                                      trailer.container_size));
  }
  const auto room = container_size - kHeaderSize - kTrailerSize;
  if (trailer.frame_count > kFrameCountLimit || trailer.footer_size < kFrameOverhead ||
      trailer.footer_size > kFrameOverhead + kFooterPlainLimit ||
      trailer.table_size() + trailer.footer_size > room) {
    return Error::corrupt("the container's end makes no sense");
  }
  return trailer;
}

Result<void> check_digest(ByteView trailer, ByteView footer, ByteView table) {
  if (std::ranges::equal(container_digest(trailer, footer, table),
                         trailer.subspan(kTrailerDigestOffset, sizeof(Sha256Digest)))) {
    return {};
  }
  return Error::corrupt("the container's footer is damaged");
}

}  // namespace pitr::container
