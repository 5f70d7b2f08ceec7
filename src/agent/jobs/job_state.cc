#include "agent/jobs/job_state.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace pitr {

using Json = nlohmann::json;

static constexpr std::uint64_t kLargestFileBytes = 1 << 20;
static constexpr std::size_t kLongestText = 2000;

static std::optional<JobKind> kind_of(const std::string& name) {
  for (const JobKind kind : kJobKinds) {
    if (to_string(kind) == name) return kind;
  }
  return std::nullopt;
}

static Timestamp time_of(const Json& json, const char* member) {
  return Timestamp::from_unix_us(json.at(member).get<std::int64_t>());
}

static JobRecord to_record(const Json& json) {
  JobRecord record;
  if (json.contains("done_us")) record.memory.done = time_of(json, "done_us");
  if (json.contains("concluded_us")) record.memory.concluded = time_of(json, "concluded_us");
  record.memory.failures = json.at("failures").get<unsigned>();
  record.memory.last_failure = time_of(json, "last_failure_us");
  if (json.contains("last")) {
    const Json& last = json.at("last");
    record.last = JobEnd{time_of(last, "started_us"), time_of(last, "ended_us"),
                         last.at("result").get<std::string>(), last.at("error").get<std::string>()};
  }
  return record;
}

static Json to_json(const JobRecord& record) {
  Json json = {{"failures", record.memory.failures},
               {"last_failure_us", record.memory.last_failure.unix_us()}};
  if (record.memory.done) json["done_us"] = record.memory.done->unix_us();
  if (record.memory.concluded) json["concluded_us"] = record.memory.concluded->unix_us();
  if (record.last) {
    json["last"] = {{"started_us", record.last->started.unix_us()},
                    {"ended_us", record.last->ended.unix_us()},
                    {"result", record.last->result.substr(0, kLongestText)},
                    {"error", record.last->error.substr(0, kLongestText)}};
  }
  return json;
}

Result<JobRecords> read_job_state(const Path& file) {
  const auto text = read_text_file(file, kLargestFileBytes);
  if (!text && text.error().kind() == ErrorKind::kNotFound) return JobRecords();
  if (!text) return text.error();
  JobRecords records;
  try {
    const Json json = Json::parse(*text);
    // Jobs that this version doesn't know are another one's.
    for (const auto& [name, record] : json.at("jobs").items()) {
      if (const auto kind = kind_of(name)) records.emplace(*kind, to_record(record));
    }
  } catch (const Json::exception& exception) {
    return Error::corrupt(fmt::format("{} is malformed: {}", file.native(), exception.what()));
  }
  return records;
}

Result<void> write_job_state(const Path& file, const JobRecords& records) {
  Json jobs = Json::object();
  for (const auto& [kind, record] : records) jobs[std::string(to_string(kind))] = to_json(record);
  const auto text =
      Json{{"jobs", std::move(jobs)}}.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  TRY(create_directories_durably(file.parent_path(), 0750));
  return write_file_durably(file, as_bytes(text), 0640);
}

}  // namespace pitr
