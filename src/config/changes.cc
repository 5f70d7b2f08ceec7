#include "config/changes.h"

namespace pitr {

static void compare_clusters(const ClusterConfig& running, const ClusterConfig& file,
                             ConfigChanges& changes) {
  const auto note = [&](bool is_same, const char* key, std::vector<std::string>& into) {
    if (!is_same) into.push_back("clusters." + running.name + "." + key);
  };
  note(running.schedule == file.schedule, "schedule", changes.taken_over);
  note(running.retention == file.retention, "retention", changes.taken_over);
  note(running.backup == file.backup, "backup", changes.taken_over);
  note(running.connection == file.connection, "connection", changes.need_restart);
  note(running.data_directory == file.data_directory, "data_directory", changes.need_restart);
  note(running.slot == file.slot, "slot", changes.need_restart);
  note(running.application_name == file.application_name, "application_name", changes.need_restart);
  note(running.wal == file.wal, "wal", changes.need_restart);
  note(running.objectives == file.objectives, "objectives", changes.need_restart);
}

ConfigChanges compare_configs(const Config& running, const Config& file) {
  ConfigChanges changes;
  const auto note = [&](bool is_same, const char* key, std::vector<std::string>& into) {
    if (!is_same) into.emplace_back(key);
  };
  note(running.agent.log_level == file.agent.log_level, "agent.log_level", changes.taken_over);
  note(running.agent.log_format == file.agent.log_format, "agent.log_format", changes.taken_over);
  note(running.notifications == file.notifications, "notifications", changes.taken_over);
  note(running.agent.socket == file.agent.socket, "agent.socket", changes.need_restart);
  note(running.agent.state_directory == file.agent.state_directory, "agent.state_directory",
       changes.need_restart);
  note(running.agent.parallel_jobs == file.agent.parallel_jobs, "agent.parallel_jobs",
       changes.need_restart);
  note(running.agent.http == file.agent.http, "agent.http", changes.need_restart);
  note(running.repository.path == file.repository.path, "repository.path", changes.need_restart);
  note(running.encryption == file.encryption, "encryption", changes.need_restart);
  for (const auto& cluster : running.clusters) {
    const auto* now = file.find_cluster(cluster.name);
    if (now) {
      compare_clusters(cluster, *now, changes);
    } else {
      changes.need_restart.push_back("clusters." + cluster.name + " (gone)");
    }
  }
  for (const auto& cluster : file.clusters) {
    if (!running.find_cluster(cluster.name)) {
      changes.need_restart.push_back("clusters." + cluster.name + " (new)");
    }
  }
  return changes;
}

}  // namespace pitr
