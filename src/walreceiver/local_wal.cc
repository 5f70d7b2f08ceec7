#include "walreceiver/local_wal.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "postgres/wal/decoder.h"

namespace pitr {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLongestHistory = 1 << 20;

Result<TimelineHistory> history_of(const WalArchive& archive, const Path& wal_directory,
                                   TimelineId timeline) {
  if (timeline == TimelineId(1)) return TimelineHistory::without_ancestors(timeline);
  const auto local = read_file(wal_directory / history_file_name(timeline), kLongestHistory);
  if (local.has_value()) return TimelineHistory::parse(timeline, as_text(*local));
  if (local.error().kind() != ErrorKind::kNotFound) return local.error();
  const auto stored = TRY(archive.read_history(timeline));
  return TimelineHistory::parse(timeline, as_text(stored));
}

// The cluster's file of that number: of the newest timeline of its history, as the server takes it.
Result<Bytes> read_local(const Path& wal_directory, const TimelineHistory& history,
                         std::uint64_t number, SegmentSize size) {
  auto timeline = history.timeline_at(size.start_of(number + 1) - 1);
  auto bytes = read_file(wal_directory / segment_file_name({timeline, number}, size), size.bytes());
  if (bytes.has_value() && bytes->size() != size.bytes()) {
    return Error::corrupt(
        fmt::format("{} has {} bytes", segment_file_name({timeline, number}, size), bytes->size()));
  }
  return bytes;
}

std::vector<SegmentId> segments_in(const Path& wal_directory, SegmentSize size) {
  std::vector<SegmentId> segments;
  std::error_code failure;
  for (fs::directory_iterator i(wal_directory, failure), end; !failure && i != end;
       i.increment(failure)) {
    const auto segment = parse_segment_file_name(i->path().filename().string(), size);
    if (segment.has_value()) segments.push_back(*segment);
  }
  std::ranges::sort(segments, {}, &SegmentId::number);
  return segments;
}

class TailArchiving {
 public:
  TailArchiving(SegmentIngest& ingest, const Path& wal_directory, const LocalWalEnd& end)
      : ingest_(ingest),
        archive_(ingest.archive()),
        size_(archive_.segment_size()),
        wal_directory_(wal_directory),
        end_(end) {}
  Result<ArchivedWal> run();

 private:
  Result<void> store_histories();
  Result<void> store_whole(SegmentId segment);
  Result<void> store_tail(SegmentId segment);
  bool is_whole(SegmentId segment) const;

  SegmentIngest& ingest_;
  WalArchive& archive_;
  const SegmentSize size_;
  const Path& wal_directory_;
  const LocalWalEnd& end_;
  ArchivedWal archived_;
};

Result<void> TailArchiving::store_histories() {
  auto timelines = std::vector{end_.history.timeline()};
  for (const auto& ancestor : end_.history.ancestors()) timelines.push_back(ancestor.timeline);
  for (const auto timeline : timelines) {
    const auto name = history_file_name(timeline);
    const auto bytes = read_file(wal_directory_ / name, kLongestHistory);
    if (bytes.has_value()) TRY(archive_.put_file(name, *bytes));
  }
  return {};
}

// Of this history, and full to its last byte. An ancestor's last one is not: it ends at the switch,
// and the descendant's copy of it goes on.
bool TailArchiving::is_whole(SegmentId segment) const {
  const Lsn segment_end = size_.start_of(segment.number + 1);
  if (segment_end > end_.bytes_end) return false;
  if (segment.timeline == end_.history.timeline()) {
    return end_.history.begin_of(segment.timeline).value_or(Lsn()) < segment_end;
  }
  const auto left_at = end_.history.switch_point(segment.timeline);
  return left_at && segment_end <= *left_at;
}

Result<void> TailArchiving::store_whole(SegmentId segment) {
  const bool is_stored = TRY(archive_.has_segment(segment));
  if (is_stored) return {};
  const auto bytes = TRY(read_file(wal_directory_ / segment_file_name(segment, size_)));
  TRY(ingest_.put(segment, bytes));
  ++archived_.segments;
  return {};
}

Result<void> TailArchiving::store_tail(SegmentId segment) {
  const auto stored = TRY(archive_.adopt_available(segment));
  const auto name = segment_file_name(segment, size_);
  const auto whole = TRY(read_local(wal_directory_, end_.history, segment.number, size_));
  const auto valid = ByteView(whole).first(end_.bytes_end - size_.start_of(segment.number));
  const auto common = std::min(valid.size(), stored.bytes.size());
  if (!std::ranges::equal(valid.first(common), ByteView(stored.bytes).first(common))) {
    return Error::conflict(fmt::format("WAL segment {} in {} differs from what is stored of it",
                                       name, wal_directory_.string()));
  }
  archived_.is_behind = stored.bytes.size() > valid.size();
  if (stored.bytes.size() >= valid.size()) return {};
  const auto tail =
      TRY(archive_.start_tail(segment, static_cast<std::uint32_t>(stored.bytes.size())));
  TRY(tail->append(valid.subspan(stored.bytes.size())));
  archived_.tail_bytes = valid.size() - stored.bytes.size();
  return {};
}

Result<ArchivedWal> TailArchiving::run() {
  TRY(store_histories());
  for (const auto segment : segments_in(wal_directory_, size_)) {
    if (is_whole(segment)) {
      auto stored = store_whole(segment);
      TRY(with_context(std::move(stored), "archiving " + segment_file_name(segment, size_)));
    }
  }
  const SegmentId last{end_.history.timeline(), size_.number_of(end_.bytes_end)};
  if (size_.offset_of(end_.bytes_end) != 0) TRY(store_tail(last));
  const auto newest = TRY(archive_.newest_segment(last.timeline));
  if (newest && newest->number > last.number) archived_.is_behind = true;
  return archived_;
}

}  // namespace

Result<LocalWalEnd> find_local_wal_end(const WalArchive& archive, const Path& wal_directory,
                                       TimelineId timeline, Lsn redo) {
  const auto size = archive.segment_size();
  LocalWalEnd found{TRY(history_of(archive, wal_directory, timeline)), {}, {}, {}, std::nullopt};
  std::optional<wal::Checkpoint> newest;
  bool saw_redo = false;
  const auto sink = [&](const wal::Record& record) -> Result<void> {
    saw_redo = saw_redo || record.start == redo;
    // Only with a record behind its redo can recovery from it end at a record.
    if (newest && newest->redo < record.start) found.recovery_start = newest;
    const auto checkpoint = TRY(wal::parse_checkpoint(record));
    if (checkpoint) newest = checkpoint;
    if (newest && newest->redo < record.start) found.recovery_start = newest;
    return {};
  };
  auto number = size.number_of(redo);
  wal::DecoderOptions options{archive.store().id().system_identifier, size, timeline,
                              found.history};
  auto started = wal::WalDecoder::start(options, size.start_of(number), std::nullopt, sink);
  auto decoder = TRY(std::move(started));
  bool is_valid = true;
  Bytes last_segment;  // that pushed last before the one that doesn't hold
  Bytes bytes_pushed;
  for (; is_valid; ++number) {
    auto bytes = read_local(wal_directory, found.history, number, size);
    if (!bytes.has_value()) {
      if (bytes.error().kind() == ErrorKind::kNotFound) break;
      return bytes.error();
    }
    const auto pushed = decoder.push(*bytes);
    if (!pushed && decoder.stopped_by().empty()) return pushed.error();
    is_valid = pushed.has_value();
    last_segment = std::exchange(bytes_pushed, std::move(*bytes));
  }
  const auto end = wal::valid_end(decoder);
  if (!saw_redo || end.last_record_end <= redo) {
    return Error::corrupt(fmt::format("the WAL in {} does not hold the last checkpoint's redo {}{}",
                                      wal_directory.string(), to_string(redo),
                                      end.stopped_by.empty() ? "" : ": " + end.stopped_by));
  }
  found.last_record = end.last_record;
  found.end = end.last_record_end;
  // A switch ends its segment: zeros follow, and what stopped the decoder lies in the next one.
  const auto segment_end = size.start_of(size.number_of(found.end - 1) + 1);
  const auto& segment = is_valid ? bytes_pushed : last_segment;
  const bool is_next = (is_valid ? decoder.position() : end.stopped_at) >= segment_end;
  const auto rest = ByteView(segment).subspan(
      segment.empty()
          ? 0
          : std::min<std::uint64_t>(segment.size(), size.bytes() - (segment_end - found.end)));
  const bool is_switched = is_next && !segment.empty() &&
                           std::ranges::all_of(rest, [](std::uint8_t byte) { return byte == 0; });
  found.bytes_end = is_switched ? segment_end : found.end;
  return found;
}

Result<ArchivedWal> archive_local_wal(SegmentIngest& ingest, const Path& wal_directory,
                                      const LocalWalEnd& end) {
  return TailArchiving(ingest, wal_directory, end).run();
}

}  // namespace pitr
