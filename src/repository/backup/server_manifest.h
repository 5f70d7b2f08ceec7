// A backup_manifest in PostgreSQL's own words (version 2, 17 and newer), made of what pitr knows of
// a backup: for UPLOAD_MANIFEST, from which a server learns since when, and of which files, it is
// to send only what changed.
//
// Format: PostgreSQL src/backend/backup/backup_manifest.c, read by src/common/parse_manifest.c.
// Files have no checksums: the server asks for none. Streams; memory: 64 KiB. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "codec/digest.h"
#include "common/clock.h"
#include "common/result.h"
#include "postgres/lsn.h"

namespace pitr {

class ServerManifestWriter {
 public:
  using Send = std::function<Result<void>(ByteView bytes)>;

  // Errors of `send` are passed on; the manifest is of no use then.
  ServerManifestWriter(std::uint64_t system_identifier, Send send);

  Result<void> add_file(std::string_view path, std::uint64_t size_bytes, Timestamp modified);
  // The WAL that the backup needs, which lies on one timeline; and the end of the manifest.
  Result<void> finish(TimelineId timeline, Lsn start, Lsn stop);

 private:
  Result<void> send_pending();

  Send send_;
  std::string pending_;
  Sha256Stream checksum_;
  bool has_files_ = false;
};

}  // namespace pitr
