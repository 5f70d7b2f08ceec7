#include "programs/pitr_restore/restored_server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <thread>

#include "common/retry.h"
#include "postgres/connection.h"
#include "postgres/control_file.h"
#include "postgres/data_directory.h"
#include "postgres/server_control.h"
#include "postgres/timeline_history.h"
#include "restore/files/file_owner.h"

namespace pitr {

namespace {

constexpr Milliseconds kPollInterval{50};
constexpr Seconds kStartGrace{15};  // until postmaster.pid is there
constexpr std::size_t kKeptLog = 1 << 20;

// Settings that a standby needs at least as large as the primary's, from pg_control (16 and 20
// bytes behind wal_level, catalog/pg_control.h; the same in 13 to 18).
struct StandbySetting {
  const char* name;
  std::size_t offset;
};
constexpr StandbySetting kStandbySettings[] = {{"max_connections", 180},
                                               {"max_worker_processes", 184},
                                               {"max_wal_senders", 188},
                                               {"max_prepared_transactions", 192},
                                               {"max_locks_per_transaction", 196}};

// The server's log, read as it grows.
class ServerLog {
 public:
  explicit ServerLog(Path path) : path_(std::move(path)) {}

  void read_more() {
    const auto file = File::open(path_, O_RDONLY);
    if (!file.has_value()) return;
    Bytes buffer(64 * 1024);
    for (;;) {
      const auto count = file->read_at(buffer, offset_);
      if (!count.has_value() || *count == 0) return;
      text_ += as_text(ByteView(buffer).first(*count));
      offset_ += *count;
      if (text_.size() > 2 * kKeptLog) text_.erase(0, text_.size() - kKeptLog);
      remember_stop();
    }
  }

  bool has(std::string_view text) const { return text_.find(text) != std::string::npos; }
  // "recovery stopping before WAL location (LSN) "0/3000148""
  const std::string& stop_line() const { return stop_line_; }
  std::optional<Lsn> stopped_at() const {
    const auto begin = stop_line_.find('"');
    if (begin == std::string::npos) return std::nullopt;
    const auto end = stop_line_.find('"', begin + 1);
    const auto lsn = Lsn::parse(stop_line_.substr(begin + 1, end - begin - 1));
    return lsn.has_value() ? std::optional(*lsn) : std::nullopt;
  }
  // What restore_command said of the file for which recovery ended.
  struct LostWal {
    std::string file_name;
    std::string complaint;
  };
  std::optional<LostWal> lost_wal() const {
    constexpr std::string_view kLost = "could not restore file \"";
    const auto at = text_.rfind(kLost);
    if (at == std::string::npos) return std::nullopt;
    const auto name = at + kLost.size();
    LostWal lost{text_.substr(name, text_.find('"', name) - name), "its log doesn't say why"};
    const auto before = std::string_view(text_).substr(0, at);
    std::size_t last = 0;  // the small program's, or that of the one that it ran
    for (const std::string_view program : {"\npitr-wal-get: ", "\npitr wal-get: "}) {
      const auto said = before.rfind(program);
      if (said == std::string_view::npos || said < last) continue;
      last = said;
      const auto words = before.substr(said + program.size());
      lost.complaint = words.substr(0, words.find('\n'));
    }
    return lost;
  }
  std::string last_lines(std::size_t count) const {
    auto begin = text_.size();
    for (; begin > 0 && count > 0; --begin) {
      if (text_[begin - 1] == '\n' && begin != text_.size() && --count == 0) break;
    }
    return text_.substr(begin);
  }

 private:
  void remember_stop() {
    if (!stop_line_.empty()) return;
    const auto at = text_.find("recovery stopping ");
    if (at == std::string::npos) return;
    const auto end = text_.find('\n', at);
    if (end != std::string::npos) stop_line_ = text_.substr(at, end - at);
  }

  const Path path_;
  std::uint64_t offset_ = 0;
  std::string text_;
  std::string stop_line_;
};

class RestoredServer {
 public:
  RestoredServer(const StartRequest& request, const RecoveryPlan& plan, Observer& observer)
      : request_(request),
        plan_(plan),
        observer_(observer),
        restore_directory_(request.data_directory / kRestoreDirectory),
        log_file_(restore_directory_ / "server.log"),
        log_(log_file_) {}

  Result<ServerReport> run(std::stop_token stop);

 private:
  enum class Progress { kRunning, kAtTarget, kEnded };

  Result<std::vector<std::string>> settings() const;
  Result<void> add_own_configuration(std::vector<std::string>& settings) const;
  Result<Progress> look();
  Result<bool> is_promoted() const;
  bool is_alive();
  void show_progress();
  Result<ServerReport> compare();
  Result<void> compare_history(ServerReport& report) const;
  void ask_paused_server(ServerReport& report) const;
  ServerReport missed(std::string why) const;
  std::string why_it_ended() const;

  const StartRequest& request_;
  const RecoveryPlan& plan_;
  Observer& observer_;
  const Path restore_directory_;
  const Path log_file_;
  ServerLog log_;
  SteadyTime started_ = std::chrono::steady_clock::now();
  bool was_alive_ = false;
  Lsn shown_;
  std::optional<PostmasterPid> postmaster_;
};

Result<void> RestoredServer::add_own_configuration(std::vector<std::string>& settings) const {
  const auto image = TRY(read_control_file_image(request_.data_directory));
  const auto owner = TRY(owner_for(request_.data_directory));
  const auto add_file = [&](const std::string& name, const std::string& setting,
                            std::string_view text) -> Result<void> {
    const auto path = restore_directory_ / name;
    TRY(write_file_durably(path, as_bytes(text)));
    TRY(give_to(path, owner));
    settings.push_back(fmt::format("{}={}", setting, path.string()));
    return {};
  };
  TRY(add_file("postgresql.conf", "config_file",
               "# The backup holds no postgresql.conf: the original keeps it elsewhere.\n"));
  TRY(add_file("pg_hba.conf", "hba_file",
               "local all all peer\nhost all all 127.0.0.1/32 scram-sha-256\n"
               "host all all ::1/128 scram-sha-256\n"));
  TRY(add_file("pg_ident.conf", "ident_file", "# no mappings\n"));
  for (const auto& [name, offset] : kStandbySettings) {
    settings.push_back(fmt::format("{}={}", name, load<std::int32_t>(image.bytes.data() + offset)));
  }
  return {};
}

// The log is what tells where recovery stopped: it has to be here, and in English.
Result<std::vector<std::string>> RestoredServer::settings() const {
  std::vector<std::string> settings = {"logging_collector=off", "log_destination=stderr",
                                       "lc_messages=C", "log_min_messages=warning",
                                       "hot_standby=on"};
  if (request_.port) settings.push_back(fmt::format("port={}", *request_.port));
  const auto& missing = request_.missing_configuration;
  if (std::ranges::find(missing, "postgresql.conf") != missing.end()) {
    TRY(add_own_configuration(settings));
  }
  settings.insert(settings.end(), request_.settings.begin(), request_.settings.end());
  return settings;
}

bool RestoredServer::is_alive() {
  auto pid_file = read_postmaster_pid(request_.data_directory);
  if (!pid_file.has_value()) {
    return pid_file.error().kind() == ErrorKind::kTransient;
  }
  const auto pid = std::abs(pid_file->pid);
  if (pid == 0 || (::kill(pid, 0) != 0 && errno == ESRCH)) return false;
  postmaster_ = std::move(*pid_file);
  return true;
}

void RestoredServer::show_progress() {
  const auto control = read_control_file(request_.data_directory);
  if (!control.has_value()) return;
  const Lsn now =
      std::clamp(std::max(control->min_recovery_point, control->redo), plan_.wal_start, plan_.end);
  if (now > shown_) observer_.advance(now - shown_);
  shown_ = std::max(shown_, now);
}

Result<bool> RestoredServer::is_promoted() const {
  std::error_code failure;
  if (std::filesystem::exists(request_.data_directory / "recovery.signal", failure)) return false;
  const auto control = TRY(read_control_file(request_.data_directory));
  return control.state == ClusterState::kInProduction;
}

Result<RestoredServer::Progress> RestoredServer::look() {
  const bool alive = is_alive();
  log_.read_more();
  show_progress();
  if (request_.action == RecoveryAction::kPromote) {
    const bool promoted = TRY(is_promoted());
    if (promoted && alive) return Progress::kAtTarget;
  }
  if (request_.action == RecoveryAction::kPause && alive &&
      log_.has("pausing at the end of recovery")) {
    return Progress::kAtTarget;
  }
  was_alive_ = was_alive_ || alive;
  const bool should_be_there =
      was_alive_ || std::chrono::steady_clock::now() - started_ > kStartGrace;
  return !alive && should_be_there ? Progress::kEnded : Progress::kRunning;
}

ServerReport RestoredServer::missed(std::string why) const {
  ServerReport report;
  report.says = std::move(why);
  report.log_file = log_file_;
  return report;
}

std::string RestoredServer::why_it_ended() const {
  const auto log = "the end of its log:\n" + log_.last_lines(12);
  const auto lost = log_.lost_wal();
  if (!lost) return "the server ended before the target was reached; " + log;
  std::string good;
  const auto size = SegmentSize::from_bytes(plan_.segment_size_bytes);
  if (size.has_value()) {
    const auto segment = parse_segment_file_name(lost->file_name, *size);
    if (segment.has_value()) {
      good = fmt::format(" WAL is good up to {}, and a target before that can be reached.",
                         to_string(size->start_of(segment->number)));
    }
  }
  return fmt::format(
      "the server ended before the target was reached, for want of WAL: {}.{} Where that is "
      "damage, "
      "pitr verify names all that is damaged, and which backups it touches; {}",
      lost->complaint, good, log);
}

// The history file says where the new timeline began, and so where recovery ended.
Result<void> RestoredServer::compare_history(ServerReport& report) const {
  const auto path = request_.data_directory / "pg_wal" / history_file_name(plan_.new_timeline);
  const auto text = read_text_file(path);
  const auto control = TRY(read_control_file(request_.data_directory));
  report.timeline = control.timeline;
  if (control.timeline != plan_.new_timeline || !text.has_value()) {
    report.reached = false;
    report.says = fmt::format("the server took timeline {}, and {} was reserved for it",
                              to_string(control.timeline), to_string(plan_.new_timeline));
    return {};
  }
  const auto history = TRY(TimelineHistory::parse(plan_.new_timeline, *text));
  report.end = history.ancestors().empty() ? Lsn() : history.ancestors().back().switch_point;
  report.reached = report.end == plan_.end;
  report.says +=
      fmt::format("; timeline {} begins at {}", to_string(*report.timeline), to_string(report.end));
  return {};
}

void RestoredServer::ask_paused_server(ServerReport& report) const {
  const auto owner = owner_of(request_.data_directory);
  const auto* user = owner.has_value() ? ::getpwuid(owner->user) : nullptr;
  const std::vector<std::string> names = {user ? user->pw_name : "", "postgres"};
  for (const auto& name : names) {
    if (name.empty() || !postmaster_) continue;
    const auto host = postmaster_->socket_directory.empty() ? std::string("127.0.0.1")
                                                            : postmaster_->socket_directory;
    auto connection = Connection::open(
        fmt::format("host='{}' port={} user={} dbname=postgres", host, postmaster_->port, name));
    if (!connection.has_value()) continue;
    const auto result = connection->query("SELECT pg_last_wal_replay_lsn() AS lsn");
    if (!result.has_value() || result->size() != 1) continue;
    const auto lsn = (*result)[0].lsn("lsn");
    if (!lsn.has_value()) continue;
    report.end = *lsn;
    report.reached = report.reached && report.end == plan_.end;
    report.says += fmt::format("; pg_last_wal_replay_lsn() is {}", to_string(report.end));
    return;
  }
  report.says += "; the server could not be asked for pg_last_wal_replay_lsn()";
}

Result<ServerReport> RestoredServer::compare() {
  log_.read_more();
  ServerReport report = missed(log_.stop_line());
  report.end = plan_.end;
  const bool is_right_side =
      log_.has(plan_.inclusive ? "recovery stopping after" : "recovery stopping before");
  report.reached = is_right_side && log_.stopped_at() == plan_.target_lsn;
  if (postmaster_) {
    report.port = postmaster_->port;
    report.socket_directory = postmaster_->socket_directory;
  }
  if (report.says.empty()) report.says = "the server's log does not say where recovery stopped";
  const bool stopped_right = report.reached;
  if (request_.action == RecoveryAction::kPromote) TRY(compare_history(report));
  if (request_.action == RecoveryAction::kPause) ask_paused_server(report);
  report.reached = report.reached && stopped_right;
  return report;
}

Result<ServerReport> RestoredServer::run(std::stop_token stop) {
  auto control = TRY(ServerControl::open(request_.data_directory, request_.binary_directory));
  StartOptions options;
  options.log_file = log_file_;
  options.wait = false;
  options.settings = TRY(settings());
  std::error_code ignored;
  std::filesystem::remove(log_file_, ignored);
  observer_.phase("recovering", plan_.end - plan_.wal_start);
  shown_ = plan_.wal_start;
  TRY(control.start(options));
  for (;;) {
    const auto progress = TRY(look());
    if (progress == Progress::kAtTarget) break;
    if (progress == Progress::kEnded) {
      log_.read_more();
      const bool is_wanted =
          request_.action == RecoveryAction::kShutdown && !log_.stop_line().empty();
      if (is_wanted) break;
      return missed(why_it_ended());
    }
    if (log_.has("insufficient parameter settings")) {
      return missed("recovery is paused: a setting is lower than it was on the primary:\n" +
                    log_.last_lines(12));
    }
    if (!sleep_for(kPollInterval, stop)) {
      return Error::cancelled("stopped while the server was recovering; it goes on by itself")
          .with_hint("its log is " + log_file_.string());
    }
  }
  if (plan_.end > shown_) observer_.advance(plan_.end - shown_);
  return compare();
}

}  // namespace

Result<ServerReport> start_restored_server(const StartRequest& request, const RecoveryPlan& plan,
                                           Observer& observer, std::stop_token stop) {
  return RestoredServer(request, plan, observer).run(std::move(stop));
}

}  // namespace pitr
