#include "postgres/tar_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace pitr {
namespace {

constexpr std::size_t kBlockBytes = 512;

// Where the fields of a ustar header lie (pgtar.h).
struct Field {
  std::size_t offset;
  std::size_t size;
};
constexpr Field kName{0, 100};
constexpr Field kMode{100, 8};
constexpr Field kSize{124, 12};
constexpr Field kModified{136, 12};
constexpr Field kChecksum{148, 8};
constexpr std::size_t kTypeOffset = 156;
constexpr Field kLinkTarget{157, 100};
constexpr Field kMagic{257, 5};
constexpr Field kPrefix{345, 155};

std::string_view field_bytes(ByteView block, Field field) {
  return as_text(block.subspan(field.offset, field.size));
}

std::string_view field_text(ByteView block, Field field) {
  const auto bytes = field_bytes(block, field);
  return bytes.substr(0, bytes.find('\0'));
}

// Octal digits with spaces around them, or, with the first bit set, big-endian binary.
std::optional<std::uint64_t> field_number(ByteView block, Field field) {
  auto text = field_bytes(block, field);
  std::uint64_t value = 0;
  if ((text[0] & 0x80) != 0) {
    if (static_cast<std::uint8_t>(text[0]) != 0x80) return std::nullopt;  // negative, or huge
    for (const char c : text.substr(1)) {
      if ((value >> 55) != 0) return std::nullopt;
      value = value << 8 | static_cast<std::uint8_t>(c);
    }
    return value;
  }
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  const auto digits = text.substr(0, text.find_first_not_of("01234567"));
  const auto rest = text.substr(digits.size());
  if (digits.empty() || rest.find_first_not_of(std::string_view(" \0", 2)) != rest.npos) {
    return std::nullopt;
  }
  for (const char c : digits) value = value << 3 | static_cast<std::uint64_t>(c - '0');
  return value;  // at most 12 digits: 36 bits
}

bool checksum_matches(ByteView block) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < block.size(); ++i) {
    const bool in_checksum = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    sum += in_checksum ? ' ' : block[i];
  }
  return field_number(block, kChecksum) == sum;
}

// Relative and inside: every component is a name of its own.
bool is_safe_path(std::string_view path) {
  while (true) {
    const auto slash = path.find('/');
    const auto component = path.substr(0, slash);
    if (component.empty() || component == "." || component == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

bool is_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

Result<TarEntry::Kind> entry_kind(std::uint8_t type) {
  switch (type) {
    case '0':
    case '\0':
      return TarEntry::Kind::kFile;
    case '2':
      return TarEntry::Kind::kSymlink;
    case '5':
      return TarEntry::Kind::kDirectory;
    default:
      return Error::corrupt(fmt::format("tar: an entry of unknown type {:#x}", type));
  }
}

Result<TarEntry> parse_header(ByteView block) {
  if (field_bytes(block, kMagic) != "ustar" || !checksum_matches(block)) {
    return Error::corrupt("tar: a block that should be a header is none");
  }
  TarEntry entry;
  entry.kind = TRY(entry_kind(block[kTypeOffset]));
  if (const auto prefix = field_text(block, kPrefix); !prefix.empty()) {
    entry.path = fmt::format("{}/", prefix);
  }
  entry.path += field_text(block, kName);
  // The empty directories inside pg_wal are sent as "./pg_wal/archive_status".
  if (entry.path.starts_with("./")) entry.path.erase(0, 2);
  // Directories, and links to directories, are written with a slash at the end.
  if (entry.kind != TarEntry::Kind::kFile && entry.path.ends_with('/')) entry.path.pop_back();
  if (!is_safe_path(entry.path)) {
    return Error::corrupt(fmt::format("tar: an entry has the unsafe path \"{}\"", entry.path));
  }
  const auto size = field_number(block, kSize);
  const auto mode = field_number(block, kMode);
  const auto modified_s = field_number(block, kModified);
  if (!size || !mode || !modified_s || *mode > 0xFFFF || *modified_s > 0xFFFF'FFFF'FFFF / 1000) {
    return Error::corrupt(fmt::format("tar: the header of {} has a malformed number", entry.path));
  }
  entry.size_bytes = *size;
  entry.mode = static_cast<std::uint32_t>(*mode) & 07777;
  entry.modified = Timestamp::from_unix_us(static_cast<std::int64_t>(*modified_s) * 1'000'000);
  if (entry.kind == TarEntry::Kind::kSymlink) entry.link_target = field_text(block, kLinkTarget);
  if (entry.kind != TarEntry::Kind::kFile && entry.size_bytes != 0) {
    return Error::corrupt(fmt::format("tar: {} is no file, but has contents", entry.path));
  }
  if (entry.kind == TarEntry::Kind::kSymlink && entry.link_target.empty()) {
    return Error::corrupt(fmt::format("tar: the link {} has no target", entry.path));
  }
  return entry;
}

}  // namespace

Result<void> TarReader::feed(ByteView bytes) {
  while (!bytes.empty()) {
    switch (state_) {
      case State::kHeader:
        bytes = TRY(feed_header(bytes));
        break;
      case State::kData: {
        const auto piece = bytes.first(std::min<std::uint64_t>(left_bytes_, bytes.size()));
        TRY(sink_.data(piece));
        bytes = bytes.subspan(piece.size());
        left_bytes_ -= piece.size();
        if (left_bytes_ == 0) TRY(end_data());
        break;
      }
      case State::kPadding: {
        const auto skipped = std::min<std::uint64_t>(left_bytes_, bytes.size());
        bytes = bytes.subspan(skipped);
        left_bytes_ -= skipped;
        if (left_bytes_ == 0) state_ = State::kHeader;
        break;
      }
      case State::kEnd:
        if (!is_zero(bytes)) return Error::corrupt("tar: something follows the end of the archive");
        return {};
    }
  }
  return {};
}

// Takes what belongs to the header; returns the rest.
Result<ByteView> TarReader::feed_header(ByteView bytes) {
  const auto taken = std::min(kBlockBytes - block_filled_, bytes.size());
  std::ranges::copy(bytes.first(taken),
                    block_.begin() + static_cast<std::ptrdiff_t>(block_filled_));
  block_filled_ += taken;
  if (block_filled_ == kBlockBytes) {
    block_filled_ = 0;
    TRY(start_entry());
  }
  return bytes.subspan(taken);
}

Result<void> TarReader::start_entry() {
  if (is_zero(block_)) {
    state_ = State::kEnd;
    return {};
  }
  const auto entry = TRY(parse_header(block_));
  TRY(sink_.entry(entry));
  left_bytes_ = entry.size_bytes;
  padding_bytes_ = (kBlockBytes - entry.size_bytes % kBlockBytes) % kBlockBytes;
  if (left_bytes_ == 0) return end_data();
  state_ = State::kData;
  return {};
}

Result<void> TarReader::end_data() {
  left_bytes_ = padding_bytes_;
  state_ = left_bytes_ == 0 ? State::kHeader : State::kPadding;
  return sink_.entry_end();
}

Result<void> TarReader::finish() {
  const bool between_entries = state_ == State::kHeader && block_filled_ == 0;
  if (between_entries || state_ == State::kEnd) return {};
  return Error::corrupt("tar: the archive ends inside an entry");
}

}  // namespace pitr
