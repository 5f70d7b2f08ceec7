#include "agent/api/job_options.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace pitr {

using Json = nlohmann::json;

static constexpr unsigned kMostWorkers = 256;
static constexpr std::size_t kLongestLabel = 1000;
static constexpr std::uint64_t kLongestPeriodS = 100ull * 366 * 86400;

static std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// For a message. Writing out lists within lists takes a stack as deep as they are.
static std::string shown(const Json& value) {
  static constexpr std::size_t kLongestShown = 100;
  if (value.is_structured()) return value.is_array() ? "[...]" : "{...}";
  auto text = dump(value);
  if (text.size() > kLongestShown) text = text.substr(0, kLongestShown) + "...";
  return text;
}

static bool is_text(const Json& value, std::size_t longest) {
  return value.is_string() && value.get_ref<const std::string&>().size() <= longest;
}

static bool is_worker_count(const Json& value) {
  return value.is_number_unsigned() && value >= 1 && value <= kMostWorkers;
}

// Calls take(name, value) for each member; false: there is no such, or not with that value.
template <typename Take>
static Result<void> read_members(std::string_view body, std::string_view job, Take take) {
  if (body.empty()) return {};
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object()) return Error::invalid("the request's body is not a JSON object");
  for (const auto& [name, value] : json.items()) {
    if (take(name, value)) continue;
    return Error::invalid(
        fmt::format("{} cannot be asked for with {} = {}", job, name.substr(0, 100), shown(value)));
  }
  return {};
}

// ---- Backups
// -------------------------------------------------------------------------------------

static bool read_backup_option(const std::string& name, const Json& value, BackupOptions& options) {
  using Method = BackupConfig::Method;
  if (name == "label" && is_text(value, kLongestLabel)) {
    options.label = value.get<std::string>();
  } else if (name == "reason" && is_text(value, kLongestReason)) {
    options.reason = value.get<std::string>();
  } else if (name == "read" && (value == "full" || value == "independent")) {
    options.read = value == "full" ? ReadRequest::kFull : ReadRequest::kIndependent;
  } else if (name == "method" && (value == "local" || value == "remote")) {
    options.method = value == "local" ? Method::kLocal : Method::kRemote;
  } else if (name == "workers" && is_worker_count(value)) {
    options.workers = value.get<unsigned>();
  } else if (name == "keep_server_manifest" && value.is_boolean()) {
    options.keep_server_manifest = value.get<bool>();
  } else {
    return false;
  }
  return true;
}

Result<BackupOptions> parse_backup_options(std::string_view body) {
  BackupOptions options;
  TRY(read_members(body, "a backup", [&](const std::string& name, const Json& value) {
    return read_backup_option(name, value, options);
  }));
  return options;
}

std::string to_json_text(const BackupOptions& options) {
  Json json = Json::object();
  if (!options.label.empty()) json["label"] = options.label;
  if (!options.reason.empty()) json["reason"] = options.reason;
  if (options.read == ReadRequest::kFull) json["read"] = "full";
  if (options.read == ReadRequest::kIndependent) json["read"] = "independent";
  if (options.method == BackupConfig::Method::kLocal) json["method"] = "local";
  if (options.method == BackupConfig::Method::kRemote) json["method"] = "remote";
  if (options.workers) json["workers"] = *options.workers;
  if (options.keep_server_manifest) json["keep_server_manifest"] = true;
  return dump(json);
}

// ---- Verification
// --------------------------------------------------------------------------------

static VerifyCycle& cycle_of(VerifyOptions& options) {
  if (!options.cycle) options.cycle.emplace();
  return *options.cycle;
}

static bool read_verify_option(const std::string& name, const Json& value, VerifyRequest& request) {
  auto& options = request.options;
  if (name == "quick" && value.is_boolean()) {
    options.depth = value.get<bool>() ? VerifyDepth::kQuick : VerifyDepth::kFull;
  } else if (name == "record" && value.is_boolean()) {
    options.record = value.get<bool>();
  } else if (name == "backup" && is_text(value, kLongestLabel)) {
    request.backup = value.get<std::string>();
  } else if (name == "budget_bytes" && value.is_number_unsigned() && value >= 1) {
    cycle_of(options).budget_bytes = value.get<std::uint64_t>();
  } else if (name == "period_s" && value.is_number_unsigned() && value >= 1 &&
             value <= kLongestPeriodS) {
    cycle_of(options).period = Seconds(value.get<std::int64_t>());
  } else if (name == "max_rate_bytes_per_second" && value.is_number_unsigned() && value >= 1) {
    options.max_rate_bytes_per_second = value.get<std::uint64_t>();
  } else if (name == "workers" && is_worker_count(value)) {
    options.workers = value.get<unsigned>();
  } else if (name == "reason" && is_text(value, kLongestReason)) {
    request.reason = value.get<std::string>();
  } else {
    return false;
  }
  return true;
}

Result<VerifyRequest> parse_verify_request(std::string_view body) {
  VerifyRequest request;
  request.options.depth = VerifyDepth::kFull;
  TRY(read_members(body, "a verification", [&](const std::string& name, const Json& value) {
    return read_verify_option(name, value, request);
  }));
  const bool is_quick = request.options.depth == VerifyDepth::kQuick;
  if (request.options.cycle && (is_quick || !request.backup.empty())) {
    return Error::invalid(
        "budget_bytes and period_s are for a verification in full and of everything");
  }
  return request;
}

std::string to_json_text(const VerifyRequest& request) {
  const auto& options = request.options;
  Json json{{"quick", options.depth == VerifyDepth::kQuick},
            {"record", options.record},
            {"workers", options.workers}};
  if (!request.backup.empty()) json["backup"] = request.backup;
  if (!request.reason.empty()) json["reason"] = request.reason;
  if (options.max_rate_bytes_per_second > 0) {
    json["max_rate_bytes_per_second"] = options.max_rate_bytes_per_second;
  }
  if (options.cycle) {
    json["period_s"] = std::chrono::ceil<Seconds>(options.cycle->period).count();
    if (options.cycle->budget_bytes > 0) json["budget_bytes"] = options.cycle->budget_bytes;
  }
  return dump(json);
}

// ---- Expiry
// --------------------------------------------------------------------------------------

Result<ExpireRequest> parse_expire_request(std::string_view body) {
  ExpireRequest request;
  TRY(read_members(body, "expiry", [&](const std::string& name, const Json& value) {
    if (name == "dry_run" && value.is_boolean()) {
      request.dry_run = value.get<bool>();
    } else if (name == "policy" && is_text(value, kLongestLabel)) {
      request.policy = value.get<std::string>();
    } else if (name == "reason" && is_text(value, kLongestReason)) {
      request.reason = value.get<std::string>();
    } else {
      return false;
    }
    return true;
  }));
  return request;
}

std::string to_json_text(const ExpireRequest& request) {
  Json json{{"dry_run", request.dry_run}};
  if (!request.policy.empty()) json["policy"] = request.policy;
  if (!request.reason.empty()) json["reason"] = request.reason;
  return dump(json);
}

std::string policy_text(const RetentionConfig& policy) {
  return fmt::format(
      "last {} daily {} weekly {} monthly {} yearly {} within {} ms verified {} zone {} grace {} "
      "ms max {}",
      policy.keep_last, policy.keep_daily, policy.keep_weekly, policy.keep_monthly,
      policy.keep_yearly, policy.keep_within.count(), policy.keep_verified, policy.time_zone,
      policy.grace.count(), policy.max_size_bytes.value_or(0));
}

}  // namespace pitr
