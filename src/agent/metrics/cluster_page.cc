#include <fmt/format.h>

#include <algorithm>

#include "agent/metrics/metric_page.h"
#include "agent/metrics/metrics.h"
#include "common/readable.h"

namespace pitr {
namespace {

// The one cluster's samples: each has its name as first label.
class ClusterPage {
 public:
  ClusterPage(MetricPage& page, const ClusterObservations& cluster, const Clock& clock)
      : page_(page),
        name_(cluster.service.config().name),
        config_(cluster.service.config()),
        retention_(cluster.service.retention_config()),
        counters_(cluster.service.counters()),
        status_(cluster.service.status()),
        server_(cluster.server.view(clock.steady_now())),
        report_(cluster.report.view(clock.steady_now())),
        survey_(cluster.survey.view(clock.steady_now())),
        now_(clock.now()) {}

  void write() {
    objectives();
    server();
    slot();
    receiver();
    positions();
    watermark();
    segments();
    archiving();
    windows();
    estimate();
    backup_runs();
    last_backups();
    stored();
    jobs();
    retention();
  }

 private:
  void gauge(std::string_view name, std::string_view help, double value) {
    page_.gauge(name, help, {{"cluster", name_}}, value);
  }
  void gauge(std::string_view name, std::string_view help, std::string_view label,
             std::string_view label_value, double value) {
    page_.gauge(name, help, {{"cluster", name_}, {label, label_value}}, value);
  }
  void time(std::string_view name, std::string_view help, Timestamp value) {
    page_.time(name, help, {{"cluster", name_}}, value);
  }
  void counter(std::string_view name, std::string_view help, std::uint64_t value) {
    page_.counter(name, help, {{"cluster", name_}}, static_cast<double>(value));
  }
  void bytes(std::string_view name, std::string_view help, std::uint64_t value) {
    gauge(name, help, static_cast<double>(value));
  }

  void objectives() {
    const auto& o = config_.objectives;
    gauge("pitr_objective_rpo_seconds", "At most so much may be lost (configuration).",
          to_seconds(o.rpo));
    gauge("pitr_objective_rto_seconds", "A restore should take no longer (configuration).",
          to_seconds(o.rto));
    gauge("pitr_objective_backup_age_seconds",
          "The newest backup should be no older (configuration).", to_seconds(o.backup_age));
    gauge("pitr_objective_verification_age_seconds",
          "The last verification should be no older (configuration).",
          to_seconds(o.verification_age));
  }

  void server() {
    gauge("pitr_server_up", "Whether the database answered when it was last asked.", server_.up);
    time("pitr_server_refresh_timestamp_seconds",
         "When the database last answered; pitr_slot_... are of that time.", server_.refreshed);
  }

  void slot() {
    if (!server_.value) return;
    const auto& slot = *server_.value;
    gauge("pitr_slot_exists", "Whether the replication slot is there.", slot.exists);
    gauge("pitr_slot_active", "Whether a connection uses the slot.", slot.active);
    if (slot.retained_bytes) {
      bytes("pitr_slot_retained_bytes", "WAL that the server keeps for the slot.",
            *slot.retained_bytes);
    }
    if (slot.safe_wal_size_bytes) {
      gauge("pitr_slot_safe_bytes",
            "WAL that can be written before the slot may lose some (max_slot_wal_keep_size).",
            static_cast<double>(*slot.safe_wal_size_bytes));
    }
    for (const std::string_view status : {"reserved", "extended", "unreserved", "lost"}) {
      gauge("pitr_slot_wal_status", "1 for the slot's wal_status, 0 for the others.", "status",
            status, slot.wal_status == status);
    }
  }

  void receiver() {
    using State = WalReceiverState;
    for (const auto state : {State::kConnecting, State::kStreaming, State::kWaiting}) {
      const bool is =
          status_.receiver ? status_.receiver->state == state : state == State::kConnecting;
      gauge("pitr_receiver_state", "1 for what the WAL receiver does, 0 for the others.", "state",
            to_string(state), is);
    }
    const auto& receiver = status_.receiver;
    counter("pitr_receiver_connections_total", "Connections that the WAL receiver began.",
            counters_.former_connections + (receiver ? receiver->connections : 0));
    counter("pitr_wal_gaps_total",
            "Times that the server had removed WAL before it was received: it is lost.",
            counters_.former_gaps + (receiver ? receiver->gaps : 0));
  }

  void position(std::string_view name, std::string_view help, Lsn lsn) {
    if (!lsn.is_none()) bytes(name, help, lsn.value());
  }

  void positions() {
    if (!status_.receiver) return;
    const auto& r = *status_.receiver;
    position("pitr_wal_server_lsn_bytes", "The server's end of WAL when it last spoke.",
             r.server_lsn);
    position("pitr_wal_received_lsn_bytes", "Received and written up to here.", r.received_lsn);
    position("pitr_wal_durable_lsn_bytes", "Durable in the repository up to here.", r.durable_lsn);
    position("pitr_wal_acknowledged_lsn_bytes", "Reported to the server as durable up to here.",
             r.acknowledged_lsn);
    bytes("pitr_wal_lag_bytes", "WAL of the server that is not durable in the repository.",
          r.server_lsn > r.durable_lsn ? r.server_lsn - r.durable_lsn : 0);
    gauge("pitr_wal_timeline", "The timeline that is streamed.", r.timeline.value());
    if (r.last_message != Timestamp()) {
      time("pitr_wal_last_message_timestamp_seconds",
           "When the server last said something while streaming, by its clock.", r.last_message);
    }
  }

  // The newest of what this process wrote and what was found in the repository.
  void watermark() {
    Timestamp newest;
    if (status_.receiver && status_.receiver->watermark) newest = status_.receiver->watermark->time;
    if (report_.value && report_.value->watermark) {
      newest = std::max(newest, report_.value->watermark->time);
    }
    if (newest == Timestamp()) return;
    time("pitr_wal_watermark_timestamp_seconds",
         "Everything committed before this time, by the server's clock, is in the repository.",
         newest);
    gauge("pitr_wal_lag_seconds", "How long ago the watermark is.",
          std::max(0.0, to_seconds(now_ - newest)));
  }

  void segments() {
    for (const auto way : SegmentCounts::kWays) {
      for (const auto outcome : SegmentCounts::kOutcomes) {
        page_.counter(
            "pitr_wal_segments_total", "Complete WAL segments, by their way in and outcome.",
            {{"cluster", name_}, {"way", to_string(way)}, {"outcome", to_string(outcome)}},
            static_cast<double>(counters_.segments.count(way, outcome)));
      }
    }
  }

  void archiving() {
    for (const auto outcome : SegmentCounts::kOutcomes) {
      page_.counter("pitr_archive_requests_total", "Files that archive_command handed over.",
                    {{"cluster", name_}, {"outcome", to_string(outcome)}},
                    static_cast<double>(counters_.archived(outcome)));
    }
    page_.histogram("pitr_archive_request_duration_seconds",
                    "How long archive_command had to wait for the agent.", {{"cluster", name_}},
                    counters_.archive_latency.snapshot());
  }

  void windows() {
    gauge("pitr_report_up", "Whether the last look at this cluster in the repository succeeded.",
          report_.up);
    time("pitr_report_refresh_timestamp_seconds",
         "When the repository was last looked through for this cluster.", report_.refreshed);
    if (!report_.value) return;
    const auto& report = *report_.value;
    gauge("pitr_recovery_windows", "Stretches of time that can be restored to without a hole.",
          static_cast<double>(report.windows.size()));
    gauge("pitr_damaged_units",
          "Packs and stretches of WAL that verification found damaged and not right since.",
          static_cast<double>(report.damaged.size()));
    gauge("pitr_recovery_window_broken",
          "Whether the current window ends before the newest WAL, as some is missing.",
          !report.window_ended_by.empty());
    if (report.windows.empty()) return;
    const auto& window = report.windows.back();
    time("pitr_recovery_window_start_timestamp_seconds",
         "Every moment since then can be restored, up to the end.", window.from);
    time("pitr_recovery_window_end_timestamp_seconds", "See the start.", window.to);
  }

  // What a restore of the newest state would have to do, and how long at the configured rates.
  void estimate() {
    if (!report_.value || !report_.value->last_backup) return;
    const auto& backup = *report_.value->last_backup;
    Lsn end = report_.value->watermark ? report_.value->watermark->lsn : backup.stop_lsn;
    if (status_.receiver) end = std::max(end, status_.receiver->durable_lsn);
    const std::uint64_t replay = end > backup.start_lsn ? end - backup.start_lsn : 0;
    const auto& o = config_.objectives;
    bytes("pitr_recovery_replay_bytes", "WAL from the newest backup's start to the newest WAL.",
          replay);
    gauge(
        "pitr_recovery_estimated_seconds",
        "How long a restore of the newest state takes at the configured rates.",
        static_cast<double>(backup.total_bytes) / static_cast<double>(o.restore_bytes_per_second) +
            static_cast<double>(replay) / static_cast<double>(o.replay_bytes_per_second));
  }

  void backup_runs() {
    for (const auto& [key, count] : counters_.backups()) {
      page_.counter("pitr_backup_runs_total", "Base backups that ended, by type and outcome.",
                    {{"cluster", name_}, {"type", key.first}, {"outcome", to_string(key.second)}},
                    static_cast<double>(count));
    }
    gauge("pitr_backup_running", "Whether a base backup is under way.",
          status_.running_backup.has_value());
    time("pitr_backup_last_failure_timestamp_seconds",
         "When a base backup last failed, since the agent started; 0: none did.",
         counters_.last_backup_failure());
  }

  void last_backups() {
    for (const std::string_view type : {"full", "incremental"}) {
      const BackupManifest* last = nullptr;
      if (report_.value) {
        const auto& known = report_.value->last_of_types;
        const auto found = std::ranges::find(known, type, backup_type);
        if (found != known.end()) last = &*found;
      }
      const auto ended = std::max(counters_.last_backup_success(type),
                                  last != nullptr ? last->stop_time : Timestamp());
      // Before the repository was looked through nobody knows whether there is none.
      if (!report_.value && ended == Timestamp()) continue;
      page_.time("pitr_backup_last_success_timestamp_seconds",
                 "When the newest backup of the type ended; 0: there is none.",
                 {{"cluster", name_}, {"type", type}}, ended);
      if (last == nullptr) continue;
      gauge("pitr_backup_duration_seconds", "Of the newest backup of the type.", "type", type,
            to_seconds(last->stop_time - last->start_time));
      gauge("pitr_backup_total_bytes", "What a restore of it writes.", "type", type,
            static_cast<double>(last->total_bytes));
      gauge("pitr_backup_read_bytes", "What it read of the database.", "type", type,
            static_cast<double>(last->read_bytes));
      gauge("pitr_backup_stored_bytes", "What it added to the repository.", "type", type,
            static_cast<double>(last->stored_bytes));
    }
    if (!report_.value) return;
    gauge("pitr_backups_unfinished", "Backups under way, and attempts that died.",
          static_cast<double>(report_.value->unfinished_count));
    gauge("pitr_backups", "Backups in the repository.",
          static_cast<double>(report_.value->backup_count));
  }

  void stored() {
    if (retention_.max_size_bytes) {
      bytes("pitr_stored_max_bytes", "The cluster should take no more (configuration).",
            *retention_.max_size_bytes);
    }
    time("pitr_survey_refresh_timestamp_seconds",
         "When everything that is stored was last looked through; pitr_stored_..., "
         "pitr_backups_by_tier, pitr_verification_... are of that time.",
         survey_.refreshed);
    if (!survey_.value) return;
    const auto& survey = *survey_.value;
    for (const auto& [kind, counts] : survey.stored) {
      gauge("pitr_stored_bytes", "What is stored of the cluster, by kind of object.", "kind", kind,
            static_cast<double>(counts.bytes));
      gauge("pitr_stored_objects", "Objects of the cluster in the repository.", "kind", kind,
            static_cast<double>(counts.objects));
    }
    for (const auto& [tier, count] : survey.by_tier) {
      gauge("pitr_backups_by_tier", "Backups that a retention tier keeps; one may be in several.",
            "tier", tier, static_cast<double>(count));
    }
    gauge("pitr_backups_not_kept", "Backups that no retention tier keeps: expire removes them.",
          static_cast<double>(survey.not_kept));
    gauge("pitr_backups_verified", "Backups that were verified.",
          static_cast<double>(survey.verified));
    time("pitr_cluster_registered_timestamp_seconds",
         "When the repository took the cluster up, or its newest database.", survey.registered);
    time("pitr_verification_last_success_timestamp_seconds",
         "When a backup was last verified; 0: none was.", survey.last_verified);
  }

  void jobs() {
    for (const auto kind : kJobKinds) {
      const auto job = counters_.jobs.job(kind);
      const auto name = to_string(kind);
      for (const auto outcome : {Outcome::kSuccess, Outcome::kFailure, Outcome::kCancelled}) {
        page_.counter("pitr_job_runs_total", "Jobs that the agent ran, by kind and outcome.",
                      {{"cluster", name_}, {"kind", name}, {"outcome", to_string(outcome)}},
                      static_cast<double>(job.runs[static_cast<std::size_t>(outcome)]));
      }
      page_.time("pitr_job_last_success_timestamp_seconds",
                 "When such a job last succeeded, since the agent started; 0: none did.",
                 {{"cluster", name_}, {"kind", name}}, job.last_success);
      page_.time("pitr_job_last_failure_timestamp_seconds",
                 "When such a job last failed, since the agent started; 0: none did.",
                 {{"cluster", name_}, {"kind", name}}, job.last_failure);
      gauge("pitr_job_last_duration_seconds", "How long the last such job took.", "kind", name,
            to_seconds(job.last_duration));
    }
  }

  void retention() {
    counter("pitr_retention_dropped_backups_total", "Backups that retention let go.",
            counters_.dropped_backups);
    counter("pitr_retention_deleted_objects_total", "Objects that retention deleted.",
            counters_.deleted_objects);
    counter("pitr_retention_deleted_bytes_total", "Bytes that retention deleted.",
            counters_.deleted_bytes);
  }

  MetricPage& page_;
  const std::string& name_;
  const ClusterConfig& config_;
  const RetentionConfig retention_;  // as reloaded
  const ClusterCounters& counters_;
  const ServiceStatus status_;
  const Observed<SlotReport>::View server_;
  const Observed<RepositoryReport>::View report_;
  const Observed<ClusterSurvey>::View survey_;
  const Timestamp now_;
};

}  // namespace

void write_cluster(MetricPage& page, const ClusterObservations& cluster, const Clock& clock) {
  ClusterPage(page, cluster, clock).write();
}

}  // namespace pitr
