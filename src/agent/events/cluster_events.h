// Turns what happened to one cluster into events, in words for people and details for programs.
// Thread-safe; the clock and the sink must outlive it.
//
// What was cancelled is no event: somebody wanted it so. What a check says of streaming isn't
// either: stream_watch.h tells of that, with more patience.
#pragma once

#include <string>

#include "agent/checks/findings.h"
#include "notify/event_log.h"
#include "repository/backup/backup_manifest.h"
#include "repository/expire/expire.h"
#include "repository/verify/verify.h"

namespace pitr {

class ClusterEvents {
 public:
  // sink: null where nobody is told.
  ClusterEvents(std::string cluster, const Clock& clock, EventSink* sink)
      : cluster_(std::move(cluster)), clock_(clock), sink_(sink) {}

  void backup_ended(const Result<BackupManifest>& result) const;
  void expire_ended(const Result<ExpireReport>& result) const;
  void verification_ended(const Result<VerifyReport>& result) const;
  // What is new and what is gone since the check before.
  void check_ended(const Findings& before, const Findings& after) const;

  // With this cluster's name, and the time.
  void publish(Event event) const;
  void publish(std::vector<Event> events) const {
    for (auto& event : events) publish(std::move(event));
  }

 private:
  void publish(EventType type, std::string message,
               std::map<std::string, std::string> details = {}) const;
  void publish_failure(EventType type, const std::string& what, const Error& error) const;

  const std::string cluster_;
  const Clock& clock_;
  EventSink* const sink_;
};

}  // namespace pitr
