#include "agent/reports/status_json.h"

#include <nlohmann/json.hpp>

#include "common/readable.h"

namespace pitr {

using Json = nlohmann::json;

template <typename T>
static Json text_or_null(const std::optional<T>& value) {
  return value ? Json(to_string(*value)) : Json();
}

static Json lsn_or_null(Lsn lsn) {
  return lsn.is_none() ? Json() : Json(to_string(lsn));
}

static Json time_or_null(Timestamp time) {
  return time == Timestamp() ? Json() : Json(to_string(time));
}

static Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

static Json to_json(const PromiseCheck& promise) {
  Json blocks = Json::array();
  for (const auto& block : promise.blocks) {
    blocks.push_back({{"path", block.path}, {"block", block.block}});
  }
  return {{"checked_against", promise.against ? Json(promise.against->text()) : Json()},
          {"checked_blocks", promise.checked_blocks},
          {"unexplained_count", promise.unexplained_count},
          {"unexplained", std::move(blocks)}};
}

Json to_json(const BackupManifest& m) {
  Json failures = Json::array();
  for (const auto& failure : m.checksum_failures) {
    failures.push_back({{"path", failure.path}, {"block", failure.block}});
  }
  Json tablespaces = Json::array();
  for (const auto& tablespace : m.tablespaces) {
    tablespaces.push_back({{"oid", tablespace.oid}, {"location", tablespace.location}});
  }
  return {{"id", m.id.text()},
          {"cluster", m.incarnation.cluster},
          {"system_identifier", std::to_string(m.incarnation.system_identifier)},
          {"server_version_num", m.server_version_num},
          {"method", m.method == BackupMethod::kLocal ? "local" : "remote"},
          {"type", backup_type(m)},
          {"parent", m.parent ? Json(m.parent->text()) : Json()},
          {"read_by", to_string(m.reading)},
          {"reason", text_or_null(m.reading_reason)},
          {"label", m.label},
          {"host", m.host},
          {"timeline", m.timeline.value()},
          {"start_lsn", to_string(m.start_lsn)},
          {"stop_lsn", to_string(m.stop_lsn)},
          {"checkpoint_lsn", to_string(m.checkpoint_lsn)},
          {"start_time", to_string(m.start_time)},
          {"stop_time", to_string(m.stop_time)},
          {"duration_s", to_seconds(m.stop_time - m.start_time)},
          {"from_standby", m.from_standby},
          {"data_checksums", m.data_checksum_version != 0},
          {"wal_segment_size_bytes", m.segment_size_bytes},
          {"file_count", m.file_count},
          {"total_bytes", m.total_bytes},
          {"read_bytes", m.read_bytes},
          {"stored_bytes", m.stored_bytes},
          {"pack_count", m.packs.size()},
          {"tablespaces", std::move(tablespaces)},
          {"checksum_failure_count", m.checksum_failure_count},
          {"checksum_failures", std::move(failures)},
          {"promise", to_json(m.promise)}};
}

static Json to_json(const Watermark& watermark) {
  return {{"timeline", watermark.timeline.value()},
          {"lsn", to_string(watermark.lsn)},
          {"time", to_string(watermark.time)}};
}

static Json to_json(const WalReceiverStatus& receiver) {
  const bool knows_lag = receiver.server_lsn > receiver.durable_lsn;
  return {{"state", to_string(receiver.state)},
          {"timeline", receiver.timeline.value()},
          {"received_lsn", lsn_or_null(receiver.received_lsn)},
          {"durable_lsn", lsn_or_null(receiver.durable_lsn)},
          {"acknowledged_lsn", lsn_or_null(receiver.acknowledged_lsn)},
          {"server_lsn", lsn_or_null(receiver.server_lsn)},
          {"lag_bytes", knows_lag ? receiver.server_lsn - receiver.durable_lsn : 0},
          {"last_message", time_or_null(receiver.last_message)},
          {"watermark", receiver.watermark ? to_json(*receiver.watermark) : Json()},
          {"segments_stored", receiver.segments_stored},
          {"connections", receiver.connections},
          {"gaps", receiver.gaps},
          {"last_gap", text_or_null(receiver.last_gap)},
          {"last_error", text_or_null(receiver.last_error)}};
}

static Json to_json(const JobStatus& job) {
  Json last;
  if (job.last) {
    last = {{"started", to_string(job.last->started)},
            {"ended", to_string(job.last->ended)},
            {"outcome", job.last->error.empty() ? "success" : "failure"},
            {"result", text_or_null(job.last->result)},
            {"error", text_or_null(job.last->error)}};
  }
  return {{"job", to_string(job.kind)},
          {"schedule", job.schedule},
          {"next", text_or_null(job.next)},
          {"running_since", text_or_null(job.running_since)},
          {"last_success", text_or_null(job.done)},
          {"failures", job.failures},
          {"last", std::move(last)}};
}

static Json to_json(const CheckReport& check) {
  Json findings = Json::array();
  for (const auto& finding : check.findings.all()) {
    if (finding.severity == Severity::kOk) continue;
    findings.push_back({{"severity", to_string(finding.severity)},
                        {"subject", finding.subject},
                        {"message", finding.message},
                        {"fix", finding.fix}});
  }
  return {{"time", to_string(check.time)},
          {"problems", check.findings.count(Severity::kProblem)},
          {"warnings", check.findings.count(Severity::kWarning)},
          {"findings", std::move(findings)}};
}

static Json to_json(const ServiceStatus& service) {
  Json jobs = Json::array();
  for (const auto& job : service.jobs) jobs.push_back(to_json(job));
  Json running, ended;
  if (service.running_backup) {
    running = {{"started", to_string(service.running_backup->started)},
               {"phase", service.running_backup->phase},
               {"done_bytes", service.running_backup->done_bytes},
               {"total_bytes", service.running_backup->total_bytes}};
  }
  if (service.last_backup_run) {
    ended = {{"time", to_string(service.last_backup_run->time)},
             {"backup", text_or_null(service.last_backup_run->backup)},
             {"error", text_or_null(service.last_backup_run->error)}};
  }
  return {{"receiver", service.receiver ? to_json(*service.receiver) : Json()},
          {"trouble", text_or_null(service.trouble)},
          {"running_backup", std::move(running)},
          {"last_backup_run", std::move(ended)},
          {"jobs", std::move(jobs)},
          {"check", service.check ? to_json(*service.check) : Json()}};
}

static Json windows_json(const RepositoryReport& report) {
  Json windows = Json::array();
  for (const auto& window : report.windows) {
    windows.push_back({{"backup", window.backup.text()},
                       {"timeline", window.timeline.value()},
                       {"from", to_string(window.from)},
                       {"to", to_string(window.to)},
                       {"from_lsn", to_string(window.from_lsn)},
                       {"to_lsn", to_string(window.to_lsn)}});
  }
  return windows;
}

Json recovery_window_json(const std::string& cluster, const RepositoryReport& report) {
  return {{"cluster", cluster},
          {"recovery_windows", windows_json(report)},
          {"window_ended_by", text_or_null(report.window_ended_by)},
          {"watermark", report.watermark ? to_json(*report.watermark) : Json()}};
}

static Json to_json(const RepositoryReport& report) {
  return {{"incarnation", to_string(report.incarnation)},
          {"wal_segment_size_bytes", report.segment_size_bytes},
          {"recovery_windows", windows_json(report)},
          {"window_ended_by", text_or_null(report.window_ended_by)},
          {"watermark", report.watermark ? to_json(*report.watermark) : Json()},
          {"backup_count", report.backup_count},
          {"unfinished_count", report.unfinished_count},
          {"stored_backup_bytes", report.stored_backup_bytes},
          {"last_backup", report.last_backup ? to_json(*report.last_backup) : Json()},
          {"free_bytes", report.free_bytes ? Json(*report.free_bytes) : Json()}};
}

static Json to_json(const SlotReport& slot) {
  return {
      {"exists", slot.exists},
      {"active", slot.active},
      {"wal_status", text_or_null(slot.wal_status)},
      {"restart_lsn", text_or_null(slot.restart_lsn)},
      {"safe_wal_size_bytes", slot.safe_wal_size_bytes ? Json(*slot.safe_wal_size_bytes) : Json()}};
}

Json to_json(const ClusterStatus& status) {
  return {{"cluster", status.name},
          {"server", status.server},
          {"agent", status.agent ? to_json(status.service) : Json()},
          {"repository", status.repository ? to_json(*status.repository) : Json()},
          {"repository_trouble", text_or_null(status.repository_trouble)},
          {"slot", status.slot ? to_json(*status.slot) : Json()},
          {"slot_trouble", text_or_null(status.slot_trouble)}};
}

Result<Json> parse_json(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return Error::corrupt("the answer is not JSON");
  return json;
}

}  // namespace pitr
