#include "agent/jobs/job_book.h"

#include <algorithm>

#include "config/read_schedule.h"

namespace pitr {

std::string_view to_string(JobKind kind) {
  switch (kind) {
    case JobKind::kCheck:
      return "check";
    case JobKind::kIndependent:
      return "independent";
    case JobKind::kBackup:
      return "backup";
    case JobKind::kExpire:
      return "expire";
    case JobKind::kVerify:
      return "verify";
  }
  return "unknown";
}

static const Schedule& schedule_of(const ScheduleConfig& config, JobKind kind) {
  switch (kind) {
    case JobKind::kCheck:
      return config.check;
    case JobKind::kIndependent:
      return config.independent;
    case JobKind::kBackup:
      return config.backup;
    case JobKind::kExpire:
      return config.expire;
    case JobKind::kVerify:
      return config.verify;
  }
  return config.check;
}

static bool is_backup(JobKind kind) {
  return kind == JobKind::kBackup || kind == JobKind::kIndependent;
}

Result<JobBook> JobBook::create(std::string cluster, const ScheduleConfig& config) {
  JobBook book(std::move(cluster));
  TRY(book.set_schedule(config));
  return book;
}

Result<void> JobBook::set_schedule(const ScheduleConfig& config) {
  const auto zone = TRY(TimeZone::find(config.time_zone));
  for (const JobKind kind : kJobKinds) {
    const Schedule& schedule = schedule_of(config, kind);
    JobRules rules{schedule, zone, Milliseconds(0), std::nullopt};
    // Both kinds of backups at the same times of the same day meet, and one is enough.
    if (kind != JobKind::kCheck) {
      rules.offset =
          jitter_offset(config.jitter, cluster_, is_backup(kind) ? "backup" : to_string(kind));
    }
    if (is_backup(kind)) rules.window = config.window;
    const auto known = jobs_.find(kind);
    if (known == jobs_.end()) {
      jobs_.emplace(kind, Job{std::move(rules), schedule_text(schedule), {}, {}});
    } else {
      known->second.rules = std::move(rules);
      known->second.schedule = schedule_text(schedule);
    }
  }
  return {};
}

void JobBook::set_done(JobKind kind, std::optional<Timestamp> began) {
  jobs_.at(kind).record.memory.done = began;
}

bool JobBook::is_due(JobKind kind, Timestamp now) {
  Job& job = jobs_.at(kind);
  forget_future(job.record.memory, now);
  const auto due = due_at(job.rules, job.record.memory, now);
  return due && *due <= now;
}

// The one that has waited longest: a backup that is due again as soon as it ends must not keep
// expiry waiting for ever.
std::optional<JobKind> JobBook::first_due(std::span<const JobKind> among, Timestamp now) {
  std::optional<JobKind> first;
  Timestamp first_since;
  for (const JobKind kind : among) {
    if (!is_due(kind, now)) continue;
    const Job& job = jobs_.at(kind);
    const auto& memory = job.record.memory;
    // What was never done is due "now" at any time, and has waited longest.
    const bool was_done = memory.done || memory.concluded;
    const auto since = was_done ? due_at(job.rules, memory, now).value_or(now) : Timestamp();
    if (first && since >= first_since) continue;
    first = kind;
    first_since = since;
  }
  // One backup is enough where both kinds are due.
  const bool has_independent = std::ranges::find(among, JobKind::kIndependent) != among.end();
  if (first == JobKind::kBackup && has_independent && is_due(JobKind::kIndependent, now)) {
    first = JobKind::kIndependent;
  }
  return first;
}

std::optional<Timestamp> JobBook::next_due(std::span<const JobKind> among, Timestamp now) {
  std::optional<Timestamp> next;
  for (const JobKind kind : among) {
    const Job& job = jobs_.at(kind);
    const auto due = due_at(job.rules, job.record.memory, now);
    if (due && (!next || *due < *next)) next = due;
  }
  return next;
}

void JobBook::end(JobKind kind, Timestamp now, const Result<std::string>& result) {
  Job& job = jobs_.at(kind);
  const Timestamp started = job.running_since.value_or(now);
  job.running_since.reset();
  job.record.last = JobEnd{started, now, "", ""};
  auto& memory = job.record.memory;
  if (!result) {
    job.record.last->error = result.error().message();
    ++memory.failures;
    memory.last_failure = now;
    // Damage is there tomorrow, too.
    const bool found_damage =
        kind == JobKind::kVerify && result.error().kind() == ErrorKind::kCorrupt;
    if (found_damage) memory.concluded = started;
    return;
  }
  job.record.last->result = *result;
  memory = {};
  memory.done = started;
  if (kind == JobKind::kIndependent) jobs_.at(JobKind::kBackup).record.memory = memory;
}

std::vector<JobStatus> JobBook::status(Timestamp now) const {
  std::vector<JobStatus> all;
  for (const auto& [kind, job] : jobs_) {
    const auto& memory = job.record.memory;
    all.push_back({kind, job.schedule, due_at(job.rules, memory, now), job.running_since,
                   memory.done, memory.failures, job.record.last});
  }
  return all;
}

}  // namespace pitr
