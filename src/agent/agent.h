// The agent: for each cluster a service and what does its jobs on schedule, and its HTTP API
// (api/api_route.h) on a Unix socket. Over TCP, where that is configured, there are /metrics
// and, for those who have a token, the API (api/api_gate.h).
//
// Clusters share nothing but the repository: trouble of one never stops another. Thread-safe; the
// repository and the clock must outlive it.
#pragma once

#include <memory>
#include <vector>

#include "agent/agent_member.h"
#include "agent/api/api_gate.h"
#include "agent/metrics/metrics.h"
#include "config/config.h"
#include "http/server.h"
#include "notify/notifier.h"

namespace pitr {

struct AgentOptions {
  const StorageMeter* storage_meter = nullptr;  // where set, it outlives the agent
  MetricsIntervals metrics;
  Milliseconds farewell{2'000};  // at the end, for who is still to be told
};

class Agent {
 public:
  // Listens and streams when it returns. kConflict where another agent answers on the socket, or
  // another process listens on the port.
  static Result<std::unique_ptr<Agent>> start(Config config, Repository& repository, Clock& clock,
                                              AgentOptions options = {});
  ~Agent();

  // Takes over of `config` what can change while it runs (schedules, retention, how backups are
  // taken, who is notified), and logs what changed and what needs a restart. Not for two threads at
  // once.
  void reload(const Config& config);
  // What happened since it started. Others may publish too, and listen while they and the agent
  // live.
  EventLog& events() { return events_; }
  // Whether everybody who does scheduled jobs is at work or waiting.
  bool is_alive() const;

  // Ends everything; waits for it. May wait as long as storage hangs, but for those who are
  // notified no longer than AgentOptions::farewell.
  void stop();

 private:
  Agent(Config config, Repository& repository, Clock& clock);
  std::vector<ClusterService*> services() const;
  Result<void> add(const ClusterConfig& cluster);
  void reload_certificate();
  void publish(EventType type, std::string message, std::map<std::string, std::string> details);

  Config config_;
  Repository& repository_;
  Clock& clock_;
  EventLog events_;
  Notifier notifier_;
  Milliseconds farewell_{0};
  bool has_started_ = false;
  JobSlots slots_;
  AgentMembers members_;  // use the slots
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<ApiGate> gate_;
  // Last: their handlers use all of the above.
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<http::Server> tcp_server_;
};

}  // namespace pitr
