#include "agent/server_identity.h"

#include <fmt/format.h>

#include <algorithm>

#include "postgres/control_file.h"
#include "postgres/data_directory.h"
#include "postgres/replication.h"

namespace pitr {

Result<ServerIdentity> ask_server_identity(const std::string& conninfo, std::stop_token stop) {
  auto connection = TRY(ReplicationConnection::open(conninfo, {}, stop));
  const auto system = TRY(connection.identify_system(stop));
  const auto segment_size = TRY(connection.wal_segment_size(stop));
  return ServerIdentity{system.system_identifier,
                        static_cast<std::uint32_t>(connection.server_major()), segment_size};
}

Result<ServerIdentity> read_directory_identity(const Path& data_directory) {
  const auto control = TRY(read_control_file(data_directory));
  const auto major = TRY(read_server_major(data_directory));
  return ServerIdentity{control.system_identifier, static_cast<std::uint32_t>(major),
                        control.wal_segment_size};
}

static Error another_database(const IncarnationId& server, const IncarnationId& known) {
  return Error::conflict(
             fmt::format("the server of cluster {} is another database than the one in the "
                         "repository: PostgreSQL {} with system identifier {}, not PostgreSQL {} "
                         "with {}",
                         server.cluster, server.major_version, server.system_identifier,
                         known.major_version, known.system_identifier))
      .with_hint(
          "if that is wrong, correct \"connection\" in the configuration; after a new initdb or "
          "pg_upgrade \"pitr init\" takes the new database up, beside the old one");
}

Result<IncarnationStore> open_incarnation(Repository& repository, const std::string& cluster,
                                          const ServerIdentity& server, TakeUp take_up,
                                          const Clock& clock) {
  const IncarnationId id{cluster, server.system_identifier, server.major_version};
  if (take_up == TakeUp::kFirst) {
    const auto known = TRY(registered_incarnations(repository, cluster));
    const bool is_known = std::ranges::find(known, id, &RegisteredIncarnation::id) != known.end();
    if (!known.empty() && !is_known) return another_database(id, known.back().id);
  }
  const auto incarnation = TRY(register_incarnation(repository, id, server.segment_size, clock));
  return IncarnationStore(repository, incarnation.id, incarnation.segment_size);
}

}  // namespace pitr
