// Parts of a file that one thread copies, and how they are cut into reads. Plain values.
#pragma once

#include <cstdint>
#include <vector>

namespace pitr {

struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t end() const { return offset + size_bytes; }
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

// What it reads are the ranges of the file's reading within `span`: ranges_of() in reading_plan.h.
// Kept for all files at once they would take as much memory as there are scattered changes.
struct CopyTask {
  std::size_t file = 0;  // index into WalkedDirectory::files
  ByteRange span;
  std::uint64_t size_bytes = 0;  // to be read of it
  bool only_changed = false;     // store only blocks that differ from the parent's
  bool is_first = false;         // of the file's tasks
  bool is_last = false;
};

// Goes through ranges in reads of bounded size. A small gap is read along: two requests cost more.
class ReadCutter {
 public:
  ReadCutter(const std::vector<ByteRange>& ranges, std::uint64_t read_bytes,
             std::uint64_t gap_bytes)
      : ranges_(ranges), read_bytes_(read_bytes), gap_bytes_(gap_bytes) {}

  // False at the end. Ranges are cut at multiples of read_bytes behind their start.
  bool next();
  const ByteRange& read() const { return read_; }
  const std::vector<ByteRange>& pieces() const { return pieces_; }  // what of it was asked for

 private:
  const std::vector<ByteRange>& ranges_;
  const std::uint64_t read_bytes_;
  const std::uint64_t gap_bytes_;
  std::size_t next_ = 0;
  std::uint64_t done_bytes_ = 0;  // of ranges_[next_]
  ByteRange read_;
  std::vector<ByteRange> pieces_;
};

}  // namespace pitr
