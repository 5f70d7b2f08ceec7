// The agent's metrics: one page for each scrape, put together from what is in memory, in a moment,
// whatever hangs. What isn't in memory (the slot, what the repository holds) is looked up by
// threads of its own from time to time; while database or repository are away, the last values
// stay, with the time when they were found. docs/metrics.md describes every metric.
//
// A thread for each cluster asks its server; one asks the repository whether it answers, another
// one lists it, cluster after cluster. Listing rests twenty times as long as it took, up to a
// quarter of an hour for recovery windows and four hours for everything that is stored.
//
// Thread-safe. Services, repository, meter, notifier and clock must outlive it. The destructor
// waits for looks that are under way, so as long as storage hangs.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "agent/api/api_counters.h"
#include "agent/cluster_service.h"
#include "agent/metrics/observed.h"
#include "agent/metrics/restore_watch.h"
#include "agent/metrics/survey.h"
#include "config/config.h"
#include "notify/notifier.h"
#include "storage/measured/storage_meter.h"

namespace pitr {

class MetricPage;

struct MetricsIntervals {
  Milliseconds server{15'000};
  Milliseconds probe{15'000};      // whether the repository answers, and its free space
  Milliseconds report{60'000};     // backups and recovery windows; at least
  Milliseconds survey{3'600'000};  // everything that is stored; at least, but for new backups
  // After a look that took long, such as one that hung with its storage.
  Milliseconds longest_report_rest{900'000};
  Milliseconds longest_survey_rest{4 * 3'600'000};
  Milliseconds patience{10'000};  // what takes longer is down
};

struct RepositoryProbe {
  std::optional<std::uint64_t> free_bytes;
  std::optional<std::uint64_t> capacity_bytes;
};

// What is known of one cluster besides its service's own status.
struct ClusterObservations {
  explicit ClusterObservations(ClusterService& observed, Milliseconds patience)
      : service(observed), server(patience), report(patience), survey(patience) {}
  ClusterService& service;
  Observed<SlotReport> server;
  Observed<RepositoryReport> report;
  Observed<ClusterSurvey> survey;
  // Guarded by Metrics' mutex.
  SteadyTime next_report;
  SteadyTime next_survey;
};

class Metrics {
 public:
  // meter: null where nothing measures the storage.
  Metrics(const Config& config, Repository& repository,
          const std::vector<ClusterService*>& services, const StorageMeter* meter,
          const Notifier& notifier, Clock& clock, MetricsIntervals intervals = {});
  ~Metrics();

  // All of it, in Prometheus' text format.
  std::string page() const;
  ApiCounters& api() { return api_; }

 private:
  void watch_server(ClusterObservations& cluster, std::stop_token stop);
  void probe(std::stop_token stop);
  void list(std::stop_token stop);
  ClusterObservations* next_to_list(std::stop_token stop, bool& survey);
  ClusterObservations* first_due() const;
  void list_one(ClusterObservations& cluster, bool survey);
  void look_for_restores();
  void write_repository(MetricPage& page) const;

  const Config& config_;
  Repository& repository_;
  const StorageMeter* const meter_;
  const Notifier& notifier_;
  Clock& clock_;
  const MetricsIntervals intervals_;
  ApiCounters api_;
  Observed<RepositoryProbe> probe_;
  Observed<KeySurvey> keys_;
  Observed<RestoresByCluster> restores_;
  RestoreWatch restore_watch_;  // of the listing thread, as is:
  SteadyTime next_restores_;
  std::mutex mutex_;
  std::condition_variable_any due_;
  std::vector<std::unique_ptr<ClusterObservations>> clusters_;
  std::vector<std::jthread> threads_;  // last: they use all of the above
};

// One cluster's part of the page.
void write_cluster(MetricPage& page, const ClusterObservations& cluster, const Clock& clock);
// Who is notified, and whether that works.
void write_notifications(MetricPage& page, const std::vector<DestinationStatus>& destinations);
// The process, as Prometheus' own libraries have it, and the build.
void write_process(MetricPage& page);

}  // namespace pitr
