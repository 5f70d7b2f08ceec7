#include "agent/metrics/metrics.h"

#include <algorithm>

#include "agent/metrics/metric_page.h"
#include "agent/reports/cluster_status.h"
#include "agent/reports/repository_report.h"
#include "common/readable.h"
#include "common/retry.h"
#include "repository/incarnations.h"

namespace pitr {

static constexpr int kRestFactor = 20;

// How long to rest after a look that took so long. A look that hung with its storage doesn't make
// the next one wait for hours.
static SteadyTime::duration rest_after(SteadyTime::duration look, Milliseconds at_least,
                                       Milliseconds at_most) {
  return std::clamp<SteadyTime::duration>(look * kRestFactor, at_least, at_most);
}

Metrics::Metrics(const Config& config, Repository& repository,
                 const std::vector<ClusterService*>& services, const StorageMeter* meter,
                 const Notifier& notifier, Clock& clock, MetricsIntervals intervals)
    : config_(config),
      repository_(repository),
      meter_(meter),
      notifier_(notifier),
      clock_(clock),
      intervals_(intervals),
      probe_(intervals.patience),
      keys_(intervals.patience),
      restores_(intervals.patience),
      restore_watch_(repository, clock.now()) {
  for (const auto& service : services) {
    clusters_.push_back(std::make_unique<ClusterObservations>(*service, intervals.patience));
    auto* cluster = clusters_.back().get();
    service->counters().tell_of_backups([this, cluster] {
      std::lock_guard lock(mutex_);
      cluster->next_report = cluster->next_survey = SteadyTime();
      due_.notify_all();
    });
  }
  for (const auto& cluster : clusters_) {
    threads_.emplace_back(
        [this, one = cluster.get()](std::stop_token stop) { watch_server(*one, stop); });
  }
  threads_.emplace_back([this](std::stop_token stop) { probe(stop); });
  threads_.emplace_back([this](std::stop_token stop) { list(stop); });
}

Metrics::~Metrics() {
  for (const auto& cluster : clusters_) cluster->service.counters().tell_of_backups({});
  for (auto& thread : threads_) thread.request_stop();
}

// ---- Looking
// -------------------------------------------------------------------------------------

void Metrics::watch_server(ClusterObservations& cluster, std::stop_token stop) {
  do {
    cluster.server.refresh(clock_, [&] { return report_slot(cluster.service.config(), stop); });
  } while (sleep_for(intervals_.server, stop));
}

static Result<RepositoryProbe> probe_storage(Storage& storage) {
  TRY(storage.stat(layout::repository_json()));
  RepositoryProbe probe;
  probe.free_bytes = TRY(storage.free_bytes());
  probe.capacity_bytes = TRY(storage.capacity_bytes());
  return probe;
}

void Metrics::probe(std::stop_token stop) {
  do {
    probe_.refresh(clock_, [&] { return probe_storage(repository_.storage()); });
  } while (sleep_for(intervals_.probe, stop));
}

static SteadyTime due_time(const ClusterObservations& cluster) {
  return std::min(cluster.next_report, cluster.next_survey);
}

ClusterObservations* Metrics::first_due() const {
  const auto first = std::ranges::min_element(
      clusters_, {}, [](const auto& cluster) { return due_time(*cluster); });
  return first->get();
}

// Waits for the cluster that is due first. Null: stopped.
ClusterObservations* Metrics::next_to_list(std::stop_token stop, bool& survey) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    auto* first = first_due();
    const auto due = due_time(*first);
    const auto now = std::chrono::steady_clock::now();
    if (due <= now) {
      survey = first->next_report > now;  // the report comes first, as it's quick
      return first;
    }
    due_.wait_until(lock, stop, due, [&] { return due_time(*first_due()) < due; });
  }
  return nullptr;
}

static Result<RepositoryReport> report_cluster(Repository& repository, const std::string& name) {
  const auto store = TRY(newest_incarnation(repository, name));
  return report_repository(store);
}

void Metrics::list_one(ClusterObservations& cluster, bool survey) {
  const auto& config = cluster.service.config();
  const auto begin = std::chrono::steady_clock::now();
  {
    // Before the look: what is asked for meanwhile counts.
    std::lock_guard lock(mutex_);
    (survey ? cluster.next_survey : cluster.next_report) = SteadyTime::max();
  }
  if (survey) {
    const auto retention = cluster.service.retention_config();
    cluster.survey.refresh(
        clock_, [&] { return survey_cluster(repository_, config.name, retention, clock_); });
    keys_.refresh(clock_, [&] { return survey_keys(repository_); });
  } else {
    cluster.report.refresh(clock_, [&] { return report_cluster(repository_, config.name); });
  }
  const auto end = std::chrono::steady_clock::now();
  // What failed is tried again soon: the repository may be back.
  const bool is_up = survey ? cluster.survey.view(end).up : cluster.report.view(end).up;
  const auto& at_least = survey && is_up ? intervals_.survey : intervals_.report;
  const auto& at_most = survey ? intervals_.longest_survey_rest : intervals_.longest_report_rest;
  const auto rest = is_up ? rest_after(end - begin, at_least, at_most) : at_least;
  std::lock_guard lock(mutex_);
  auto& next = survey ? cluster.next_survey : cluster.next_report;
  next = std::min(next, end + rest);
}

void Metrics::look_for_restores() {
  const auto begin = std::chrono::steady_clock::now();
  if (begin < next_restores_) return;
  restores_.refresh(clock_, [&] { return restore_watch_.look(clock_.now()); });
  const auto end = std::chrono::steady_clock::now();
  next_restores_ = end + rest_after(end - begin, intervals_.report, intervals_.longest_report_rest);
}

void Metrics::list(std::stop_token stop) {
  bool survey = false;
  while (auto* cluster = next_to_list(stop, survey)) {
    list_one(*cluster, survey);
    look_for_restores();
  }
}

// ---- Telling
// -------------------------------------------------------------------------------------

static void write_storage(MetricPage& page, const StorageMeter& meter) {
  for (const auto request : StorageMeter::kRequests) {
    const auto& counts = meter.of(request);
    const auto name = to_string(request);
    constexpr std::string_view kTotal = "pitr_storage_requests_total";
    constexpr std::string_view kHelp = "Requests to the repository's storage that ended.";
    page.counter(kTotal, kHelp, {{"request", name}, {"outcome", "success"}},
                 static_cast<double>(counts.succeeded));
    page.counter(kTotal, kHelp, {{"request", name}, {"outcome", "failure"}},
                 static_cast<double>(counts.failed));
    page.histogram("pitr_storage_request_duration_seconds",
                   "How long requests to the repository's storage took.", {{"request", name}},
                   counts.latency.snapshot());
  }
  page.gauge("pitr_storage_requests_in_progress",
             "Requests to the repository's storage that have not ended.", {},
             static_cast<double>(meter.in_progress()));
}

void Metrics::write_repository(MetricPage& page) const {
  const auto probe = probe_.view(clock_.steady_now());
  page.gauge("pitr_repository_up", "Whether the repository answered when it was last asked.", {},
             probe.up);
  page.time("pitr_repository_refresh_timestamp_seconds", "When the repository last answered.", {},
            probe.refreshed);
  page.gauge("pitr_repository_encrypted", "Whether what is stored is encrypted.", {},
             repository_.encrypted());
  if (probe.value && probe.value->free_bytes) {
    page.gauge("pitr_repository_free_bytes", "Room left where the repository is.", {},
               static_cast<double>(*probe.value->free_bytes));
  }
  if (probe.value && probe.value->capacity_bytes) {
    page.gauge("pitr_repository_capacity_bytes", "Room in all where the repository is.", {},
               static_cast<double>(*probe.value->capacity_bytes));
  }
  const auto keys = keys_.view(clock_.steady_now());
  if (keys.value && keys.value->epoch > 0) {
    page.gauge("pitr_key_epoch", "Number of the data key that seals what is written now.", {},
               keys.value->epoch);
    page.time("pitr_key_epoch_created_timestamp_seconds",
              "When that data key was made, or wrapped anew.", {}, keys.value->created);
    page.gauge("pitr_objective_key_age_seconds", "A data key should be no older (configuration).",
               {}, to_seconds(config_.objectives.key_age));
  }
  if (meter_ != nullptr) write_storage(page, *meter_);
}

// Of all clusters, also where no restore is known.
static void write_restores(MetricPage& page, const std::vector<ClusterConfig>& clusters,
                           const RestoresByCluster& restores) {
  for (const auto& cluster : clusters) {
    const auto found = restores.find(cluster.name);
    const auto counts = found == restores.end() ? RestoreCounts() : found->second;
    constexpr std::string_view kTotal = "pitr_restores_total";
    constexpr std::string_view kHelp = "Restores that ended, wherever they were made.";
    page.counter(kTotal, kHelp, {{"cluster", cluster.name}, {"outcome", "success"}},
                 static_cast<double>(counts.succeeded));
    page.counter(kTotal, kHelp, {{"cluster", cluster.name}, {"outcome", "failure"}},
                 static_cast<double>(counts.failed));
    page.time("pitr_restore_last_success_timestamp_seconds",
              "When a restore last succeeded, in the last month or since; 0: none did.",
              {{"cluster", cluster.name}}, counts.last_success);
    page.time("pitr_restore_last_failure_timestamp_seconds",
              "When a restore last failed, in the last month or since; 0: none did.",
              {{"cluster", cluster.name}}, counts.last_failure);
  }
}

std::string Metrics::page() const {
  MetricPage page;
  write_process(page);
  write_repository(page);
  for (std::size_t i = 0; i < ApiCounters::kNames.size(); ++i) {
    page.counter("pitr_api_requests_total", "Requests to the API over TCP, by how they ended.",
                 {{"outcome", ApiCounters::kNames[i]}}, static_cast<double>(api_.of(i)));
  }
  for (const auto& cluster : clusters_) write_cluster(page, *cluster, clock_);
  const auto restores = restores_.view(clock_.steady_now());
  if (restores.value) write_restores(page, config_.clusters, *restores.value);
  write_notifications(page, notifier_.status());
  return page.text();
}

}  // namespace pitr
