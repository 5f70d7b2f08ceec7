#include "restore/recovery/recovery_plan.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace pitr {

namespace {

using nlohmann::json;

constexpr int kVersion = 1;
constexpr int kTimeoutSeconds = 300;

Lsn lsn_of(const json& text) {
  const auto parsed = Lsn::parse(text.get<std::string>());
  if (!parsed.has_value()) throw std::invalid_argument(parsed.error().message());
  return *parsed;
}

RecoveryPlan from_json(const json& object) {
  if (object.at("version").get<int>() != kVersion) {
    throw std::invalid_argument("its version is not known");
  }
  RecoveryPlan plan;
  plan.configuration = object.at("configuration").get<std::string>();
  plan.cluster = object.at("cluster").get<std::string>();
  plan.system_identifier = std::stoull(object.at("system_identifier").get<std::string>());
  plan.major_version = object.at("major_version").get<std::uint32_t>();
  plan.segment_size_bytes = object.at("segment_size_bytes").get<std::uint64_t>();
  plan.timeline = TimelineId(object.at("timeline").get<std::uint32_t>());
  plan.new_timeline = TimelineId(object.at("new_timeline").get<std::uint32_t>());
  for (const auto& run : object.at("segments")) {
    plan.segments.push_back({TimelineId(run.at("timeline").get<std::uint32_t>()),
                             run.at("first").get<std::uint64_t>(),
                             run.at("last").get<std::uint64_t>()});
  }
  plan.wal_start = lsn_of(object.at("wal_start"));
  plan.target_lsn = lsn_of(object.at("target_lsn"));
  plan.inclusive = object.at("inclusive").get<bool>();
  plan.target_record_end = lsn_of(object.at("target_record_end"));
  plan.end = lsn_of(object.at("end"));
  plan.target = object.at("target").get<std::string>();
  plan.socket = object.at("socket").get<std::string>();
  plan.spool_directory = object.at("spool_directory").get<std::string>();
  plan.spool_limit_bytes = object.at("spool_limit_bytes").get<std::uint64_t>();
  plan.program = object.at("program").get<std::string>();
  return plan;
}

Result<void> check(const RecoveryPlan& plan) {
  TRY(SegmentSize::from_bytes(plan.segment_size_bytes));
  if (plan.segments.empty()) return Error::corrupt("it has no segments");
  std::uint64_t next = plan.segments.front().first;
  for (const auto& run : plan.segments) {
    if (run.first != next || run.last < run.first) return Error::corrupt("its segments have holes");
    next = run.last + 1;
  }
  if (plan.new_timeline <= plan.timeline) return Error::corrupt("its timelines do not increase");
  return {};
}

}  // namespace

Path recovery_plan_file(const Path& data_directory) {
  return data_directory / kRestoreDirectory / "plan.json";
}
Path wal_get_plan_file(const Path& data_directory) {
  return data_directory / kRestoreDirectory / "plan";
}

std::string to_json(const RecoveryPlan& plan) {
  json segments = json::array();
  for (const auto& run : plan.segments) {
    segments.push_back(
        {{"timeline", run.timeline.value()}, {"first", run.first}, {"last", run.last}});
  }
  const json object = {{"version", kVersion},
                       {"configuration", plan.configuration.string()},
                       {"cluster", plan.cluster},
                       {"system_identifier", std::to_string(plan.system_identifier)},
                       {"major_version", plan.major_version},
                       {"segment_size_bytes", plan.segment_size_bytes},
                       {"timeline", plan.timeline.value()},
                       {"new_timeline", plan.new_timeline.value()},
                       {"segments", std::move(segments)},
                       {"wal_start", to_string(plan.wal_start)},
                       {"target_lsn", to_string(plan.target_lsn)},
                       {"inclusive", plan.inclusive},
                       {"target_record_end", to_string(plan.target_record_end)},
                       {"end", to_string(plan.end)},
                       {"target", plan.target},
                       {"socket", plan.socket.string()},
                       {"spool_directory", plan.spool_directory.string()},
                       {"spool_limit_bytes", plan.spool_limit_bytes},
                       {"program", plan.program.string()}};
  return object.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<RecoveryPlan> parse_recovery_plan(std::string_view text) {
  try {
    auto plan = from_json(json::parse(text));
    TRY(with_context(check(plan), "the restore's plan"));
    return plan;
  } catch (const std::exception& error) {
    return Error::corrupt(fmt::format("the restore's plan cannot be read: {}", error.what()));
  }
}

Result<RecoveryPlan> read_recovery_plan(const Path& wal_get_plan) {
  const auto path = wal_get_plan.parent_path() / "plan.json";
  auto text = TRY(read_text_file(path));
  return with_context(parse_recovery_plan(text), path.string());
}

std::string wal_get_plan_text(const RecoveryPlan& plan) {
  return fmt::format(
      "# Written by pitr-restore for pitr-wal-get; plan.json beside it has the whole plan.\n"
      "socket={}\nprogram={}\ntimeout_s={}\n",
      plan.socket.string(), plan.program.string(), kTimeoutSeconds);
}

}  // namespace pitr
