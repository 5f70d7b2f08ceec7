#include "postgres/wal/segment_facts.h"

#include <fmt/format.h>

#include <algorithm>

#include "postgres/wal/record_changes.h"

namespace pitr::wal {

FactsCollector::FactsCollector(SegmentId segment, SegmentSize segment_size) {
  facts_.segment = segment;
  facts_.segment_size = segment_size;
  facts_.changes.emplace();
}

Result<void> FactsCollector::add(const Record& record) {
  if (facts_.first_record.is_none()) {
    facts_.first_record = record.start;
    facts_.first_record_previous = record.header.previous;
  }
  facts_.last_record = record.start;
  facts_.last_record_end = record.end;
  add_changes(record, *facts_.changes);
  if (record.header.rmgr == kRmXact) return add_xact(record);
  if (record.header.rmgr == kRmXlog) return add_xlog(record);
  return {};
}

Result<void> FactsCollector::add_xact(const Record& record) {
  const auto xact = TRY(parse_xact_end(record));
  if (!xact) return {};
  if (!facts_.has_xacts()) {
    facts_.first_xact = xact->start;
    facts_.first_xact_time = xact->time;
    facts_.min_xact_time = xact->time;
    facts_.max_xact_time = xact->time;
  }
  facts_.last_xact = xact->start;
  facts_.last_xact_time = xact->time;
  facts_.min_xact_time = std::min(facts_.min_xact_time, xact->time);
  facts_.max_xact_time = std::max(facts_.max_xact_time, xact->time);
  ++(is_commit(xact->kind) ? facts_.commits : facts_.aborts);
  if (xact->xid == 0 && xact->kind != XactKind::kCommit && xact->kind != XactKind::kAbort) {
    facts_.xids.add_unknown();
  } else if (xact->xid != 0) {  // a commit without xid changed nothing that has one
    facts_.xids.add(xact->xid);
  }
  return {};
}

Result<void> FactsCollector::add_xlog(const Record& record) {
  if (auto point = TRY(parse_restore_point(record))) {
    facts_.restore_points_cut = facts_.restore_points.size() == SegmentFacts::kMaxRestorePoints;
    if (!facts_.restore_points_cut) facts_.restore_points.push_back(std::move(*point));
  } else if (const auto checkpoint = TRY(parse_checkpoint(record))) {
    facts_.last_checkpoint = checkpoint;
  } else if (const auto backup_start = TRY(parse_backup_end(record))) {
    if (facts_.backup_ends.size() == SegmentFacts::kMaxBackupEnds) {
      facts_.backup_ends.erase(facts_.backup_ends.begin());
    }
    facts_.backup_ends.push_back(*backup_start);
  } else if (const auto parameters = TRY(parse_parameter_change(record))) {
    if (parameters->wal_level == WalLevel::kMinimal) facts_.wal_level_minimal = true;
    add_parameters(*parameters);
  } else if (TRY(parse_end_of_recovery(record))) {
    facts_.has_end_of_recovery = true;
  } else if (is_switch(record.header)) {
    facts_.has_switch = true;
  } else if (is_overwrite_contrecord(record.header)) {
    facts_.has_overwrite_contrecord = true;
  }
  return {};
}

void FactsCollector::add_parameters(const ParameterChange& parameters) {
  if (facts_.parameter_changes.size() == SegmentFacts::kMaxParameterChanges) {
    facts_.changes->distrust(parameters.start, "the server's parameters changed too often");
    facts_.parameter_changes.erase(facts_.parameter_changes.begin());
  }
  facts_.parameter_changes.push_back(parameters);
}

SegmentFacts FactsCollector::finish(const WalDecoder& decoder) {
  SegmentFacts facts = std::move(facts_);
  const Lsn start = facts.segment_size.start_of(facts.segment.number);
  facts.system_identifier = decoder.system_identifier();
  facts.page_magic = decoder.page_magic();
  facts.partial_record = decoder.partial_record();

  const bool has_record = !facts.first_record.is_none();
  // A record that crosses both borders never ends here.
  const Lsn crossing = has_record ? facts.first_record : facts.partial_record;
  const bool began_before = !crossing.is_none() && crossing < start;
  const bool unresolved =
      decoder.head_unresolved() && (decoder.head_end().is_none() || decoder.head_end() > start);
  if (unresolved) {
    facts.head = Head::kUnresolved;
    if (has_record && !facts.has_overwrite_contrecord) {
      facts.head_record = facts.first_record_previous;
    }
  } else if (began_before) {
    facts.head = Head::kResolved;
    facts.head_record = crossing;
  }

  if (has_record && facts.first_record == decoder.first_record()) {
    facts.linked = decoder.first_record_linked();
  } else {
    facts.linked = !decoder.last_record().is_none();
  }
  return facts;
}

Result<SegmentFacts> build_segment_facts(SegmentId segment, const DecoderOptions& options,
                                         std::optional<Carry> carry, ByteView bytes,
                                         Carry* carry_out) {
  if (bytes.size() != options.segment_size.bytes()) {
    return Error::invalid(fmt::format("WAL segment {} has {} bytes, not {}",
                                      segment_file_name(segment, options.segment_size),
                                      bytes.size(), options.segment_size.bytes()));
  }
  FactsCollector collector(segment, options.segment_size);
  auto started =
      WalDecoder::start(options, options.segment_size.start_of(segment.number), std::move(carry),
                        [&](const Record& record) { return collector.add(record); });
  auto decoder = TRY(std::move(started));
  TRY(decoder.push(bytes));
  if (carry_out != nullptr) *carry_out = TRY(decoder.carry());
  return collector.finish(decoder);
}

}  // namespace pitr::wal
