#include "agent/jobs/job_runner.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/jobs/job_state.h"
#include "common/log.h"

namespace pitr {

// The wall clock may be stepped while a thread sleeps.
static constexpr Milliseconds kLongestSleep = Seconds(20);
// Of a thread that only waits for the next job.
static constexpr Milliseconds kLongestSilence = std::chrono::minutes(2);
// Backups come and go by other hands as well, and so do whole databases.
static constexpr Milliseconds kLookInterval = std::chrono::minutes(10);

static constexpr std::array kWork{JobKind::kIndependent, JobKind::kBackup, JobKind::kExpire,
                                  JobKind::kVerify};
static constexpr std::array kChecks{JobKind::kCheck};
static constexpr std::array kBackups{JobKind::kIndependent, JobKind::kBackup};

static std::span<const JobKind> kinds_of(JobRunner::Lane lane) {
  if (lane == JobRunner::Lane::kWork) return kWork;
  return kChecks;
}

static std::string name_of(JobKind kind) {
  switch (kind) {
    case JobKind::kCheck:
      return "a check";
    case JobKind::kIndependent:
      return "a scheduled independent backup";
    case JobKind::kBackup:
      return "a scheduled backup";
    case JobKind::kExpire:
      return "scheduled expiry";
    case JobKind::kVerify:
      return "scheduled verification";
  }
  return "a job";
}

JobRunner::JobRunner(std::string cluster, JobBook book, Jobs& jobs, JobSlots& slots, JobTurn& turn,
                     const Clock& clock, Path state_file)
    : cluster_(std::move(cluster)),
      jobs_(jobs),
      slots_(slots),
      turn_(turn),
      clock_(clock),
      state_file_(std::move(state_file)),
      book_(std::move(book)) {
  auto records = read_job_state(state_file_);
  if (!records) {
    log::warning("cluster {}: what was done last isn't known: {}", cluster_,
                 records.error().message());
    return;
  }
  for (auto& [kind, record] : *records) book_.restore(kind, std::move(record));
}

JobRunner::~JobRunner() {
  request_stop();
}

void JobRunner::start() {
  work_ = std::jthread([this] { loop(Lane::kWork, stop_.get_token()); });
  checks_ = std::jthread([this] { loop(Lane::kChecks, stop_.get_token()); });
}

void JobRunner::request_stop() {
  stop_.request_stop();
}

Result<void> JobRunner::set_schedule(const ScheduleConfig& config) {
  std::lock_guard lock(mutex_);
  TRY(book_.set_schedule(config));
  ++changes_;
  changed_.notify_all();
  return {};
}

std::vector<JobStatus> JobRunner::status() const {
  std::lock_guard lock(mutex_);
  return book_.status(clock_.now());
}

void JobRunner::note_beat(Lane lane, bool is_busy) {
  std::lock_guard lock(mutex_);
  beats_[static_cast<std::size_t>(lane)] = {is_busy, clock_.steady_now()};
}

bool JobRunner::is_alive() const {
  std::lock_guard lock(mutex_);
  return std::ranges::all_of(beats_, [&](const Beat& beat) {
    return beat.is_busy || clock_.steady_now() - beat.last < kLongestSilence;
  });
}

void JobRunner::loop(Lane lane, std::stop_token stop) {
  while (!stop.stop_requested()) {
    note_beat(lane, true);
    const bool did_something = run_due(lane, stop);
    note_beat(lane, false);
    if (!did_something) wait(lane, stop);
  }
}

void JobRunner::wait(Lane lane, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  const auto now = clock_.now();
  auto sleep = std::chrono::duration_cast<Microseconds>(kLongestSleep);
  if (const auto next = book_.next_due(kinds_of(lane), now)) {
    sleep = std::clamp(*next - now, Microseconds(1000), sleep);
  }
  changed_.wait_for(lock, stop, sleep, [&, seen = changes_] { return changes_ != seen; });
}

bool JobRunner::run_due(Lane lane, std::stop_token stop) {
  if (lane == Lane::kWork) look_for_backups();
  std::optional<JobKind> due;
  {
    std::lock_guard lock(mutex_);
    due = book_.first_due(kinds_of(lane), clock_.now());
    if (due) book_.begin(*due, clock_.now());
  }
  if (!due) return false;
  run(*due, stop);
  return true;
}

// ---- Backups
// -------------------------------------------------------------------------------------

Result<void> JobRunner::note_last_backup(JobKind kind) {
  const auto now = clock_.now();
  const auto began = TRY(jobs_.last_backup(kind, now));
  // Where there are backups, expiry has let the independent one go. That is no reason to take
  // another one before its time.
  const bool was_let_go = !began && kind == JobKind::kIndependent &&
                          TRY(jobs_.last_backup(JobKind::kBackup, now)).has_value();
  std::lock_guard lock(mutex_);
  if (was_let_go && book_.record(kind).memory.done) return {};
  book_.set_done(kind, began);
  return {};
}

void JobRunner::look_for_backups() {
  const auto now = clock_.steady_now();
  if (has_looked_ && now - looked_ < kLookInterval) return;
  has_looked_ = true;
  looked_ = now;
  for (const JobKind kind : kBackups) {
    const auto noted = note_last_backup(kind);
    // What is known counts on; a backup that is due will tell.
    if (!noted) log::debug("cluster {}: {}", cluster_, noted.error().message());
  }
}

// Looked up once more when the turn has come: an operator may have taken one meanwhile.
Result<std::string> JobRunner::run_backup(JobKind kind, std::stop_token stop, bool& needed) {
  if (auto noted = note_last_backup(kind); !noted) {
    jobs_.could_not_begin(kind, noted.error());
    return noted.error();
  }
  {
    std::lock_guard lock(mutex_);
    needed = book_.is_due(kind, clock_.now());
    if (!needed) return std::string();
    book_.begin(kind, clock_.now());
  }
  return jobs_.run(kind, stop);
}

// ---- Running
// -------------------------------------------------------------------------------------

// The slot comes first: who waits for one must not keep an operator from the cluster's turn.
Result<std::string> JobRunner::run_in_turn(JobKind kind, std::stop_token stop, bool& needed) {
  if (kind == JobKind::kCheck) return jobs_.run(kind, stop);
  const auto slot = TRY(slots_.take(stop));
  const auto turn = TRY(turn_.take(name_of(kind), stop));
  const bool is_backup = std::ranges::find(kBackups, kind) != kBackups.end();
  if (is_backup) return run_backup(kind, stop, needed);
  return jobs_.run(kind, stop);
}

void JobRunner::run(JobKind kind, std::stop_token stop) {
  bool needed = true;
  const auto result = [&]() -> Result<std::string> {
    try {
      return run_in_turn(kind, stop, needed);
    } catch (const std::exception& exception) {  // such as a lack of memory: other clusters go on
      return Error::internal(fmt::format("it broke off: {}", exception.what()));
    }
  }();
  const bool is_stopped = !result && stop.stop_requested();
  if (!needed || is_stopped) {
    std::lock_guard lock(mutex_);
    return book_.leave(kind);
  }
  finish(kind, result);
}

static std::string delay_text(unsigned failures) {
  const auto delay = std::chrono::duration_cast<std::chrono::minutes>(retry_delay(failures));
  return fmt::format("in {} min", delay.count());
}

void JobRunner::finish(JobKind kind, const Result<std::string>& result) {
  unsigned failures = 0;
  bool is_concluded = false;
  {
    std::lock_guard lock(mutex_);
    book_.end(kind, clock_.now(), result);
    const auto& memory = book_.record(kind).memory;
    failures = memory.failures;
    is_concluded = memory.concluded.has_value();
  }
  if (result) {
    if (kind != JobKind::kCheck) log::info("cluster {}: {}: {}", cluster_, name_of(kind), *result);
  } else {
    log::error("cluster {}: {} failed ({} in a row), and is tried again {}: {}{}{}", cluster_,
               name_of(kind), failures, is_concluded ? "at its next time" : delay_text(failures),
               result.error().message(), result.error().hint().empty() ? "" : "; ",
               result.error().hint());
  }
  // A check comes soon again, and is due at once after a start.
  if (kind != JobKind::kCheck) save();
}

void JobRunner::save() {
  JobRecords records;
  {
    std::lock_guard lock(mutex_);
    for (const JobKind kind : kWork) records.emplace(kind, book_.record(kind));
  }
  const auto saved = write_job_state(state_file_, records);
  std::lock_guard lock(mutex_);
  if (!saved && can_save_) {
    log::warning("cluster {}: what was done last is forgotten when the agent ends: {}", cluster_,
                 saved.error().message());
  }
  can_save_ = saved.has_value();
}

}  // namespace pitr
