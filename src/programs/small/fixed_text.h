// A string of bounded size on the stack, for the programs that link libc only. What doesn't fit is
// dropped and remembered. Not thread-safe.
#pragma once

#include <cstddef>
#include <string_view>

namespace pitr {

template <std::size_t kCapacity>
class FixedText {
 public:
  FixedText& add(std::string_view text) {
    for (const char c : text) add(c);
    return *this;
  }
  FixedText& add(char c) {
    if (size_ + 1 < kCapacity) {
      text_[size_++] = c;
      text_[size_] = '\0';
    } else {
      overflowed_ = true;
    }
    return *this;
  }
  // All but RFC 3986's unreserved characters become %XX.
  FixedText& add_percent_encoded(std::string_view text) {
    constexpr const char* kDigits = "0123456789ABCDEF";
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
      if (plain) {
        add(c);
      } else {
        add('%').add(kDigits[byte >> 4]).add(kDigits[byte & 15]);
      }
    }
    return *this;
  }

  const char* c_str() const { return text_; }
  std::string_view view() const { return {text_, size_}; }
  bool empty() const { return size_ == 0; }
  bool overflowed() const { return overflowed_; }

 private:
  char text_[kCapacity] = {};
  std::size_t size_ = 0;
  bool overflowed_ = false;
};

}  // namespace pitr
