#include "programs/pitr_restore/restore_recovery.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <sys/un.h>

#include <cerrno>
#include <system_error>

#include "agent/host.h"
#include "repository/wal/timelines.h"
#include "restore/files/file_owner.h"

namespace pitr {

// Beside the plan where a socket's name fits, else in a directory of its own.
static Result<Path> choose_socket(const Path& data_directory) {
  const auto usual = data_directory / kRestoreDirectory / "wal.sock";
  if (usual.native().size() + sizeof ".lock" < sizeof(sockaddr_un::sun_path)) return usual;
  std::string name = "/tmp/pitr-restore-XXXXXX";
  if (!::mkdtemp(name.data())) return Error::from_errno(errno, "creating " + name);
  const auto owner = TRY(owner_for(data_directory));
  TRY(give_to(Path(name), owner));
  return Path(name) / "wal.sock";
}

Result<RecoveryPlan> make_recovery_plan(const RestorePlan& plan, const IncarnationStore& store,
                                        const RecoveryPlace& place, const Clock& clock) {
  const auto purpose =
      fmt::format("restore of backup {} to {}", plan.backup.id.text(), to_string(plan.target));
  const auto reservation =
      TRY(reserve_timeline(store, plan.timeline(), TimelineId(plan.timeline().value() + 1),
                           host_name(), purpose, clock));
  std::error_code failure;
  auto program = std::filesystem::read_symlink("/proc/self/exe", failure);
  if (failure) return Error::from_errno(failure.value(), "/proc/self/exe");

  RecoveryPlan recovery;
  recovery.configuration = place.config_file;
  recovery.cluster = place.cluster.name;
  recovery.system_identifier = store.id().system_identifier;
  recovery.major_version = store.id().major_version;
  recovery.segment_size_bytes = store.segment_size().bytes();
  recovery.timeline = plan.timeline();
  recovery.new_timeline = reservation.timeline;
  recovery.segments = plan.segments;
  recovery.wal_start = plan.wal_start;
  recovery.target_lsn = plan.target_lsn;
  recovery.inclusive = plan.inclusive;
  recovery.target_record_end = plan.target_record_end;
  recovery.end = plan.end;
  recovery.target = place.target;
  recovery.socket = TRY(choose_socket(place.data_directory));
  recovery.spool_directory = place.data_directory / kRestoreDirectory / "spool";
  recovery.spool_limit_bytes = place.cluster.spool.size_limit_bytes;
  recovery.program = std::move(program);
  return recovery;
}

}  // namespace pitr
