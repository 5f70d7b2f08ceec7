#include "restore/files/stopped_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <system_error>

#include "postgres/data_directory.h"
#include "postgres/line_reader.h"

namespace pitr {

namespace {

namespace fs = std::filesystem;

bool says_off(std::string value) {
  std::erase_if(value, [](unsigned char c) { return c == '\'' || c == '"' || std::isspace(c); });
  std::ranges::transform(value, value.begin(), [](unsigned char c) { return std::tolower(c); });
  // As the server's parse_bool() takes them.
  static constexpr std::array<std::string_view, 4> kOff = {"off", "false", "no", "0"};
  return !value.empty() && std::ranges::any_of(kOff, [&](std::string_view word) {
    return word == value || (value != "o" && value.size() < word.size() && word.starts_with(value));
  });
}

// The value of the last "fsync = ..." in a configuration file.
std::optional<std::string> fsync_setting(const Path& file) {
  const auto text = read_text_file(file);
  if (!text.has_value()) return std::nullopt;
  std::optional<std::string> value;
  LineReader lines(*text);
  while (const auto line = lines.next()) {
    std::string setting(line->substr(0, line->find('#')));
    const auto name = setting.find_first_not_of(" \t");
    if (name == std::string::npos || setting.compare(name, 5, "fsync") != 0) continue;
    const auto rest = setting.find_first_not_of(" \t=", name + 5);
    if (rest == name + 5 || rest == std::string::npos) continue;  // another name, or no value
    value = setting.substr(rest);
  }
  return value;
}

// The postmaster's command line, every argument in quotes.
bool has_fsync_off(std::string_view options) {
  if (options.find("\"-F\"") != std::string_view::npos) return true;
  static constexpr std::string_view kName = "fsync=";
  for (auto at = options.find(kName); at != std::string_view::npos;
       at = options.find(kName, at + 1)) {
    const auto value = options.substr(at + kName.size());
    if (says_off(std::string(value.substr(0, value.find_first_of("\" \n"))))) return true;
  }
  return false;
}

Result<ControlFile> read_withdrawn_control(const Path& data_directory) {
  const auto path = withdrawn_control_file(data_directory);
  const auto bytes = TRY(read_file(path, 2 * kControlFileSizeBytes));
  return with_context(parse_control_file(bytes), path.string());
}

std::string why_not_whole(const Path& data_directory, const ControlFile& control) {
  std::error_code failure;
  if (fs::exists(data_directory / "backup_label", failure)) {
    return "it was restored and never started since (it has a backup_label)";
  }
  if (fs::exists(data_directory / "standby.signal", failure) ||
      control.state == ClusterState::kShutDownInRecovery ||
      control.state == ClusterState::kArchiveRecovery) {
    return "it was left in recovery";
  }
  return {};
}

}  // namespace

std::string find_fsync_off(const Path& data_directory) {
  const auto options = read_text_file(data_directory / "postmaster.opts");
  if (options.has_value() && has_fsync_off(*options))
    return "the server was started with fsync off";
  auto value = fsync_setting(data_directory / "postgresql.auto.conf");
  std::string_view file = "postgresql.auto.conf";
  if (!value) {
    value = fsync_setting(data_directory / "postgresql.conf");
    file = "postgresql.conf";
  }
  if (value && says_off(*value)) return fmt::format("{} turns fsync off", file);
  return {};
}

Result<StoppedCluster> inspect_stopped_cluster(const Path& data_directory,
                                               std::uint64_t system_identifier) {
  const auto major = read_server_major(data_directory);
  auto journal = TRY(read_journal(data_directory));
  if (!major.has_value() && !journal) {
    return Error::invalid(data_directory.string() + " is not a data directory of PostgreSQL")
        .with_hint("--in-place puts a cluster's own directory back; --target-dir says which");
  }
  // In this order: one that starts from here on writes pg_control.
  auto seen = TRY(control_bytes(data_directory));
  TRY(check_no_server(data_directory));
  StoppedCluster cluster{data_directory, {}, {}, std::move(journal), std::move(seen), {}};
  cluster.control = TRY(cluster.interrupted ? read_withdrawn_control(data_directory)
                                            : read_control_file(data_directory));
  if (cluster.control.system_identifier != system_identifier) {
    return Error::invalid(
        fmt::format("{} is another cluster: its system identifier is {}, the "
                    "repository's is {}",
                    data_directory.string(), cluster.control.system_identifier, system_identifier));
  }
  if (cluster.interrupted) {
    cluster.timeline = cluster.interrupted->timeline;
    cluster.not_whole = "an in-place restore was interrupted here";
    return cluster;
  }
  const auto fsync_off = find_fsync_off(data_directory);
  if (!fsync_off.empty()) {
    return Error::invalid(fmt::format("{}: {}, so what is on disk may not be what was written",
                                      data_directory.string(), fsync_off))
        .with_hint("--delta compares every block instead");
  }
  cluster.not_whole = why_not_whole(data_directory, cluster.control);
  // A promoted standby that made no checkpoint yet has its new timeline there only.
  cluster.timeline = std::max(cluster.control.timeline, cluster.control.min_recovery_timeline);
  return cluster;
}

Result<std::vector<TablespaceMapping>> tablespace_links(const Path& data_directory,
                                                        const BackupManifest& backup) {
  std::vector<TablespaceMapping> mappings;
  std::error_code failure;
  fs::directory_iterator iterator(data_directory / "pg_tblspc", failure);
  if (failure == std::errc::no_such_file_or_directory) return mappings;
  for (; !failure && iterator != fs::directory_iterator(); iterator.increment(failure)) {
    if (!iterator->is_symlink(failure)) continue;
    auto target = fs::read_symlink(iterator->path(), failure);
    if (failure) break;
    const auto oid = iterator->path().filename().string();
    const auto is_it = [&](const TablespaceInfo& known) {
      return std::to_string(known.oid) == oid;
    };
    if (std::ranges::any_of(backup.tablespaces, is_it)) {
      mappings.push_back({oid, std::move(target)});
    }
  }
  if (failure) {
    return Error::from_errno(failure.value(), "reading the links in " + data_directory.string());
  }
  return mappings;
}

}  // namespace pitr
