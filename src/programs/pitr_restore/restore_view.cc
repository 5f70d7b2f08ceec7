#include "programs/pitr_restore/restore_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "programs/terminal_progress.h"
#include "restore/plan/timestamp_text.h"

namespace pitr {

namespace {

using nlohmann::json;

// Recovery holds the locks that it replayed until their transaction ends, and such a one never
// does.
constexpr std::string_view kPaused =
    "It is read-only, until SELECT pg_promote() opens it. Before that, a query that reads what a\n"
    "transaction under way at the target has locked (by DROP, ALTER, TRUNCATE, VACUUM FULL) waits\n"
    "for ever: just before a DROP TABLE that is the table.\n";

// Of a cluster's own server.
constexpr std::string_view kNoSlotYet =
    "It comes without its replication slot, which the agent makes within seconds of the start; "
    "take\n"
    "a backup then (pitr backup): the one before is of the state that you went back from.\n";

class PlanText {
 public:
  explicit PlanText(const RestoreView& view) : view_(view), plan_(view.plan) {}
  std::string make();

 private:
  void line(std::string_view name, std::string_view value) {
    text_ += fmt::format("  {:<14}{}\n", name, value);
  }
  std::string time(Timestamp at) const {
    return to_string_in_zone(at, view_.zone).value_or(to_string(at));
  }
  std::string xact(const wal::XactEnd& xact) const {
    return fmt::format("transaction {}, {} at {}, {}", xact.xid,
                       wal::is_commit(xact.kind) ? "committed" : "rolled back", time(xact.time),
                       to_string(xact.start));
  }
  std::string dropped() const;
  void add_target();
  void add_timeline();
  void add_wal();
  void add_places();
  void add_rewrite();
  void add_remarks();

  const RestoreView& view_;
  const RestorePlan& plan_;
  std::string text_;
};

std::string PlanText::dropped() const {
  if (plan_.first_dropped) return "from " + xact(*plan_.first_dropped);
  const bool leaves_some = std::ranges::any_of(
      plan_.timelines, [](const StoredTimeline& other) { return other.left_behind.has_value(); });
  if (!plan_.hole) {
    return leaves_some ? fmt::format("nothing of timeline {}; of others see below",
                                     to_string(plan_.timeline()))
                       : "nothing that is stored";
  }
  return fmt::format("whatever is stored behind {}, where WAL is missing or damaged",
                     to_string(*plan_.hole));
}

void PlanText::add_target() {
  line("target",
       view_.given_time ? fmt::format("time {}", *view_.given_time) : to_string(plan_.target));
  line("stops", fmt::format("{} the record at {}, so that WAL ends at {}",
                            plan_.inclusive ? "after" : "before", to_string(plan_.target_lsn),
                            to_string(plan_.end)));
  line("keeps", plan_.last_kept ? "last " + xact(*plan_.last_kept)
                                : std::string("all from before the backup began; no commit since"));
  line("drops", dropped());
  for (const auto& commit : plan_.cut_off.commits) line("", "cut off: " + xact(commit));
}

void PlanText::add_timeline() {
  auto text = to_string(plan_.timeline());
  text += view_.rewrite && view_.rewrite->is_own_timeline         ? " (the cluster's own)"
          : plan_.timeline_was_given                              ? " (as asked for)"
          : std::holds_alternative<TargetImmediate>(plan_.target) ? " (the backup's own)"
                                                                  : " (the newest that is stored)";
  line("timeline", text);
  for (const auto& other : plan_.timelines) {
    if (other.timeline == plan_.timeline()) continue;
    auto description = fmt::format("there is also {}", to_string(other.timeline));
    if (other.parent) {
      description +=
          fmt::format(", which left {} at {}", to_string(*other.parent), to_string(other.begin));
    }
    if (other.newest_xact) {
      description += fmt::format("; its last transaction is of {}", time(*other.newest_xact));
    }
    line("", description);
  }
}

void PlanText::add_wal() {
  const auto& first = plan_.segments.front();
  const auto& last = plan_.segments.back();
  line("WAL", fmt::format("{} to {}, {}, {} segments ({} to {}), all there",
                          to_string(plan_.wal_start), to_string(plan_.target_record_end),
                          format_bytes(plan_.wal_bytes()), plan_.segment_count(),
                          segment_file_name({first.timeline, first.first}, plan_.segment_size),
                          segment_file_name({last.timeline, last.last}, plan_.segment_size)));
}

void PlanText::add_places() {
  if (!view_.data_directory) return;
  line("into", view_.data_directory->string());
  for (const auto& place : view_.tablespaces) {
    const auto where = place.location.empty() ? "in place" : place.location.string();
    line("", fmt::format(
                 "tablespace {}: {}{}", place.oid, where,
                 place.location == place.original ? "" : " (was " + place.original.string() + ")"));
  }
  for (const auto& place : view_.places) {
    if (place.occupancy == Occupancy::kFree) continue;
    line("", fmt::format("{} {}: {}", view_.rewrite ? "REWRITES" : "REPLACES", place.path.string(),
                         place.description));
  }
  add_rewrite();
  line("then", std::string(to_string(view_.action)));
  line("archiving", view_.keep_archive_mode
                        ? "archive_mode stays as it was in the backup"
                        : "off in the restored server (--archive-mode preserve keeps it)");
}

void PlanText::add_rewrite() {
  if (!view_.rewrite) return;
  const auto& rewrite = *view_.rewrite;
  line(rewrite.kind, fmt::format("{}: {}", to_string(rewrite.mode), rewrite.reason));
  const auto* how_many = rewrite.mode == RewriteMode::kByBytes ? "at most " : "";
  line("writes", fmt::format("{}{} of {} ({} blocks), {} files anew, {} entries removed", how_many,
                             format_bytes(rewrite.wanted_bytes), format_bytes(rewrite.total_bytes),
                             rewrite.wanted_blocks, rewrite.missing_files, rewrite.extra_entries));
  line("", fmt::format("{} were read to compare", format_bytes(rewrite.compared_bytes)));
  if (!rewrite.safety.empty()) line("safety", rewrite.safety);
  for (const auto& note : rewrite.notes) line("", note);
}

void PlanText::add_remarks() {
  for (const auto& note : plan_.notes) text_ += fmt::format("  note: {}\n", note);
  for (const auto& warning : plan_.warnings) text_ += fmt::format("  WARNING: {}\n", warning);
}

std::string PlanText::make() {
  const auto& backup = plan_.backup;
  text_ = fmt::format("Restore of {}\n", view_.cluster);
  add_target();
  line("backup", fmt::format("{}{}, {} files, {}", backup.id.text(),
                             backup.label.empty() ? "" : fmt::format(" \"{}\"", backup.label),
                             backup.file_count, format_bytes(backup.total_bytes)));
  line("", fmt::format("from {} to {}", time(backup.start_time), time(backup.stop_time)));
  add_timeline();
  add_wal();
  add_places();
  add_remarks();
  return text_;
}

json to_json(const wal::XactEnd& xact) {
  return {{"xid", xact.xid},
          {"time", to_string(xact.time)},
          {"lsn", to_string(xact.start)},
          {"committed", wal::is_commit(xact.kind)}};
}

json optional_xact(const std::optional<wal::XactEnd>& xact) {
  return xact ? to_json(*xact) : json();
}

json timelines_json(const RestorePlan& plan) {
  json timelines = json::array();
  for (const auto& stored : plan.timelines) {
    json one = {{"timeline", stored.timeline.value()}, {"begin", to_string(stored.begin)}};
    one["parent"] = stored.parent ? json(stored.parent->value()) : json();
    one["newest_transaction"] = stored.newest_xact ? json(to_string(*stored.newest_xact)) : json();
    one["left_behind"] = optional_xact(stored.left_behind);
    timelines.push_back(std::move(one));
  }
  return timelines;
}

json plan_json(const RestorePlan& plan) {
  json cut_off = json::array();
  for (const auto& commit : plan.cut_off.commits) cut_off.push_back(to_json(commit));
  const auto& first = plan.segments.front();
  const auto& last = plan.segments.back();
  return {{"target", to_string(plan.target)},
          {"timeline", plan.timeline().value()},
          {"timelines", timelines_json(plan)},
          {"backup",
           {{"id", plan.backup.id.text()},
            {"label", plan.backup.label},
            {"start_time", to_string(plan.backup.start_time)},
            {"stop_time", to_string(plan.backup.stop_time)},
            {"start_lsn", to_string(plan.backup.start_lsn)},
            {"stop_lsn", to_string(plan.backup.stop_lsn)},
            {"files", plan.backup.file_count},
            {"bytes", plan.backup.total_bytes},
            {"checksum_failures", plan.backup.checksum_failure_count}}},
          {"wal",
           {{"start", to_string(plan.wal_start)},
            {"end", to_string(plan.target_record_end)},
            {"bytes", plan.wal_bytes()},
            {"segments", plan.segment_count()},
            {"first_segment", segment_file_name({first.timeline, first.first}, plan.segment_size)},
            {"last_segment", segment_file_name({last.timeline, last.last}, plan.segment_size)}}},
          {"recovery_target_lsn", to_string(plan.target_lsn)},
          {"recovery_target_inclusive", plan.inclusive},
          {"end", to_string(plan.end)},
          {"last_kept", optional_xact(plan.last_kept)},
          {"first_dropped", optional_xact(plan.first_dropped)},
          {"hole", plan.hole ? json(to_string(*plan.hole)) : json()},
          {"cut_off",
           {{"count", plan.cut_off.count},
            {"is_lower_bound", plan.cut_off.is_lower_bound},
            {"largest_skew_us", plan.cut_off.largest_skew.count()},
            {"commits", std::move(cut_off)}}},
          {"notes", plan.notes},
          {"warnings", plan.warnings}};
}

json server_json(const ServerReport& report) {
  json object = {{"reached", report.reached},
                 {"says", report.says},
                 {"end", to_string(report.end)},
                 {"log_file", report.log_file.string()}};
  object["timeline"] = report.timeline ? json(report.timeline->value()) : json();
  object["port"] = report.port ? json(*report.port) : json();
  return object;
}

}  // namespace

static json rewrite_json(const RewriteView& rewrite) {
  return {{"kind", rewrite.kind},
          {"mode", to_string(rewrite.mode)},
          {"reason", rewrite.reason},
          {"wanted_bytes", rewrite.wanted_bytes},
          {"wanted_blocks", rewrite.wanted_blocks},
          {"compared_bytes", rewrite.compared_bytes},
          {"missing_files", rewrite.missing_files},
          {"extra_entries", rewrite.extra_entries},
          {"safety", rewrite.safety},
          {"notes", rewrite.notes}};
}

std::string plan_text(const RestoreView& view) {
  return PlanText(view).make();
}

std::string outcome_text(const RestoreView& view, const RestoreOutcome& outcome) {
  std::string text;
  const auto& directory = view.data_directory->string();
  text += fmt::format("Restored {} files, {}, into {}\n", outcome.files->files,
                      format_bytes(outcome.files->bytes), directory);
  for (const auto& name : outcome.files->missing_configuration) {
    text += fmt::format(
        "The backup holds no {}: the original keeps it outside its data directory.\n", name);
  }
  if (view.rewrite) {
    text += fmt::format("Of these {} were written, and {} entries removed that did not belong\n",
                        format_bytes(outcome.files->written_bytes), outcome.files->removed);
  }
  if (!outcome.undo.empty())
    text += fmt::format("To undo it, stop the server and run: {}\n", outcome.undo);
  if (!outcome.server) {
    text += fmt::format("Start the server on it; recovery ends at the target and then does: {}.\n",
                        to_string(view.action));
    if (view.action == RecoveryAction::kPause) text += kPaused;
    if (!outcome.undo.empty()) text += kNoSlotYet;
    return text;
  }
  const auto& server = *outcome.server;
  text +=
      fmt::format("{}: {}\n", server.reached ? "Reached the target" : "FAILED to reach the target",
                  server.says);
  if (server.port && view.action != RecoveryAction::kShutdown) {
    text += fmt::format("The server listens on port {}{}; its log is {}\n", *server.port,
                        server.socket_directory.empty() ? "" : " and in " + server.socket_directory,
                        server.log_file.string());
  }
  if (server.reached && view.action == RecoveryAction::kPause) {
    text += kPaused;
  }
  return text;
}

std::string outcome_json(const RestoreView& view, const RestoreOutcome& outcome) {
  json object = {{"cluster", view.cluster}, {"plan", plan_json(view.plan)}};
  object["plan"]["action"] = to_string(view.action);
  json tablespaces = json::array();
  for (const auto& place : view.tablespaces) {
    tablespaces.push_back({{"oid", place.oid},
                           {"original", place.original.string()},
                           {"location", place.location.string()}});
  }
  object["plan"]["tablespaces"] = std::move(tablespaces);
  object["target_directory"] = view.data_directory ? json(view.data_directory->string()) : json();
  if (view.rewrite) object["plan"]["rewrite"] = rewrite_json(*view.rewrite);
  if (!outcome.undo.empty()) object["undo"] = outcome.undo;
  object["new_timeline"] = outcome.new_timeline ? json(outcome.new_timeline->value()) : json();
  if (outcome.files) {
    object["restored"] = {{"files", outcome.files->files},
                          {"bytes", outcome.files->bytes},
                          {"written_bytes", outcome.files->written_bytes},
                          {"removed", outcome.files->removed},
                          {"missing_configuration", outcome.files->missing_configuration}};
  }
  if (outcome.server) object["server"] = server_json(*outcome.server);
  return object.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace pitr
