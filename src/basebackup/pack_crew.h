// Threads that put pieces of files into packs, where they differ from the parent's, for a producer
// that can't do it itself because it is busy receiving. Bounded: add() blocks while they are
// behind.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/bounded_queue.h"
#include "repository/backup/backup_writer.h"

namespace pitr {

class PackCrew {
 public:
  PackCrew(BackupWriter& writer, unsigned workers);
  ~PackCrew();

  // Pieces of whole blocks, but for a file's end. The files are added with Keep::kRest.
  Result<void> add(std::string path, std::uint32_t first_block, Bytes bytes);
  // Waits until everything is stored. Nothing may be added afterwards.
  Result<void> finish();

 private:
  struct Piece {
    std::string path;
    std::uint32_t first_block = 0;
    Bytes bytes;
  };
  void work();
  Result<void> pack_until_closed();

  BackupWriter& writer_;
  BoundedQueue<Piece> queue_;
  std::mutex mutex_;
  std::optional<Error> failure_;
  std::vector<std::jthread> threads_;  // last: they use all of the above
};

}  // namespace pitr
