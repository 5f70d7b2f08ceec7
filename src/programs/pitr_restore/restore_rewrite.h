// What comes before a restore onto a directory that keeps what is right of it: looking at it,
// archiving the cluster's own WAL, choosing how to compare, comparing, and the safety backup.
// Nothing here changes the directory. One thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/observer.h"
#include "repository/wal/facts_store.h"
#include "repository/wal/wal_archive.h"
#include "restore/files/restorer.h"
#include "restore/files/stopped_cluster.h"
#include "restore/plan/plan.h"
#include "restore/plan/rewrite_mode.h"
#include "walreceiver/local_wal.h"

namespace pitr {

// For people: in the plan and in its JSON.
struct RewriteView {
  std::string kind;  // "delta", "in place"
  RewriteMode mode = RewriteMode::kByDigest;
  std::string reason;
  std::uint64_t total_bytes = 0;  // of the backup
  std::uint64_t wanted_bytes = 0;
  std::uint64_t wanted_blocks = 0;
  std::uint64_t compared_bytes = 0;
  std::uint64_t missing_files = 0;
  std::uint64_t extra_entries = 0;
  std::vector<std::string> notes;
  bool is_own_timeline = false;  // followed because it is the cluster's
  std::string safety;            // what is done about undoing; empty: nothing
};

struct PreparedRewrite {
  Rewrite rewrite;
  RewriteView view;
};

struct RewritePlaces {
  Path data_directory;
  std::vector<TablespacePlace> tablespaces;
  std::string version_directory;
  unsigned workers = 2;
};

// As inspect_places(), but a directory that isn't PostgreSQL's is occupied, not refused. That of a
// tablespace is refused as ever.
Result<std::vector<PlaceState>> inspect_any_places(const Path& data_directory,
                                                   const std::vector<TablespacePlace>& tablespaces,
                                                   const std::string& version_directory);

// Into a directory of unknown history. kConflict: another cluster's directory, and not force.
Result<PreparedRewrite> prepare_delta(const IncarnationStore& store, const RestorePlan& plan,
                                      const RewritePlaces& places, bool force, Observer& observer);

class InPlaceRestore {
 public:
  static Result<InPlaceRestore> open(const IncarnationStore& store, WalArchive& archive,
                                     FactsStore& facts, const Path& data_directory);

  const StoppedCluster& cluster() const { return cluster_; }
  // The timeline to follow where none is asked for: a copy that was restored elsewhere may have
  // made a newer one. nullopt: nothing is known of the cluster's.
  std::optional<TimelineId> own_timeline() const;
  // Brings what the repository doesn't hold of pg_wal there. Before the plan is made.
  Result<void> archive_wal();
  // only_shown: for a dry run, which archives nothing.
  Result<PreparedRewrite> prepare(const RestorePlan& plan, const RewritePlaces& places,
                                  bool only_shown, Observer& observer);
  // Why there can be no safety backup; empty: it can be taken.
  std::string why_no_safety() const;
  // Publishes a backup of the directory as it is. Its id.
  Result<BackupId> take_safety_backup(const RestorePlan& plan, const PreparedRewrite& prepared,
                                      const RewritePlaces& places, const std::string& host,
                                      const Clock& clock, Observer& observer);

 private:
  InPlaceRestore(const IncarnationStore& store, WalArchive& archive, FactsStore& facts,
                 StoppedCluster cluster)
      : store_(&store), archive_(&archive), facts_(&facts), cluster_(std::move(cluster)) {}
  Result<RewriteEvidence> gather(const RestorePlan& plan, bool only_shown,
                                 std::vector<std::string>& notes);

  const IncarnationStore* store_;
  WalArchive* archive_;
  FactsStore* facts_;
  StoppedCluster cluster_;
  std::optional<LocalWalEnd> wal_;  // where the cluster is whole
  std::optional<ArchivedWal> archived_;
  std::optional<wal::ChangedBlocks> changed_;  // as far as they are known
};

}  // namespace pitr
