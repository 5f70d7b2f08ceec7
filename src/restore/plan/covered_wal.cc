#include "restore/plan/covered_wal.h"

#include <fmt/format.h>

#include <algorithm>

namespace pitr {

Result<CoveredWal> CoveredWal::open(const WalArchive& archive, const FactsStore& facts,
                                    const TimelineHistory& history, Lsn from, EnoughWal is_enough) {
  auto coverage = TRY(wal_coverage(archive, facts, history, from, std::move(is_enough)));
  return CoveredWal(archive, history, from, std::move(coverage));
}

bool CoveredWal::has_gap() const {
  // The ancestors' WAL has to reach the timeline's beginning.
  return coverage_.has_gap || end() < history_.begin_of(history_.timeline()).value_or(Lsn());
}

std::size_t CoveredWal::index_of(Lsn lsn) const {
  const auto size = archive_->segment_size();
  const auto first = size.number_of(from_);
  const auto number = std::max(size.number_of(lsn), first);
  return std::min<std::size_t>(number - first, segments().size());
}

// A segment of the covered range, without what another timeline has instead.
Result<Bytes> CoveredWal::read(std::uint64_t number) {
  const auto cached = cache_.find(number);
  if (cached != cache_.end()) return cached->second;
  const auto size = archive_->segment_size();
  const auto first = size.number_of(from_);
  if (number < first || number - first >= segments().size()) {
    return Error::not_found("the segment lies outside the WAL that was looked at");
  }
  const auto& covered = segments()[number - first];
  Bytes bytes;
  if (covered.is_complete) {
    bytes = TRY(archive_->read_segment(covered.segment));
  } else {
    auto available = TRY(archive_->read_up_to_damage(covered.segment));
    bytes = std::move(available.bytes);
  }
  const auto left = history_.switch_point(covered.segment.timeline);
  const Lsn start = size.start_of(number);
  if (left && *left < start + bytes.size()) bytes.resize(*left - start);
  while (cache_.size() >= 2) cache_.erase(cache_.begin());
  return cache_[number] = std::move(bytes);
}

Result<wal::ValidEnd> CoveredWal::scan(std::size_t index, wal::ScanSink sink) {
  const auto& segment = segments()[index].segment;
  wal::DecoderOptions options;
  options.system_identifier = archive_->store().id().system_identifier;
  options.segment_size = archive_->segment_size();
  options.timeline = history_.timeline();
  const auto reader = [this](std::uint64_t number) { return read(number); };
  auto scanned =
      wal::scan_segments(options, segment.number, segment.number, reader, std::move(sink));
  const auto result = TRY(std::move(scanned));
  const bool is_last = index + 1 == segments().size();
  const bool is_whole = is_last ? result.end.last_record >= last_record() : result.end.reached_end;
  if (!is_whole || (index > 0 && result.head_unresolved)) {
    return Error::corrupt(fmt::format(
        "WAL segment {} is not what it was when it was stored: {} at {}",
        segment_file_name(segment, archive_->segment_size()),
        result.head_unresolved ? "it does not continue the segment before" : result.end.stopped_by,
        to_string(result.end.stopped_at)));
  }
  return result.end;
}

CoveredWal::RecordPlace CoveredWal::place_of(const wal::Record& record) const {
  const auto size = archive_->segment_size();
  const bool skips_rest =
      wal::is_switch(record.header) && size.round_down(record.end) != record.end;
  const Lsn segment_end = size.start_of(size.number_of(record.end) + 1);
  return {record.start, record.end, skips_rest ? segment_end : record.end};
}

Result<std::optional<CoveredWal::RecordPlace>> CoveredWal::record_from(Lsn lsn) {
  std::optional<RecordPlace> found;
  for (auto index = index_of(lsn); index < segments().size() && !found; ++index) {
    wal::ScanSink sink;
    sink.record = [&](const wal::Record& record) -> Result<void> {
      if (!found && record.start >= lsn && record.end <= end()) {
        found = place_of(record);
      }
      return {};
    };
    TRY(scan(index, std::move(sink)));
  }
  return found;
}

Result<std::optional<CoveredWal::RecordPlace>> CoveredWal::record_before(Lsn lsn) {
  std::optional<RecordPlace> found;
  // The record that ends in the segment of lsn may begin before it, and end behind it.
  auto index = std::min(index_of(lsn) + 1, segments().size());
  while (index > 0 && !found) {
    --index;
    wal::ScanSink sink;
    sink.record = [&](const wal::Record& record) -> Result<void> {
      if (record.start >= from_ && record.start < lsn) {
        found = place_of(record);
      }
      return {};
    };
    TRY(scan(index, std::move(sink)));
  }
  return found;
}

Result<std::optional<wal::XactEnd>> CoveredWal::first_xact(Lsn from, std::optional<Lsn> to,
                                                           const SegmentFilter& may_match,
                                                           const XactFilter& matches) {
  const auto size = archive_->segment_size();
  std::optional<wal::XactEnd> found;
  for (auto index = index_of(from); index < segments().size() && !found; ++index) {
    const auto& covered = segments()[index];
    // What starts before `to` may end in a later segment, but for one record only.
    if (to && size.start_of(covered.segment.number) >= *to + size.bytes()) break;
    if (covered.facts && (!covered.facts->has_xacts() || !may_match(*covered.facts))) continue;
    wal::ScanSink sink;
    sink.xact_end = [&](const wal::XactEnd& xact) -> Result<void> {
      const bool in_range = xact.start >= from && (!to || xact.start < *to) && xact.end <= end();
      if (!found && in_range && matches(xact)) found = xact;
      return {};
    };
    TRY(scan(index, std::move(sink)));
  }
  return found;
}

Result<std::optional<wal::XactEnd>> CoveredWal::last_commit_before(Lsn lsn) {
  std::optional<wal::XactEnd> found;
  auto index = std::min(index_of(lsn) + 1, segments().size());
  while (index > 0 && !found) {
    --index;
    const auto& facts = segments()[index].facts;
    if (facts && facts->commits == 0) continue;
    wal::ScanSink sink;
    sink.xact_end = [&](const wal::XactEnd& xact) -> Result<void> {
      const bool in_range = xact.start >= from_ && xact.start < lsn;
      if (in_range && wal::is_commit(xact.kind)) found = xact;
      return {};
    };
    TRY(scan(index, std::move(sink)));
  }
  return found;
}

Result<std::vector<wal::RestorePoint>> CoveredWal::restore_points(
    const std::optional<std::string>& name, Lsn from) {
  std::vector<wal::RestorePoint> found;
  const auto add = [&](const wal::RestorePoint& point) {
    const bool matches = !name || point.name == *name;
    if (matches && point.start >= from && point.end <= end()) found.push_back(point);
  };
  for (auto index = index_of(from); index < segments().size(); ++index) {
    const auto& facts = segments()[index].facts;
    if (facts && !facts->restore_points_cut) {
      for (const auto& point : facts->restore_points) add(point);
      continue;
    }
    wal::ScanSink sink;
    sink.restore_point = [&](const wal::RestorePoint& point) -> Result<void> {
      add(point);
      return {};
    };
    TRY(scan(index, std::move(sink)));
  }
  return found;
}

Result<bool> CoveredWal::visit_xacts(Lsn from, const SegmentFilter& may_match,
                                     std::size_t most_segments,
                                     const std::function<void(const wal::XactEnd&)>& visit) {
  std::size_t decoded = 0;
  for (auto index = index_of(from); index < segments().size(); ++index) {
    const auto& facts = segments()[index].facts;
    if (facts && (!facts->has_xacts() || !may_match(*facts))) continue;
    if (decoded++ == most_segments) return false;
    wal::ScanSink sink;
    sink.xact_end = [&](const wal::XactEnd& xact) -> Result<void> {
      if (xact.start >= from && xact.end <= end()) visit(xact);
      return {};
    };
    TRY(scan(index, std::move(sink)));
  }
  return true;
}

Result<bool> CoveredWal::reaches(Lsn lsn) {
  if (end() >= lsn) return true;
  if (has_gap() || segments().empty()) return false;
  const auto number = segments().back().segment.number;
  const auto bytes = TRY(read(number));
  if (archive_->segment_size().start_of(number) + bytes.size() < lsn) return false;
  const auto valid = TRY(scan(segments().size() - 1, {}));
  return valid.reached_end;
}

}  // namespace pitr
