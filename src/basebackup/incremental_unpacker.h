// Puts what a server sends of a file of which only some blocks changed into packs: the blocks that
// it gives, and zeros for those that are neither given nor older. The file is added with
// Keep::kRest, so its other blocks are those of the parent. One thread.
#pragma once

#include <string>

#include "basebackup/pack_crew.h"
#include "postgres/incremental_file.h"

namespace pitr {

class IncrementalUnpacker final : private IncrementalFileSink {
 public:
  // path: of the file, not of the INCREMENTAL one, which has sent_bytes. older_blocks: so many may
  // be the parent's.
  IncrementalUnpacker(std::string path, std::uint32_t older_blocks, std::uint64_t sent_bytes,
                      PackCrew& crew)
      : path_(std::move(path)),
        older_blocks_(older_blocks),
        crew_(crew),
        reader_(sent_bytes, *this) {}

  Result<void> feed(ByteView bytes);
  // The size of the file that came out.
  Result<std::uint64_t> finish();

 private:
  Result<void> header(const IncrementalHeader& header) override;
  Result<void> block(std::uint32_t number, ByteView bytes) override;
  Result<void> add_zeros_up_to(std::uint32_t end);
  Result<void> add(std::uint32_t number, ByteView bytes);
  Result<void> hand_over();

  const std::string path_;
  std::uint32_t older_blocks_;
  PackCrew& crew_;
  IncrementalFileReader reader_;
  std::uint32_t file_blocks_ = 0;
  std::uint32_t next_ = 0;  // the first block that nothing was said of
  Bytes piece_;             // not handed over yet
  std::uint32_t piece_first_ = 0;
};

}  // namespace pitr
