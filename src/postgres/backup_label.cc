#include "postgres/backup_label.h"

#include <fmt/format.h>

#include "postgres/line_reader.h"

namespace pitr {
namespace {

Error malformed(std::string_view what) {
  return Error::corrupt(fmt::format("backup_label: {}", what));
}

// The value of the next line, which must be "<name>: <value>".
Result<std::string_view> value_of(LineReader& lines, std::string_view name) {
  const auto line = lines.next();
  if (!line || !lines.ended_with_newline() || !line->starts_with(name) ||
      !line->substr(name.size()).starts_with(": ")) {
    return malformed(fmt::format("the line \"{}\" is not where it belongs", name));
  }
  return line->substr(name.size() + 2);
}

template <typename T>
Result<T> checked(Result<T> parsed) {
  if (!parsed) return malformed(parsed.error().message());
  return parsed;
}

// "0/2000028 (file 000000010000000000000002)"
Result<void> parse_start(std::string_view value, BackupLabel& label) {
  constexpr std::string_view kFile = " (file ";
  const auto at = value.find(kFile);
  if (at == std::string_view::npos || !value.ends_with(')')) {
    return malformed("no file name in the start location");
  }
  label.start = TRY(checked(Lsn::parse(value.substr(0, at))));
  const auto name = value.substr(at + kFile.size());
  label.start_segment = name.substr(0, name.size() - 1);
  if (classify_wal_file(label.start_segment).value_or(WalFileKind::kPartialSegment) !=
      WalFileKind::kSegment) {
    return malformed("the start location names no WAL segment");
  }
  return {};
}

Result<void> parse_origin(std::string_view method, std::string_view from, BackupLabel& label) {
  // "pg_start_backup" is the exclusive backup of 13/14; "master" is how 13 says primary.
  if (method != "streamed" && method != "pg_start_backup") return malformed("unknown method");
  if (from != "primary" && from != "standby" && from != "master") {
    return malformed("unknown origin");
  }
  label.method = method;
  label.from_standby = from == "standby";
  return {};
}

Result<void> parse_incremental(LineReader& lines, BackupLabel& label) {
  const auto lsn = TRY(value_of(lines, "INCREMENTAL FROM LSN"));
  const auto timeline = TRY(value_of(lines, "INCREMENTAL FROM TLI"));
  label.incremental_from = TRY(checked(Lsn::parse(lsn)));
  label.incremental_from_timeline = TRY(checked(TimelineId::parse_decimal(timeline)));
  return {};
}

}  // namespace

Result<BackupLabel> parse_backup_label(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return malformed("a zero byte");
  LineReader lines(text);
  BackupLabel label;
  const auto start = TRY(value_of(lines, "START WAL LOCATION"));
  TRY(parse_start(start, label));
  const auto checkpoint = TRY(value_of(lines, "CHECKPOINT LOCATION"));
  label.checkpoint = TRY(checked(Lsn::parse(checkpoint)));
  const auto method = TRY(value_of(lines, "BACKUP METHOD"));
  const auto from = TRY(value_of(lines, "BACKUP FROM"));
  TRY(parse_origin(method, from, label));
  label.start_time = TRY(value_of(lines, "START TIME"));
  label.label = TRY(value_of(lines, "LABEL"));
  const auto timeline = TRY(value_of(lines, "START TIMELINE"));
  label.timeline = TRY(checked(TimelineId::parse_decimal(timeline)));
  if (!label.start_segment.starts_with(to_hex8(label.timeline))) {
    return malformed("the start segment lies on another timeline than the start");
  }
  if (!lines.at_end()) TRY(parse_incremental(lines, label));
  if (!lines.at_end()) return malformed("unknown lines at the end");
  return label;
}

// They are the last ones, and no other line's value holds a line break.
std::string without_incremental_lines(std::string_view text) {
  const auto at = text.find("\nINCREMENTAL FROM LSN: ");
  return std::string(at == std::string_view::npos ? text : text.substr(0, at + 1));
}

std::string build_backup_label(const BackupLabel& label) {
  auto text = fmt::format(
      "START WAL LOCATION: {} (file {})\n"
      "CHECKPOINT LOCATION: {}\n"
      "BACKUP METHOD: {}\n"
      "BACKUP FROM: {}\n"
      "START TIME: {}\n"
      "LABEL: {}\n"
      "START TIMELINE: {}\n",
      to_string(label.start), label.start_segment, to_string(label.checkpoint), label.method,
      label.from_standby ? "standby" : "primary", label.start_time, label.label,
      label.timeline.value());
  if (label.incremental_from && label.incremental_from_timeline) {
    text +=
        fmt::format("INCREMENTAL FROM LSN: {}\nINCREMENTAL FROM TLI: {}\n",
                    to_string(*label.incremental_from), label.incremental_from_timeline->value());
  }
  return text;
}

}  // namespace pitr
