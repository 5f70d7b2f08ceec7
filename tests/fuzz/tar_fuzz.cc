// Feeds archives in arbitrary pieces to TarReader and checks what it promises its sink: entries
// begin and end in turn, files get exactly their size, and no path leaves the directory.
#include <cstdlib>

#include "postgres/tar_reader.h"

namespace pitr {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

class CheckingSink : public TarSink {
 public:
  Result<void> entry(const TarEntry& entry) override {
    require(!inside_);
    require(!entry.path.empty() && entry.path.front() != '/');
    require(("/" + entry.path + "/").find("/../") == std::string::npos);
    require(entry.kind == TarEntry::Kind::kFile || entry.size_bytes == 0);
    left_bytes_ = entry.size_bytes;
    inside_ = true;
    return {};
  }
  Result<void> data(ByteView bytes) override {
    require(inside_ && !bytes.empty() && bytes.size() <= left_bytes_);
    left_bytes_ -= bytes.size();
    return {};
  }
  Result<void> entry_end() override {
    require(inside_ && left_bytes_ == 0);
    inside_ = false;
    return {};
  }

 private:
  bool inside_ = false;
  std::uint64_t left_bytes_ = 0;
};

// Headers with a wrong checksum end the run at once: right ones are put where a header seems to be.
void seal_headers(Bytes& archive) {
  constexpr std::size_t kBlockBytes = 512;
  for (std::size_t at = 0; at + kBlockBytes <= archive.size(); at += kBlockBytes) {
    const auto block = MutableByteView(archive).subspan(at, kBlockBytes);
    if (as_text(block.subspan(257, 5)) != "ustar") continue;
    unsigned sum = 8 * ' ';
    for (std::size_t i = 0; i < kBlockBytes; ++i) sum += i >= 148 && i < 156 ? 0 : block[i];
    for (std::size_t digit = 0; digit < 7; ++digit) {
      block[148 + digit] = static_cast<std::uint8_t>('0' + (sum >> (3 * (6 - digit)) & 7));
    }
    block[155] = ' ';
  }
}

}  // namespace
}  // namespace pitr

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t piece = data[0] | (data[1] & 3) << 8 | 1;
  pitr::Bytes archive(data + 2, data + size);
  pitr::seal_headers(archive);
  pitr::CheckingSink sink;
  pitr::TarReader reader(sink);
  pitr::ByteView rest = archive;
  while (!rest.empty()) {
    const auto taken = std::min(piece, rest.size());
    if (!reader.feed(rest.first(taken))) return 0;
    rest = rest.subspan(taken);
  }
  static_cast<void>(reader.finish());
  return 0;
}
