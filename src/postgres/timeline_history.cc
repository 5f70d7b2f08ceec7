#include "postgres/timeline_history.h"

#include <fmt/format.h>

#include <algorithm>

#include "postgres/line_reader.h"

namespace pitr {

static constexpr std::string_view kBlank = " \t\r\v\f";

static Error malformed(TimelineId timeline, std::string_view what) {
  return Error::corrupt(fmt::format("{}: {}", history_file_name(timeline), what));
}

// Takes the next word off the line.
static std::string_view take_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
  const auto word = line.substr(0, line.find_first_of(kBlank));
  line.remove_prefix(word.size());
  return word;
}

static Result<TimelineHistory::Ancestor> parse_line(TimelineId timeline, std::string_view line) {
  const auto whole = line;
  const auto ancestor = TimelineId::parse_decimal(take_word(line));
  const auto switch_point = Lsn::parse(take_word(line));
  if (!ancestor || !switch_point) {
    return malformed(timeline, fmt::format("the line \"{}\" is malformed", whole));
  }
  line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
  return TimelineHistory::Ancestor{
      .timeline = *ancestor, .switch_point = *switch_point, .reason = std::string(line)};
}

Result<TimelineHistory> TimelineHistory::parse(TimelineId timeline, std::string_view text) {
  std::vector<Ancestor> ancestors;
  TimelineId newest;
  LineReader lines(text);
  while (const auto line = lines.next()) {
    const auto first = line->find_first_not_of(kBlank);
    if (first == std::string_view::npos || (*line)[first] == '#') continue;
    auto ancestor = TRY(parse_line(timeline, *line));
    if (ancestor.timeline <= newest) return malformed(timeline, "timelines do not increase");
    newest = ancestor.timeline;
    ancestors.push_back(std::move(ancestor));
  }
  if (newest >= timeline) {
    return malformed(timeline, fmt::format("it names timeline {} as an ancestor", newest.value()));
  }
  return TimelineHistory(timeline, std::move(ancestors));
}

TimelineHistory TimelineHistory::without_ancestors(TimelineId timeline) {
  return TimelineHistory(timeline, {});
}

bool TimelineHistory::contains(TimelineId timeline) const {
  return begin_of(timeline).has_value();
}

std::optional<Lsn> TimelineHistory::switch_point(TimelineId timeline) const {
  std::optional<Lsn> earliest;
  bool found = false;
  for (const auto& ancestor : ancestors_) {
    found = found || ancestor.timeline == timeline;
    if (found) earliest = std::min(earliest.value_or(ancestor.switch_point), ancestor.switch_point);
  }
  return earliest;
}

std::optional<Lsn> TimelineHistory::begin_of(TimelineId timeline) const {
  Lsn begin;
  for (const auto& ancestor : ancestors_) {
    if (ancestor.timeline == timeline) return begin;
    begin = ancestor.switch_point;
  }
  if (timeline == timeline_) return begin;
  return std::nullopt;
}

TimelineId TimelineHistory::timeline_at(Lsn lsn) const {
  // Newest first, as tliOfPointInHistory does it.
  auto newer = timeline_;
  for (auto ancestor = ancestors_.rbegin(); ancestor != ancestors_.rend(); ++ancestor) {
    if (lsn >= ancestor->switch_point) return newer;
    newer = ancestor->timeline;
  }
  return newer;
}

bool TimelineHistory::contains(TimelineId timeline, Lsn lsn) const {
  if (timeline == timeline_) return true;
  const auto end = switch_point(timeline);
  return end && lsn <= *end;
}

}  // namespace pitr
