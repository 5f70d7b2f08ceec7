#include "postgres/tablespace_map.h"

#include <fmt/format.h>

#include "postgres/parse_number.h"

namespace pitr {

static Error malformed(std::string_view what) {
  return Error::corrupt(fmt::format("tablespace_map: {}", what));
}

// "16385 /srv/fast", already without escapes.
static Result<TablespaceMapEntry> parse_line(std::string_view line) {
  const auto space = line.find(' ');
  if (space == std::string_view::npos) return malformed("a line without a path");
  const auto digits = line.substr(0, space);
  const auto oid = parse_number<std::uint32_t>(digits);
  if (!oid || *oid == 0) {
    return malformed(fmt::format("\"{}\" is not the OID of a tablespace", digits));
  }
  if (space + 1 == line.size()) return malformed("an empty path");
  return TablespaceMapEntry{.oid = *oid, .path = std::string(line.substr(space + 1))};
}

Result<std::vector<TablespaceMapEntry>> parse_tablespace_map(std::string_view text) {
  constexpr std::size_t kMostEntries = 100'000;
  std::vector<TablespaceMapEntry> entries;
  std::string line;
  bool escaped = false;
  for (const char c : text) {
    if (c == '\0') return malformed("a zero byte");
    if (escaped || (c != '\\' && c != '\n')) {
      line += c;
      escaped = false;
    } else if (c == '\\') {
      escaped = true;
    } else {
      if (entries.size() == kMostEntries) return malformed("too many tablespaces");
      auto entry = TRY(parse_line(line));
      entries.push_back(std::move(entry));
      line.clear();
    }
  }
  if (escaped || !line.empty()) return malformed("the last line is cut off");
  return entries;
}

std::string build_tablespace_map(const std::vector<TablespaceMapEntry>& entries) {
  std::string text;
  for (const auto& entry : entries) {
    text += fmt::format("{} ", entry.oid);
    for (const char c : entry.path) {
      if (c == '\n' || c == '\r' || c == '\\') text += '\\';
      text += c;
    }
    text += '\n';
  }
  return text;
}

}  // namespace pitr
