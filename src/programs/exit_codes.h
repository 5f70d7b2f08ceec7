// The exit codes of pitr, pitr-restore and pitr-agent, in one table:
//   0  done                       5  bytes are not what was written (kCorrupt)
//   1  a bug in pitr (kInternal)  6  permissions, credentials, wrong key (kDenied)
//   2  bad usage, or the request  7  may succeed when tried again (kTransient)
//      cannot work (kInvalid)     8  stopped, or the answer was no (kCancelled)
//   3  proven absent (kNotFound)  9  a server did not reach what was planned
//   4  something else is there already (kConflict)
//                                10  pitr check or pitr status found something wrong
// A restore that SIGINT or SIGTERM stops while it writes exits with 8 within two seconds and says
// what it left; before it touches anything, while it plans and asks, a signal just ends it.
// pitr-archive and pitr-wal-get have their own, since PostgreSQL reads those.
#pragma once

#include "common/error.h"

namespace pitr {

inline constexpr int kExitSuccess = 0;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitTargetMissed = 9;
inline constexpr int kExitFoundTrouble = 10;

constexpr int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInternal:
      return 1;
    case ErrorKind::kInvalid:
      return 2;
    case ErrorKind::kNotFound:
      return 3;
    case ErrorKind::kConflict:
      return 4;
    case ErrorKind::kCorrupt:
      return 5;
    case ErrorKind::kDenied:
      return 6;
    case ErrorKind::kTransient:
      return 7;
    case ErrorKind::kCancelled:
      return 8;
  }
  return 1;
}

}  // namespace pitr
