// How a rewrite of a directory finds out what differs from a backup. Pure; thread-safe.
//
// By facts, only blocks that WAL names are touched, which is right only where every change since
// the backup's redo is in the WAL. Hint bits are the trap: set by a reader after the target, on a
// page that is then left alone, they say "committed" of a transaction that recovery never commits,
// and rows appear that never were; amcheck doesn't see it. They are logged with data checksums or
// wal_log_hints, and only if one of these held all the time. Otherwise every block is compared.
#pragma once

#include <optional>
#include <string>

#include "postgres/lsn.h"

namespace pitr {

enum class RewriteMode {
  kByFacts,   // write what WAL says has changed; compare what isn't a main fork
  kByDigest,  // compare every block with the backup's digest
  kByBytes,   // compare every block with the backup's bytes: it has no digests
};
std::string_view to_string(RewriteMode mode);  // "by facts", ...

struct RewriteEvidence {
  // Why nothing is known of what happened to the directory since the backup; empty: it is the
  // cluster's own, stopped or crashed.
  std::string unknown_history;
  bool has_digests = true;
  bool is_ancestor = false;  // the backup lies on the cluster's own way to the end of its WAL
  // Why facts don't tell all changes from the backup's redo to the end of the cluster's WAL; empty:
  // they do.
  std::string not_covered;
  bool checksums_in_backup = false;
  bool checksums_now = false;
  bool hints_logged_in_backup = false;  // wal_log_hints, in pg_control
  bool hints_logged_now = false;
  std::optional<Lsn> hints_off;  // in between, by WAL
};

struct RewriteChoice {
  RewriteMode mode = RewriteMode::kByDigest;
  std::string reason;
};
RewriteChoice choose_rewrite_mode(const RewriteEvidence& evidence);

}  // namespace pitr
