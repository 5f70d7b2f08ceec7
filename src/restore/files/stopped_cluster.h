// A cluster's own data directory, looked at before an in-place restore: whose it is, that nothing
// runs on it, how it was left, and where its history ends. Reads only; thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "postgres/control_file.h"
#include "restore/files/in_place_journal.h"
#include "restore/files/target_directory.h"

namespace pitr {

struct StoppedCluster {
  Path data_directory;
  ControlFile control;  // where a rewrite was interrupted: the one from before
  TimelineId timeline;  // that its last WAL is on
  std::optional<InPlaceJournal> interrupted;
  ControlBytes control_bytes;  // as they are; none where a rewrite was interrupted
  // Why what is on disk isn't a cluster that recovers by itself from its own WAL, such as a restore
  // that was never started; empty: it is.
  std::string not_whole;
};

// kConflict where a server runs; kInvalid where it isn't a data directory, is another cluster's, or
// ran with fsync off as far as its files say: then nobody knows what is on disk.
Result<StoppedCluster> inspect_stopped_cluster(const Path& data_directory,
                                               std::uint64_t system_identifier);

// Where the directory has the backup's tablespaces now, as mappings of place_tablespaces(). The
// backup doesn't know those that were made since.
Result<std::vector<TablespaceMapping>> tablespace_links(const Path& data_directory,
                                                        const BackupManifest& backup);

// Why the files say that fsync was off; empty: they don't. postmaster.opts has what the last start
// was given, the configuration files what it read (without what they include).
std::string find_fsync_off(const Path& data_directory);

}  // namespace pitr
