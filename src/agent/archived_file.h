// A file that archive_command hands over, read and looked at before anything is stored: it must be
// named as PostgreSQL names WAL files, be a regular file, and have a size that such a file can
// have. Functions only; thread-safe.
#pragma once

#include <optional>
#include <string>

#include "agent/server_identity.h"
#include "common/file.h"
#include "postgres/lsn.h"
#include "walreceiver/segment_ingest.h"

namespace pitr {

struct ArchivedFile {
  std::string name;
  WalFileKind kind = WalFileKind::kSegment;
  Bytes bytes;
  // Whose it is, by the data directory around it (its pg_control); absent where that cannot be
  // read, or the file doesn't lie in a data directory.
  std::optional<ServerIdentity> origin;
};

// path: absolute. kInvalid: not such a file, or not there; kDenied: not readable.
Result<ArchivedFile> read_archived_file(const Path& path);

// Stores it with its facts. Files of another cluster are refused (kInvalid), other bytes under a
// name that is stored too (kConflict, and kept aside; a .partial with success). Durable on return.
Result<PutOutcome> store_archived_file(SegmentIngest& ingest, const ArchivedFile& file);

}  // namespace pitr
