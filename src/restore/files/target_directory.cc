#include "restore/files/target_directory.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <system_error>

#include "common/path.h"
#include "postgres/data_directory.h"
#include "postgres/line_reader.h"
#include "restore/files/in_place_journal.h"
#include "restore/recovery/recovery_plan.h"

namespace pitr {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMarkerTablespace = "tablespace ";

Error from_code(const std::error_code& code, std::string_view what) {
  return Error::from_errno(code.value(), what);
}

// Names in a directory; empty where it isn't there.
Result<std::vector<std::string>> entries_of(const Path& directory) {
  std::vector<std::string> names;
  std::error_code failure;
  fs::directory_iterator iterator(directory, failure);
  if (failure == std::errc::no_such_file_or_directory) return names;
  if (failure == std::errc::not_a_directory) {
    return Error::invalid(directory.string() + " is not a directory");
  }
  if (failure) return from_code(failure, "reading " + directory.string());
  while (iterator != fs::directory_iterator()) {
    names.push_back(iterator->path().filename().string());
    iterator.increment(failure);
    if (failure) return from_code(failure, "reading " + directory.string());
  }
  return names;
}

Result<void> remove_tree(const Path& path) {
  std::error_code failure;
  fs::remove_all(path, failure);
  // A mount point stays, empty.
  if (failure && failure != std::errc::device_or_resource_busy) {
    return from_code(failure, "removing " + path.string());
  }
  return {};
}

Result<PlaceState> inspect_data_directory(const Path& path) {
  PlaceState state{path, Occupancy::kFree, ""};
  auto entries = TRY(entries_of(path));
  std::erase(entries, "lost+found");
  if (entries.empty()) return state;
  std::error_code failure;
  // Killed before the marker was written, a restore leaves its directory alone.
  const bool is_begun = entries.size() == 1 && entries.front() == kRestoreDirectory;
  if (is_begun || fs::exists(restoring_marker(path), failure)) {
    state.occupancy = Occupancy::kInterrupted;
    state.description = "a restore that was interrupted";
    return state;
  }
  const auto major = read_server_major(path);
  if (!major.has_value()) {
    return Error::invalid(
               fmt::format("{} is neither empty nor a data directory of PostgreSQL", path.string()))
        .with_hint("choose another --target-dir; this one is never cleared");
  }
  TRY(check_no_server(path));
  state.occupancy = Occupancy::kOccupied;
  state.description = fmt::format("a PostgreSQL {} data directory", *major);
  return state;
}

// Tablespaces of the cluster that is being replaced: its links, or what an interrupted restore
// noted.
Result<std::set<Path>> tablespaces_of(const Path& data_directory) {
  std::set<Path> locations;
  const auto links = data_directory / "pg_tblspc";
  const auto names = TRY(entries_of(links));
  for (const auto& name : names) {
    std::error_code failure;
    const auto target = fs::read_symlink(links / name, failure);
    if (!failure) locations.insert(target.lexically_normal());
  }
  const auto marker = read_text_file(restoring_marker(data_directory));
  if (!marker.has_value()) return locations;
  LineReader lines(*marker);
  while (const auto line = lines.next()) {
    if (line->starts_with(kMarkerTablespace)) {
      locations.insert(Path(line->substr(kMarkerTablespace.size())).lexically_normal());
    }
  }
  return locations;
}

Result<PlaceState> inspect_tablespace(const TablespacePlace& place, const std::set<Path>& own,
                                      const std::string& version_directory) {
  PlaceState state{place.location, Occupancy::kFree, ""};
  const auto entries = TRY(entries_of(place.location));
  if (entries.empty()) return state;
  const auto hint = fmt::format("put it elsewhere: --tablespace-map {}=/another/directory",
                                place.original.string());
  if (std::ranges::find(entries, version_directory) == entries.end()) {
    return Error::invalid(fmt::format("the directory {} of tablespace {} is not empty",
                                      place.location.string(), place.oid))
        .with_hint(hint);
  }
  if (!own.contains(place.location.lexically_normal())) {
    return Error::conflict(fmt::format("the directory {} of tablespace {} is in use, and not by "
                                       "the cluster that is being replaced",
                                       place.location.string(), place.oid))
        .with_hint(hint);
  }
  state.occupancy = Occupancy::kOccupied;
  state.description = fmt::format("tablespace {}", place.oid);
  return state;
}

}  // namespace

Result<void> check_no_server(const Path& data_directory) {
  const auto pid_file = read_postmaster_pid(data_directory);
  if (!pid_file.has_value()) {
    if (pid_file.error().kind() == ErrorKind::kNotFound) return {};
    return pid_file.error();
  }
  const auto pid = std::abs(pid_file->pid);
  if (pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH) return {};  // left over from a crash
  return Error::conflict(
             fmt::format("a server (process {}) runs on {}", pid, data_directory.string()))
      .with_hint(fmt::format("stop it first: pg_ctl stop -D {}", data_directory.string()));
}

Result<std::vector<TablespacePlace>> place_tablespaces(
    const BackupManifest& backup, const Path& data_directory,
    const std::vector<TablespaceMapping>& mappings) {
  std::vector<TablespacePlace> places;
  std::set<std::size_t> used;
  for (const auto& tablespace : backup.tablespaces) {
    TablespacePlace place{tablespace.oid, tablespace.location, tablespace.location};
    for (std::size_t i = 0; i < mappings.size(); ++i) {
      const auto& from = mappings[i].from;
      if (from != tablespace.location && from != std::to_string(tablespace.oid)) continue;
      if (tablespace.location.empty()) {
        return Error::invalid(
            fmt::format("tablespace {} lies inside the data directory and cannot "
                        "be mapped",
                        tablespace.oid));
      }
      place.location = mappings[i].to;
      used.insert(i);
    }
    place.location = place.location.lexically_normal();
    if (!place.location.empty() && !place.location.is_absolute()) {
      return Error::invalid(fmt::format("the directory {} of tablespace {} is not absolute",
                                        place.location.string(), place.oid));
    }
    if (!place.location.empty() && contain_one_another(place.location, data_directory)) {
      return Error::invalid(
                 fmt::format("the directory {} of tablespace {} and {} lie in each other",
                             place.location.string(), place.oid, data_directory.string()))
          .with_hint(fmt::format("--tablespace-map {}=/another/directory", tablespace.location));
    }
    for (const auto& other : places) {
      if (!place.location.empty() && other.location == place.location) {
        return Error::invalid(fmt::format("tablespaces {} and {} would share {}", other.oid,
                                          place.oid, place.location.string()));
      }
    }
    places.push_back(std::move(place));
  }
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    if (!used.contains(i)) {
      return Error::invalid(
          fmt::format("the backup has no tablespace {} to map", mappings[i].from));
    }
  }
  return places;
}

Result<std::vector<PlaceState>> inspect_places(const Path& data_directory,
                                               const std::vector<TablespacePlace>& tablespaces,
                                               const std::string& tablespace_version_directory) {
  std::vector<PlaceState> states;
  auto state = TRY(inspect_data_directory(data_directory));
  states.push_back(std::move(state));
  std::set<Path> own;
  if (states.front().occupancy != Occupancy::kFree) own = TRY(tablespaces_of(data_directory));
  for (const auto& place : tablespaces) {
    if (place.location.empty()) continue;
    auto tablespace = TRY(inspect_tablespace(place, own, tablespace_version_directory));
    states.push_back(std::move(tablespace));
  }
  return states;
}

Path restoring_marker(const Path& data_directory) {
  return data_directory / kRestoreDirectory / "restoring";
}

Result<void> write_marker(const Path& data_directory,
                          const std::vector<TablespacePlace>& tablespaces) {
  TRY(create_directories_durably(data_directory / kRestoreDirectory));
  std::string text =
      "pitr-restore is filling this directory, or was interrupted while it did. No server can\n"
      "start here. Run pitr-restore again as before, with --force where it was not --delta or\n"
      "--in-place; or remove the directory.\n";
  for (const auto& place : tablespaces) {
    if (!place.location.empty()) {
      text += fmt::format("{}{}\n", kMarkerTablespace, place.location.string());
    }
  }
  return write_file_durably(restoring_marker(data_directory), as_bytes(text));
}

Result<void> remove_entries(const std::vector<Path>& paths) {
  for (const auto& path : paths) TRY(remove_tree(path));
  return {};
}

Result<void> clear_restore_directory(const Path& data_directory) {
  const auto directory = data_directory / kRestoreDirectory;
  const std::set<Path> kept = {restoring_marker(data_directory), journal_file(data_directory),
                               withdrawn_control_file(data_directory)};
  const auto names = TRY(entries_of(directory));
  for (const auto& name : names) {
    if (!kept.contains(directory / name)) TRY(remove_tree(directory / name));
  }
  return {};
}

Result<void> clear_places(const Path& data_directory,
                          const std::vector<TablespacePlace>& tablespaces,
                          const std::string& tablespace_version_directory) {
  TRY(check_no_server(data_directory));
  // From here on no server starts.
  const auto control = data_directory / "global" / "pg_control";
  std::error_code failure;
  if (fs::remove(control, failure)) TRY(sync_directory(control.parent_path()));
  if (failure) return from_code(failure, "removing " + control.string());
  TRY(write_marker(data_directory, tablespaces));

  const auto names = TRY(entries_of(data_directory));
  for (const auto& name : names) {
    if (name != kRestoreDirectory && name != "lost+found") TRY(remove_tree(data_directory / name));
  }
  TRY(clear_restore_directory(data_directory));
  for (const auto& place : tablespaces) {
    if (!place.location.empty()) TRY(remove_tree(place.location / tablespace_version_directory));
  }
  return {};
}

}  // namespace pitr
