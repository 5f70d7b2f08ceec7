#include "common/bytes.h"

#include <fmt/format.h>

namespace pitr {

void ByteWriter::varint(std::uint64_t value) {
  while (value >= 0x80) {
    u8(static_cast<std::uint8_t>(value | 0x80));
    value >>= 7;
  }
  u8(static_cast<std::uint8_t>(value));
}

void ByteWriter::signed_varint(std::int64_t value) {
  varint((static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63));
}

Result<std::uint64_t> ByteReader::varint() {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const auto byte = TRY(u8());
    if (shift == 63 && byte > 1) break;
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return Error::corrupt(fmt::format("variable-length number at byte {} is too long", position_));
}

Result<std::int64_t> ByteReader::signed_varint() {
  const auto value = TRY(varint());
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}

Result<ByteView> ByteReader::raw(std::size_t size_bytes) {
  if (size_bytes > remaining()) {
    return Error::corrupt(
        fmt::format("{} bytes wanted at byte {} of {}", size_bytes, position_, bytes_.size()));
  }
  const ByteView part = bytes_.subspan(position_, size_bytes);
  position_ += size_bytes;
  return part;
}

Result<std::string> ByteReader::string(std::size_t limit_bytes) {
  const auto size = TRY(varint());
  if (size > limit_bytes) {
    return Error::corrupt(
        fmt::format("a text of {} bytes where {} is the limit", size, limit_bytes));
  }
  const auto bytes = TRY(raw(size));
  return std::string(as_text(bytes));
}

std::string to_hex(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const auto byte : bytes) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<Bytes> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return Error::invalid("hexadecimal text has an odd length");
  Bytes bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_digit(text[i]);
    const int low = hex_digit(text[i + 1]);
    if (high < 0 || low < 0) return Error::invalid("not hexadecimal text");
    bytes.push_back(static_cast<std::uint8_t>(high * 16 + low));
  }
  return bytes;
}

}  // namespace pitr
