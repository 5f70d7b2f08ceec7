// Feeds INCREMENTAL files in arbitrary pieces to IncrementalFileReader and checks what it promises
// its sink: one header, then the blocks that it names, each whole and in order.
#include <algorithm>
#include <cstdlib>

#include "postgres/incremental_file.h"
#include "postgres/page_checksum.h"

namespace pitr {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

class CheckingSink final : public IncrementalFileSink {
 public:
  Result<void> header(const IncrementalHeader& header) override {
    require(!seen_);
    seen_ = true;
    require(header.file_blocks() <= 131072 && header.truncation_blocks <= header.file_blocks());
    require(std::ranges::adjacent_find(header.blocks, std::greater_equal<>()) ==
            header.blocks.end());
    blocks_ = header.blocks;
    return {};
  }
  Result<void> block(std::uint32_t number, ByteView bytes) override {
    require(seen_ && next_ < blocks_.size() && blocks_[next_] == number);
    require(bytes.size() == kPageSizeBytes);
    ++next_;
    return {};
  }
  bool is_complete() const { return seen_ && next_ == blocks_.size(); }

 private:
  bool seen_ = false;
  std::vector<std::uint32_t> blocks_;
  std::size_t next_ = 0;
};

// The first bytes say what the file pretends to be, so that most inputs get behind its header.
void seal(Bytes& file) {
  if (file.size() < 12) return;
  store(file.data(), IncrementalFileReader::kMagic);
  store(file.data() + 4, load<std::uint32_t>(file.data() + 4) % 4);
}

}  // namespace
}  // namespace pitr

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const std::size_t piece = data[0] | (data[1] & 63) << 8 | 1;
  pitr::Bytes file(data + 3, data + size);
  if ((data[2] & 1) != 0) pitr::seal(file);
  std::uint64_t said_bytes = file.size();
  // Short inputs may be the beginning of a larger file.
  if ((data[2] & 2) != 0 && file.size() >= 8) {
    const auto count = pitr::load<std::uint32_t>(file.data() + 4) % 4;
    said_bytes = count == 0 ? 12 : (1 + std::uint64_t{count}) * pitr::kPageSizeBytes;
    file.resize(std::min<std::uint64_t>(std::max<std::uint64_t>(file.size(), said_bytes), 40'000));
  }
  pitr::CheckingSink sink;
  pitr::IncrementalFileReader reader(said_bytes, sink);
  pitr::ByteView rest = file;
  while (!rest.empty()) {
    const auto taken = std::min(piece, rest.size());
    if (!reader.feed(rest.first(taken))) return 0;
    rest = rest.subspan(taken);
  }
  if (reader.finish()) pitr::require(sink.is_complete());
  return 0;
}
