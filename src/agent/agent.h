// The agent: one service per cluster, and the control protocol on a Unix socket.
//
//   POST /v1/clusters/{cluster}/wal?path=<absolute path>   stores a WAL file; see pitr_archive.cc
//   POST /v1/clusters/{cluster}/backups                    takes a backup; see backup_stream.h
//   GET  /v1/clusters/{cluster}/status                     one cluster
//   GET  /v1/status                                        all of them
//   GET  /metrics                                          for Prometheus; see metrics/metrics.h
// "-" stands for the only cluster there is. Statuses are JSON (status_json.h). Over TCP, where that
// is configured, there is /metrics and nothing else.
//
// Clusters share nothing but the repository: trouble of one never stops another. Thread-safe; the
// repository and the clock must outlive it.
#pragma once

#include <memory>
#include <vector>

#include "agent/cluster_service.h"
#include "agent/metrics/metrics.h"
#include "config/config.h"
#include "http/server.h"

namespace pitr {

struct AgentOptions {
  const StorageMeter* storage_meter = nullptr;  // where set, it outlives the agent
  MetricsIntervals metrics;
};

class Agent {
 public:
  // Listens and streams when it returns. kConflict where another agent answers on the socket, or
  // another process listens on the port.
  static Result<std::unique_ptr<Agent>> start(Config config, Repository& repository, Clock& clock,
                                              AgentOptions options = {});
  ~Agent();

  // Ends everything; waits for it. May wait as long as storage hangs.
  void stop();

 private:
  Agent(Config config, Repository& repository, Clock& clock);
  http::Router routes();
  http::Router public_routes();
  Result<ClusterService*> find(const std::string& cluster) const;
  http::Response store_wal(const http::Request& request);
  http::Response take_backup(const http::Request& request);
  http::Response show_cluster(const http::Request& request);
  http::Response show_all(const http::Request& request);
  http::Response show_metrics(const http::Request& request);

  const Config config_;
  Repository& repository_;
  std::vector<std::unique_ptr<ClusterService>> services_;  // as in the configuration
  std::unique_ptr<Metrics> metrics_;
  // Last: their handlers use all of the above.
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<http::Server> tcp_server_;
};

}  // namespace pitr
