#include "restore/files/in_place_journal.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <system_error>

#include "restore/files/target_directory.h"
#include "restore/recovery/recovery_plan.h"

namespace pitr {

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr int kVersion = 1;
constexpr std::uint64_t kLongestJournal = 1 << 20;
constexpr std::uint64_t kLongestControl = 64 << 10;

Path control_file(const Path& data_directory) {
  return data_directory / "global" / "pg_control";
}

Result<void> move_durably(const Path& from, const Path& to) {
  std::error_code failure;
  fs::rename(from, to, failure);
  if (failure) return Error::from_errno(failure.value(), "moving " + from.string());
  TRY(sync_directory(to.parent_path()));
  return sync_directory(from.parent_path());
}

InPlaceJournal from_json(const json& object) {
  if (object.at("version").get<int>() != kVersion) {
    throw std::invalid_argument("its version is not known");
  }
  InPlaceJournal journal;
  journal.system_identifier = std::stoull(object.at("system_identifier").get<std::string>());
  journal.backup = object.at("backup").get<std::string>();
  journal.target = object.at("target").get<std::string>();
  journal.timeline = TimelineId(object.at("timeline").get<std::uint32_t>());
  const auto end = Lsn::parse(object.at("end").get<std::string>());
  if (!end.has_value()) throw std::invalid_argument(end.error().message());
  journal.end = *end;
  journal.mode = object.at("mode").get<std::string>();
  journal.reason = object.at("reason").get<std::string>();
  journal.undo = object.at("undo").get<std::string>();
  journal.writes_failed = object.value("writes_failed", false);
  return journal;
}

}  // namespace

Path journal_file(const Path& data_directory) {
  return data_directory / kRestoreDirectory / "journal.json";
}
Path withdrawn_control_file(const Path& data_directory) {
  return data_directory / kRestoreDirectory / "pg_control.before";
}

std::string to_json(const InPlaceJournal& journal) {
  const json object = {{"version", kVersion},
                       {"system_identifier", std::to_string(journal.system_identifier)},
                       {"backup", journal.backup},
                       {"target", journal.target},
                       {"timeline", journal.timeline.value()},
                       {"end", to_string(journal.end)},
                       {"mode", journal.mode},
                       {"reason", journal.reason},
                       {"undo", journal.undo},
                       {"writes_failed", journal.writes_failed}};
  return object.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<InPlaceJournal> parse_in_place_journal(std::string_view text) {
  try {
    return from_json(json::parse(text));
  } catch (const std::exception& error) {
    return Error::corrupt(fmt::format("the journal cannot be read: {}", error.what()));
  }
}

Result<void> write_journal(const Path& data_directory, const InPlaceJournal& journal) {
  TRY(create_directories_durably(data_directory / kRestoreDirectory));
  return write_file_durably(journal_file(data_directory), as_bytes(to_json(journal)));
}

Result<std::optional<InPlaceJournal>> read_journal(const Path& data_directory) {
  std::error_code failure;
  // With pg_control in its place nothing was changed yet, or everything is done.
  if (fs::exists(control_file(data_directory), failure)) return std::nullopt;
  if (failure) return Error::from_errno(failure.value(), control_file(data_directory).string());
  const auto path = journal_file(data_directory);
  const auto text = read_text_file(path, kLongestJournal);
  if (!text.has_value()) {
    if (text.error().kind() == ErrorKind::kNotFound) return std::nullopt;
    return text.error();
  }
  auto journal = TRY(with_context(parse_in_place_journal(*text), path.string()));
  return std::optional(std::move(journal));
}

Result<ControlBytes> control_bytes(const Path& data_directory) {
  auto bytes = read_file(control_file(data_directory), kLongestControl);
  if (bytes.has_value()) return ControlBytes(std::move(*bytes));
  if (bytes.error().kind() == ErrorKind::kNotFound) return ControlBytes();
  return std::move(bytes).error();
}

static Error changed_meanwhile(const Path& data_directory) {
  return Error::conflict(
             fmt::format("a server ran on {} after it was looked at, or it was restored",
                         data_directory.string()))
      .with_hint("nothing was touched; run the same command again");
}

Result<void> check_same_control(const Path& data_directory, const ControlBytes& seen) {
  const auto now = TRY(control_bytes(data_directory));
  if (now == seen) return {};
  return changed_meanwhile(data_directory);
}

Result<void> withdraw_control(const Path& data_directory, const ControlBytes& seen) {
  TRY(check_no_server(data_directory));
  TRY(check_same_control(data_directory, seen));
  if (!seen) return {};
  const auto control = control_file(data_directory);
  const auto withdrawn = withdrawn_control_file(data_directory);
  TRY(move_durably(control, withdrawn));
  // One that started in between has read it already; one that ended again has written it.
  auto still_none = check_no_server(data_directory);
  const auto bytes = read_file(withdrawn, kLongestControl);
  if (still_none.has_value() && bytes.has_value() && *bytes == *seen) return {};
  TRY(move_durably(withdrawn, control));
  TRY(std::move(still_none));
  return bytes.has_value() ? changed_meanwhile(data_directory) : bytes.error();
}

Result<void> remove_journal(const Path& data_directory) {
  for (const auto& path : {journal_file(data_directory), withdrawn_control_file(data_directory)}) {
    std::error_code failure;
    fs::remove(path, failure);
    if (failure) return Error::from_errno(failure.value(), "removing " + path.string());
  }
  return sync_directory(data_directory / kRestoreDirectory);
}

}  // namespace pitr
