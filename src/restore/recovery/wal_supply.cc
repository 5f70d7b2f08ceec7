#include "restore/recovery/wal_supply.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>

#include "postgres/wal/page.h"
#include "repository/wal/wal_coverage.h"

namespace pitr {

WalSupply::WalSupply(WalArchive archive, RecoveryPlan plan)
    : archive_(std::move(archive)),
      plan_(std::move(plan)),
      segment_size_(archive_.segment_size()) {}

Result<std::optional<Bytes>> WalSupply::get(std::string_view file_name) const {
  const auto kind = TRY(classify_wal_file(file_name));
  switch (kind) {
    case WalFileKind::kSegment: {
      const auto segment = TRY(parse_segment_file_name(file_name, segment_size_));
      return with_context(get_segment(segment), file_name);
    }
    case WalFileKind::kTimelineHistory: {
      const auto timeline = TRY(layout::parse_timeline(file_name.substr(0, 8)));
      return with_context(get_history(timeline), file_name);
    }
    case WalFileKind::kPartialSegment:
    case WalFileKind::kBackupHistory:
      break;
  }
  return Error::invalid(fmt::format("{} is a file that recovery does not ask for", file_name));
}

Result<std::optional<SegmentId>> WalSupply::planned(std::uint64_t number) const {
  if (number > plan_.segments.back().last) return std::optional<SegmentId>();
  for (const auto& run : plan_.segments) {
    if (number >= run.first && number <= run.last) {
      return std::optional(SegmentId{run.timeline, number});
    }
  }
  return Error::invalid(
      fmt::format("the segment lies before the backup's first one, {}",
                  segment_file_name({plan_.segments.front().timeline, plan_.segments.front().first},
                                    segment_size_)));
}

Result<std::optional<Bytes>> WalSupply::get_segment(SegmentId segment) const {
  const auto wanted = TRY(planned(segment.number));
  // The server asks for a segment on every timeline of the history, newest first: those that the
  // plan doesn't use are "not there", and it comes to the one that is.
  if (!wanted || wanted->timeline != segment.timeline) return std::optional<Bytes>();

  auto found = archive_.read_up_to_damage(segment);
  if (!found.has_value() && found.error().kind() == ErrorKind::kNotFound) {
    return Error::corrupt("the segment is gone from the repository");
  }
  auto available = TRY(std::move(found));
  auto& bytes = available.bytes;
  const Lsn start = segment_size_.start_of(segment.number);
  const auto needed =
      std::min<std::uint64_t>(segment_size_.bytes(), plan_.target_record_end - start);
  // The padding behind the last record, up to 7 zeros, need not be there.
  if ((bytes.size() + 7) / 8 * 8 < needed) {
    if (available.damage) return std::move(*available.damage);
    return Error::corrupt(fmt::format("the plan needs {} bytes of the segment, and {} are stored",
                                      needed, bytes.size()));
  }
  const auto page = TRY(wal::parse_page_header(bytes));
  if (page.address != start || page.system_identifier != plan_.system_identifier) {
    return Error::corrupt("the segment stored under this name is another one");
  }
  bytes.resize(segment_size_.bytes());
  return std::optional<Bytes>(std::move(bytes));
}

Result<std::optional<Bytes>> WalSupply::get_history(TimelineId timeline) const {
  if (timeline >= plan_.new_timeline) return std::optional<Bytes>();
  auto stored = archive_.read_history(timeline);
  if (stored.has_value()) return std::optional(std::move(*stored));
  if (stored.error().kind() != ErrorKind::kNotFound) return std::move(stored).error();
  if (timeline > plan_.timeline) {
    // Promotion takes the first id without a history file: these belong to others.
    const std::string text = "# reserved by another restore\n";
    return std::optional(Bytes(text.begin(), text.end()));
  }
  if (timeline == plan_.timeline && timeline != TimelineId(1)) {
    return Error::corrupt("the plan's history file is gone from the repository");
  }
  return std::optional<Bytes>();
}

Result<void> place_file(const Path& path, ByteView bytes, const std::optional<FileOwner>& owner) {
  Path temporary = path;
  temporary += ".pitr-tmp";
  auto file = TRY(File::open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  TRY(file.write_at(bytes, 0));
  TRY(give_to(file.fd(), temporary, owner));
  TRY(file.close());
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    return Error::from_errno(errno, "renaming to " + path.string());
  }
  return {};
}

}  // namespace pitr
