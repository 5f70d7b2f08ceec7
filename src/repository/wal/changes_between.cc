#include "repository/wal/changes_between.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "postgres/wal/record_changes.h"
#include "postgres/wal/xact_scan.h"

namespace pitr {
namespace {

// Segments may wait to be sealed, and their facts with them; more than these are not decoded while
// somebody waits.
constexpr std::uint32_t kMostDecoded = 8;

class ChangesWalk {
 public:
  ChangesWalk(const WalArchive& archive, const FactsStore& facts, const TimelineHistory& history,
              Lsn from, Lsn to)
      : archive_(archive),
        facts_(facts),
        history_(history),
        size_(archive.segment_size()),
        from_(from),
        to_(to),
        first_(size_.number_of(from)),
        last_(size_.number_of(to - 1)) {}

  Result<ChangesInRange> run();

 private:
  // False: what is missing is told.
  Result<bool> add(std::uint64_t number);
  bool add_facts(const wal::SegmentFacts& facts);
  Result<bool> add_decoded(SegmentId segment, const std::string& why);
  Result<bool> decode(SegmentId segment, ByteView bytes);
  bool take_link(Lsn first_record, Lsn previous, bool is_linked, Lsn last_record);
  void add_parameters(const wal::ParameterChange& parameters);

  Result<const wal::SegmentFacts*> load(SegmentId segment);
  // The segment's bytes up to its end, of the newest timeline in the history that has any there: it
  // begins with a copy of its ancestor's.
  SegmentId file_of(std::uint64_t number) const {
    return {history_.timeline_at(size_.start_of(number + 1) - 1), number};
  }
  std::string name(SegmentId segment) const { return segment_file_name(segment, size_); }
  bool in_range(Lsn record) const { return record >= from_ && record < to_; }
  bool refuse(std::string reason) {
    result_.not_covered = std::move(reason);
    return false;
  }

  const WalArchive& archive_;
  const FactsStore& facts_;
  const TimelineHistory& history_;
  const SegmentSize size_;
  const Lsn from_;
  const Lsn to_;
  const std::uint64_t first_;
  const std::uint64_t last_;

  ChangesInRange result_;
  Lsn last_record_;  // that the walk has passed; 0: none
  std::uint32_t decoded_ = 0;
  std::optional<wal::Carry> carry_;  // out of the segment that was decoded last
  std::map<SegmentId, wal::SegmentFacts> loaded_;
  std::optional<SegmentId> loaded_to_;
};

Result<ChangesInRange> ChangesWalk::run() {
  for (auto number = first_; number <= last_; ++number) {
    if (!TRY(add(number))) break;
  }
  result_.blocks.forget_distrust();
  if (!result_.is_covered()) result_.blocks = {};
  return std::move(result_);
}

// A log's facts at a time.
Result<const wal::SegmentFacts*> ChangesWalk::load(SegmentId segment) {
  if (!loaded_to_ || loaded_to_->timeline != segment.timeline ||
      loaded_to_->number < segment.number) {
    const auto per_log = size_.segments_per_log();
    const auto log_end = (segment.number / per_log + 1) * per_log - 1;
    loaded_to_ = SegmentId{segment.timeline, std::min(log_end, last_)};
    loaded_.clear();
    auto batch = TRY(
        facts_.range(segment.timeline, segment.number, loaded_to_->number, wal::WithChanges::kYes));
    for (auto& facts : batch) loaded_.emplace(facts.segment, std::move(facts));
  }
  const auto found = loaded_.find(segment);
  return found == loaded_.end() ? nullptr : &found->second;
}

Result<bool> ChangesWalk::add(std::uint64_t number) {
  const auto segment = file_of(number);
  const auto* facts = TRY(load(segment));
  if (!facts) return add_decoded(segment, "there are no facts of segment {}");
  if (!facts->changes) {
    return refuse(
        fmt::format("the facts of segment {} were written by an older version of pitr, "
                    "which did not keep changed blocks: \"pitr facts rebuild\" makes them",
                    name(segment)));
  }
  const bool needs_head = number > first_;
  if (needs_head && (facts->head == wal::Head::kUnresolved || !facts->linked)) {
    return add_decoded(segment, "the facts of segment {} don't tell what continues into it");
  }
  carry_.reset();
  return add_facts(*facts);
}

bool ChangesWalk::take_link(Lsn first_record, Lsn previous, bool is_linked, Lsn last_record) {
  const bool follows =
      first_record.is_none() || last_record_.is_none() || (is_linked && previous == last_record_);
  if (!last_record.is_none()) last_record_ = last_record;
  return follows;
}

void ChangesWalk::add_parameters(const wal::ParameterChange& parameters) {
  if (parameters.wal_log_hints || !in_range(parameters.start)) return;
  if (!result_.wal_log_hints_off) result_.wal_log_hints_off = parameters.start;
}

bool ChangesWalk::add_facts(const wal::SegmentFacts& facts) {
  if (!take_link(facts.first_record, facts.first_record_previous, facts.linked,
                 facts.last_record)) {
    return refuse(
        fmt::format("segment {} does not continue the one before it", name(facts.segment)));
  }
  const auto& distrust = facts.changes->distrusted();
  if (distrust && distrust->last >= from_ && distrust->first < to_) return refuse(distrust->reason);
  for (const auto& parameters : facts.parameter_changes) add_parameters(parameters);
  result_.blocks.merge(*facts.changes);
  return true;
}

Result<bool> ChangesWalk::add_decoded(SegmentId segment, const std::string& why) {
  const auto reason = fmt::format(fmt::runtime(why), name(segment));
  if (++decoded_ > kMostDecoded) {
    return refuse(reason + ": \"pitr facts rebuild\" makes them");
  }
  const auto available = TRY(archive_.read_available(segment));
  ByteView bytes = available.bytes;
  const Lsn start = size_.start_of(segment.number);
  const std::uint64_t needed = std::min(to_, size_.start_of(segment.number + 1)) - start;
  if (bytes.size() < needed) {
    const auto newest = TRY(archive_.newest_segment(segment.timeline));
    result_.may_come = !newest || newest->number <= segment.number;
    return refuse(fmt::format("the repository has the WAL of segment {} up to {} only",
                              name(segment), to_string(start + bytes.size())));
  }
  return decode(segment, bytes.first(needed));
}

Result<bool> ChangesWalk::decode(SegmentId segment, ByteView bytes) {
  wal::DecoderOptions options;
  options.system_identifier = archive_.store().id().system_identifier;
  options.segment_size = size_;
  options.timeline = segment.timeline;
  options.history = history_;
  const auto start = size_.start_of(segment.number);
  const bool needs_head = segment.number > first_;
  if (needs_head && !(carry_ && carry_->position == start)) {
    const auto reader = [&](std::uint64_t number) -> Result<Bytes> {
      auto available = TRY(archive_.read_available(file_of(number)));
      return std::move(available.bytes);
    };
    carry_ = TRY(wal::carry_into(options, segment.number, reader));
  }
  if (!needs_head) carry_.reset();

  wal::ChangedBlocks changed;
  const auto collect = [&](const wal::Record& record) -> Result<void> {
    if (!in_range(record.start)) return {};
    wal::add_changes(record, changed);
    const auto parameters = TRY(wal::parse_parameter_change(record));
    if (parameters) add_parameters(*parameters);
    return {};
  };
  auto started = wal::WalDecoder::start(options, start, std::move(carry_), collect);
  carry_.reset();
  auto decoder = TRY(std::move(started));
  const auto pushed = decoder.push(bytes);
  if (!pushed && decoder.stopped_by().empty()) return pushed.error();
  if (!pushed) {
    return refuse(fmt::format("segment {} cannot be read beyond {}: {}", name(segment),
                              to_string(decoder.stopped_at()), decoder.stopped_by()));
  }
  if (needs_head && decoder.head_unresolved()) {
    return refuse(fmt::format("the WAL before segment {} is not in the repository", name(segment)));
  }
  if (!take_link(decoder.first_record(), decoder.first_record_previous(),
                 decoder.first_record_linked(), decoder.last_record())) {
    return refuse(fmt::format("segment {} does not continue the one before it", name(segment)));
  }
  const bool is_whole = bytes.size() == size_.bytes();
  if (!is_whole && !decoder.partial_record().is_none()) {
    return refuse(fmt::format("{} is not where a record ends", to_string(to_)));
  }
  if (changed.distrusted()) return refuse(changed.distrusted()->reason);
  if (is_whole) carry_ = TRY(decoder.carry());
  result_.blocks.merge(changed);
  return true;
}

}  // namespace

Result<ChangesInRange> changes_between(const WalArchive& archive, const FactsStore& facts,
                                       const TimelineHistory& history, Lsn from, Lsn to) {
  if (from > to) {
    return Error::invalid(fmt::format("there are no changes between {} and the earlier {}",
                                      to_string(from), to_string(to)));
  }
  if (from == to) return ChangesInRange{};
  return ChangesWalk(archive, facts, history, from, to).run();
}

}  // namespace pitr
