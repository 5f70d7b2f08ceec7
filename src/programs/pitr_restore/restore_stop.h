// SIGINT and SIGTERM while a restore writes and its server starts: a stop within two seconds, and
// words on what is left in the target directory and what to do with it. Make it before anything is
// touched and before the restore's threads; until then a signal just ends the program. Thread-safe.
#pragma once

#include <atomic>
#include <stop_token>
#include <string>

#include "common/file.h"
#include "common/result.h"
#include "programs/stop_signals.h"

namespace pitr {

class RestoreStop {
 public:
  explicit RestoreStop(Path data_directory);

  std::stop_token token() const { return signals_.token(); }
  // All files are there and durable: only the server may still be missing.
  void files_are_done() { files_are_done_ = true; }
  // The error, and where the restore was stopped (kCancelled) what it left. Others stay.
  Error explained(Error error) const;

 private:
  struct Remains {
    std::string what;
    std::string what_to_do;
  };
  Remains remains() const;

  const Path data_directory_;
  std::atomic<bool> files_are_done_ = false;
  StopSignals signals_;  // last: its thread uses all of the above
};

}  // namespace pitr
