#include "postgres/data_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "postgres/line_reader.h"
#include "postgres/parse_number.h"

namespace pitr {
namespace {

constexpr std::string_view kDigits = "0123456789";
constexpr std::uint32_t kDefaultTablespace = 1663;
constexpr std::uint32_t kGlobalTablespace = 1664;

// basebackup.c, excludeDirContents.
constexpr std::array<std::string_view, 7> kDirectoriesKeptEmpty = {
    "pg_stat_tmp", "pg_replslot",  "pg_dynshmem", "pg_notify",
    "pg_serial",   "pg_snapshots", "pg_subtrans"};

// basebackup.c, excludeFiles.
constexpr std::array<std::string_view, 8> kSkippedNames = {
    "postgresql.auto.conf.tmp", "current_logfiles.tmp", "backup_label",    "tablespace_map",
    "backup_manifest",          "postmaster.pid",       "postmaster.opts", ".DS_Store"};
constexpr std::array<std::string_view, 2> kSkippedPrefixes = {"pg_internal.init", "pgsql_tmp"};

// Takes a number as PostgreSQL writes it, without leading zeros, off the text.
std::optional<std::uint32_t> take_number(std::string_view& text) {
  const auto digits = text.substr(0, text.find_first_not_of(kDigits));
  if (digits.empty() || (digits[0] == '0' && digits.size() > 1)) return std::nullopt;
  const auto value = parse_number<std::uint32_t>(digits);
  if (!value) return std::nullopt;
  text.remove_prefix(digits.size());
  return value;
}

std::optional<std::uint32_t> whole_oid(std::string_view text) {
  const auto value = take_number(text);
  if (!text.empty() || value == 0u) return std::nullopt;
  return value;
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// "pg_tblspc/<oid>" itself.
bool is_tablespace_root(std::string_view directory) {
  return take_prefix(directory, "pg_tblspc/") && whole_oid(directory).has_value();
}

template <std::size_t kCount>
bool is_one_of(const std::array<std::string_view, kCount>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

bool is_skipped_name(std::string_view entry) {
  return is_one_of(kSkippedNames, entry) || std::ranges::any_of(kSkippedPrefixes, [&](auto prefix) {
           return entry.starts_with(prefix);
         });
}

bool is_temporary_relation(std::string_view directory, std::string_view entry) {
  const auto place = parse_relation_directory(directory);
  if (!place || place->database == 0) return false;
  const auto file = parse_relation_file_name(entry);
  return file && file->temporary_backend;
}

}  // namespace

BackupRule backup_rule(std::string_view directory, std::string_view entry, EntryKind kind,
                       int server_major) {
  if (is_skipped_name(entry)) return BackupRule::kSkip;
  const bool directory_or_link = kind == EntryKind::kDirectory || kind == EntryKind::kSymlink;
  if (directory_or_link && is_one_of(kDirectoriesKeptEmpty, entry)) {
    return BackupRule::kDirectoryOnly;
  }
  if (directory_or_link && directory.empty() && entry == "pg_wal") {
    return BackupRule::kDirectoryOnly;
  }
  if (is_tablespace_root(directory) && parse_tablespace_version_directory(entry) != server_major) {
    return BackupRule::kSkip;
  }
  if (kind == EntryKind::kSymlink) {
    const bool tablespace = directory == "pg_tblspc" && whole_oid(entry);
    return tablespace ? BackupRule::kTablespaceLink : BackupRule::kSkip;
  }
  if (kind == EntryKind::kOther || is_temporary_relation(directory, entry)) {
    return BackupRule::kSkip;
  }
  return BackupRule::kInclude;
}

std::vector<std::string> required_wal_directories(int server_major) {
  std::vector<std::string> directories = {"pg_wal/archive_status"};
  if (server_major >= 17) directories.emplace_back("pg_wal/summaries");
  return directories;
}

std::string_view to_string(Fork fork) {
  switch (fork) {
    case Fork::kMain:
      return "main";
    case Fork::kFreeSpaceMap:
      return "fsm";
    case Fork::kVisibilityMap:
      return "vm";
    case Fork::kInit:
      return "init";
  }
  return "unknown";
}

std::optional<RelationFileName> parse_relation_file_name(std::string_view name) {
  RelationFileName file;
  if (take_prefix(name, "t")) {
    file.temporary_backend = take_number(name);
    if (!file.temporary_backend || !take_prefix(name, "_")) return std::nullopt;
  }
  const auto number = take_number(name);
  if (!number || *number == 0) return std::nullopt;
  file.number = *number;
  for (const auto fork : {Fork::kFreeSpaceMap, Fork::kVisibilityMap, Fork::kInit}) {
    if (take_prefix(name, fmt::format("_{}", to_string(fork)))) {
      file.fork = fork;
      break;
    }
  }
  if (take_prefix(name, ".")) {
    const auto segment = take_number(name);
    if (!segment || *segment == 0) return std::nullopt;
    file.segment = *segment;
  }
  if (!name.empty()) return std::nullopt;
  return file;
}

std::string to_string(const RelationFileName& file) {
  auto name = std::to_string(file.number);
  if (file.temporary_backend) name = fmt::format("t{}_{}", *file.temporary_backend, name);
  if (file.fork != Fork::kMain) name += fmt::format("_{}", to_string(file.fork));
  if (file.segment != 0) name += fmt::format(".{}", file.segment);
  return name;
}

std::optional<RelationDirectory> parse_relation_directory(std::string_view directory) {
  if (directory == "global") return RelationDirectory{kGlobalTablespace, 0};
  if (take_prefix(directory, "base/")) {
    const auto database = whole_oid(directory);
    if (!database) return std::nullopt;
    return RelationDirectory{kDefaultTablespace, *database};
  }
  if (!take_prefix(directory, "pg_tblspc/")) return std::nullopt;
  const auto tablespace = take_number(directory);
  if (!tablespace || *tablespace == 0 || !take_prefix(directory, "/")) return std::nullopt;
  const auto slash = directory.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto database = whole_oid(directory.substr(slash + 1));
  if (!database || !parse_tablespace_version_directory(directory.substr(0, slash))) {
    return std::nullopt;
  }
  return RelationDirectory{*tablespace, *database};
}

void UnloggedRelations::add_entry(std::string_view name) {
  const auto file = parse_relation_file_name(name);
  if (file && file->fork == Fork::kInit && file->segment == 0 && !file->temporary_backend) {
    numbers_.push_back(file->number);
  }
}

void UnloggedRelations::finish() {
  std::ranges::sort(numbers_);
}

bool UnloggedRelations::must_skip(const RelationFileName& file) const {
  return file.fork != Fork::kInit && std::ranges::binary_search(numbers_, file.number);
}

std::string tablespace_version_directory(int server_major, std::uint32_t catalog_version) {
  return fmt::format("PG_{}_{}", server_major, catalog_version);
}

std::optional<int> parse_tablespace_version_directory(std::string_view name) {
  if (!take_prefix(name, "PG_")) return std::nullopt;
  const auto major = take_number(name);
  if (!major || *major > 1000 || !take_prefix(name, "_") || !whole_oid(name)) return std::nullopt;
  return static_cast<int>(*major);
}

Result<int> read_server_major(const Path& data_directory) {
  const Path path = data_directory / "PG_VERSION";
  const auto text = TRY(read_text_file(path, 64));
  std::string_view rest = text;
  const auto major = take_number(rest);
  if (!major || *major > 1000 || (rest != "\n" && !rest.empty())) {
    return Error::corrupt(
        fmt::format("{} does not hold a version of PostgreSQL 10 or later", path.native()));
  }
  return static_cast<int>(*major);
}

static std::string_view without_trailing_blanks(std::string_view text) {
  const auto last = text.find_last_not_of(' ');
  return last == std::string_view::npos ? std::string_view() : text.substr(0, last + 1);
}

// Lines as in src/include/utils/pidfile.h. The postmaster writes the first five at once and the
// others later.
Result<PostmasterPid> read_postmaster_pid(const Path& data_directory) {
  const Path path = data_directory / "postmaster.pid";
  const auto text = TRY(read_text_file(path, 64 * 1024));
  std::array<std::string_view, 8> lines;
  LineReader reader(text);
  std::size_t whole_lines = 0;
  for (auto& into : lines) {
    const auto line = reader.next();
    if (!line) break;
    into = *line;
    if (reader.ended_with_newline()) ++whole_lines;
  }
  constexpr std::size_t kLinesAtOnce = 5;
  if (whole_lines < kLinesAtOnce) {
    return Error::transient(fmt::format("{} is not completely written", path.native()));
  }
  const auto pid = parse_number<std::int32_t>(lines[0]);
  const auto start_time = parse_number<std::int64_t>(lines[2]);
  const auto port = parse_number<std::uint16_t>(lines[3]);
  if (!pid || !start_time || !port) {
    return Error::corrupt(fmt::format("{} has an unknown form", path.native()));
  }
  PostmasterPid found;
  found.pid = *pid;
  found.data_directory = lines[1];
  found.start_time_unix = *start_time;
  found.port = *port;
  found.socket_directory = lines[4];
  found.listen_address = lines[5];
  found.status = without_trailing_blanks(lines[7]);
  return found;
}

}  // namespace pitr
