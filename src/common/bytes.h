// Byte buffers and the readers and writers of little-endian numbers and varints that every on-disk
// and on-wire format here is built from.
//
// ByteReader is bounds-checked: reading past the end gives ErrorKind::kCorrupt, never undefined
// behaviour, so parsers of untrusted bytes need no checks of their own. Not thread-safe.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace pitr {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;
using MutableByteView = std::span<std::uint8_t>;

static_assert(std::endian::native == std::endian::little, "formats are read in place");

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Unaligned native (little-endian) loads and stores. The caller has checked the bounds.
template <typename T>
T load(const std::uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <typename T>
void store(std::uint8_t* to, T value) {
  std::memcpy(to, &value, sizeof value);
}
template <typename T>
T load_big_endian(const std::uint8_t* from) {
  return std::byteswap(load<T>(from));
}
template <typename T>
void store_big_endian(std::uint8_t* to, T value) {
  store(to, std::byteswap(value));
}

class ByteWriter {
 public:
  void u8(std::uint8_t value) { bytes_.push_back(value); }
  void u16(std::uint16_t value) { fixed(value); }
  void u32(std::uint32_t value) { fixed(value); }
  void u64(std::uint64_t value) { fixed(value); }
  void varint(std::uint64_t value);        // LEB128, at most 10 bytes
  void signed_varint(std::int64_t value);  // zigzag, then LEB128
  void raw(ByteView bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void string(std::string_view text) {  // varint length, then the bytes
    varint(text.size());
    raw(as_bytes(text));
  }

  std::size_t size() const { return bytes_.size(); }
  const Bytes& bytes() const { return bytes_; }
  Bytes take() { return std::move(bytes_); }

 private:
  template <typename T>
  void fixed(T value) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + sizeof value);
    store(bytes_.data() + at, value);
  }
  Bytes bytes_;
};

class ByteReader {
 public:
  explicit ByteReader(ByteView bytes) : bytes_(bytes) {}

  Result<std::uint8_t> u8() { return fixed<std::uint8_t>(); }
  Result<std::uint16_t> u16() { return fixed<std::uint16_t>(); }
  Result<std::uint32_t> u32() { return fixed<std::uint32_t>(); }
  Result<std::uint64_t> u64() { return fixed<std::uint64_t>(); }
  Result<std::uint64_t> varint();
  Result<std::int64_t> signed_varint();
  Result<ByteView> raw(std::size_t size_bytes);
  Result<std::string> string(std::size_t limit_bytes = 65536);

  std::size_t position() const { return position_; }
  std::size_t remaining() const { return bytes_.size() - position_; }
  bool at_end() const { return remaining() == 0; }

 private:
  template <typename T>
  Result<T> fixed() {
    auto bytes = TRY(raw(sizeof(T)));
    return load<T>(bytes.data());
  }
  ByteView bytes_;
  std::size_t position_ = 0;
};

std::string to_hex(ByteView bytes);
Result<Bytes> from_hex(std::string_view text);

}  // namespace pitr
