#include "walreceiver/watermark_probe.h"

#include "common/log.h"
#include "postgres/wal/page.h"

namespace pitr {

// The time comes first: what is committed between the two is behind the time and before the LSN.
// A transaction takes its commit time before it inserts its record, so where it was replayed, those
// that committed earlier by more than that moment were too.
static constexpr std::string_view kSql =
    "SELECT (extract(epoch FROM CASE WHEN pg_is_in_recovery() THEN pg_last_xact_replay_timestamp()"
    " ELSE clock_timestamp() END) * 1000000)::bigint AS time,"
    " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
    " ELSE pg_current_wal_insert_lsn() END AS lsn,"
    " CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_insert_lsn()) END"
    " AS file";

Lsn without_page_header(Lsn lsn, SegmentSize segment_size) {
  const std::uint64_t in_page = lsn.value() % wal::kPageSize;
  const bool begins_segment = segment_size.round_down(lsn) == lsn - in_page;
  const std::uint64_t header = begins_segment ? wal::kLongHeaderSize : wal::kShortHeaderSize;
  return in_page <= header ? lsn - in_page : lsn;
}

WatermarkProbe::WatermarkProbe(Connection connection, std::string conninfo,
                               ConnectionOptions options, SegmentSize segment_size)
    : conninfo_(std::move(conninfo)),
      options_(std::move(options)),
      segment_size_(segment_size),
      connection_(std::move(connection)),
      thread_([this](std::stop_token stop) { run(std::move(stop)); }) {}

void WatermarkProbe::look() {
  {
    std::lock_guard lock(mutex_);
    is_looking_ = true;
  }
  asked_.notify_all();
}

bool WatermarkProbe::is_looking() const {
  std::lock_guard lock(mutex_);
  return is_looking_;
}

std::optional<WatermarkSight> WatermarkProbe::take() {
  std::lock_guard lock(mutex_);
  return std::exchange(seen_, std::nullopt);
}

void WatermarkProbe::run(std::stop_token stop) {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      if (!asked_.wait(lock, stop, [&] { return is_looking_; })) return;
    }
    look_once(stop);
  }
}

static Result<std::optional<WatermarkSight>> ask(Connection& connection, SegmentSize segment_size,
                                                 std::stop_token stop) {
  const auto rows = TRY(connection.query(std::string(kSql), {}, stop));
  const auto row = TRY(rows.only_row());
  // A standby that has replayed no transaction yet.
  if (!TRY(row.value("time")) || !TRY(row.value("lsn"))) return std::optional<WatermarkSight>();
  WatermarkSight sight;
  sight.time = Timestamp::from_unix_us(static_cast<std::int64_t>(TRY(row.u64("time"))));
  sight.lsn = without_page_header(TRY(row.lsn("lsn")), segment_size);
  if (const auto file = TRY(row.value("file"))) {
    sight.timeline = TRY(parse_segment_file_name(*file, segment_size)).timeline;
  }
  return std::optional(sight);
}

// Of a server that is away the stream tells. Else the watermark stays where it is, and somebody has
// to mend that.
void WatermarkProbe::note_failure(const Error& error) {
  const bool is_away =
      error.kind() == ErrorKind::kTransient || error.kind() == ErrorKind::kCancelled;
  if (is_away || std::exchange(is_told_, true)) return;
  log::warning(
      "{}: the server can't be asked for its position, so the time up to which WAL is "
      "known to be complete stands still: {}",
      options_.application_name, error.message());
}

void WatermarkProbe::look_once(std::stop_token stop) {
  auto found = [&]() -> Result<std::optional<WatermarkSight>> {
    if (!connection_) connection_ = TRY(Connection::open(conninfo_, options_, stop));
    return ask(*connection_, segment_size_, stop);
  }();
  if (!found) {
    note_failure(found.error());
    connection_.reset();
  }
  std::lock_guard lock(mutex_);
  is_looking_ = false;
  if (found && *found) seen_ = *found;
}

}  // namespace pitr
