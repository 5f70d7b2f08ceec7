#include "basebackup/remote_backup.h"

#include <fmt/format.h>

#include "basebackup/tar_unpacker.h"
#include "postgres/backup_label.h"
#include "postgres/base_backup_stream.h"

namespace pitr {

namespace {

constexpr std::size_t kMaxServerManifestBytes = 1ull << 30;

// Starts the writer once the start position is known, and unpacks what the server sends.
class RemoteSink final : public BaseBackupSink {
 public:
  RemoteSink(const BaseBackupRequest& request, const StartWriter& start_writer, Observer& observer)
      : request_(request), start_writer_(start_writer), observer_(observer) {}

  Result<void> begin(const BaseBackupStart& start) override;
  Result<void> archive(const BackupTablespace& tablespace) override;
  Result<void> data(ByteView bytes) override { return unpacker_->feed(bytes); }
  Result<void> manifest_data(ByteView bytes) override;
  void progress(std::uint64_t) override {}

  // After the server's end: stores what is pending.
  Result<void> finish(Timestamp now);
  const TarUnpacker& unpacker() const { return *unpacker_; }

 private:
  const BaseBackupRequest& request_;
  const StartWriter& start_writer_;
  Observer& observer_;
  std::optional<PackCrew> crew_;
  std::optional<TarUnpacker> unpacker_;
  std::string server_manifest_;
};

Result<void> RemoteSink::begin(const BaseBackupStart& start) {
  BackupWriter* writer = TRY(start_writer_(start.start, start.timeline));
  crew_.emplace(*writer, request_.workers);
  unpacker_.emplace(*writer, *crew_, observer_);
  std::uint64_t total_bytes = 0;
  for (const auto& tablespace : start.tablespaces) total_bytes += tablespace.size_bytes.value_or(0);
  observer_.phase("receiving files", total_bytes);
  return {};
}

Result<void> RemoteSink::archive(const BackupTablespace& tablespace) {
  return unpacker_->start_archive(tablespace);
}

Result<void> RemoteSink::manifest_data(ByteView bytes) {
  if (server_manifest_.size() + bytes.size() > kMaxServerManifestBytes) {
    return Error::invalid("the server's backup_manifest is larger than 1 GiB");
  }
  server_manifest_.append(as_text(bytes));
  return {};
}

Result<void> RemoteSink::finish(Timestamp now) {
  TRY(unpacker_->finish_archive());
  if (!server_manifest_.empty()) {
    TRY(unpacker_->add_file("backup_manifest", as_bytes(server_manifest_), now));
  }
  return crew_->finish();
}

BaseBackupOptions stream_options(const BaseBackupRequest& request) {
  BaseBackupOptions options;
  options.label = request.label;
  options.fast_checkpoint = request.fast_checkpoint;
  options.verify_checksums = request.verify_checksums;
  options.manifest = request.keep_server_manifest;
  options.max_rate_kib_per_second =
      static_cast<std::uint32_t>(request.max_rate_bytes_per_second / 1024);
  return options;
}

struct ServerState {
  Timestamp now;
  bool is_standby = false;
  bool has_tablespaces = false;
};

Result<ServerState> server_state(const std::string& conninfo, std::stop_token stop) {
  auto connection = TRY(Connection::open(conninfo, {}, stop));
  const auto rows = TRY(connection.query(
      "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now, "
      "pg_is_in_recovery() AS standby, "
      "EXISTS (SELECT FROM pg_tablespace WHERE oid NOT IN (1663, 1664)) AS tablespaces",
      {}, stop));
  const auto row = TRY(rows.only_row());
  ServerState state;
  state.now = Timestamp::from_unix_us(static_cast<std::int64_t>(TRY(row.u64("now"))));
  state.is_standby = TRY(row.boolean("standby"));
  state.has_tablespaces = TRY(row.boolean("tablespaces"));
  return state;
}

// Tablespaces in place have a location relative to the data directory.
std::vector<TablespaceInfo> tablespace_infos(const BaseBackupStart& start) {
  std::vector<TablespaceInfo> infos;
  for (const auto& tablespace : start.tablespaces) {
    if (tablespace.oid == 0) continue;
    const bool is_in_place = !tablespace.location.starts_with('/');
    infos.push_back({tablespace.oid, is_in_place ? std::string() : tablespace.location});
  }
  return infos;
}

Result<CopiedFiles> record(const BaseBackupEnd& end, const TarUnpacker& unpacker) {
  if (end.timeline != end.start.timeline) {
    return Error::transient("the server was promoted during the backup")
        .with_hint("start it again");
  }
  const auto label = TRY(parse_backup_label(unpacker.backup_label()));
  if (label.start != end.start.start) {
    return Error::corrupt(fmt::format("the backup started at {}, but its label says {}",
                                      to_string(end.start.start), to_string(label.start)));
  }
  CopiedFiles copied;
  copied.control = TRY(parse_control_file(as_bytes(unpacker.control_file())));
  copied.start_lsn = end.start.start;
  copied.stop_lsn = end.stop;
  copied.timeline = end.timeline;
  copied.checkpoint_lsn = label.checkpoint;
  copied.backup_label = unpacker.backup_label();
  copied.tablespace_map = unpacker.tablespace_map();
  copied.tablespaces = tablespace_infos(end.start);
  copied.read_bytes = unpacker.unpacked_bytes();
  return copied;
}

}  // namespace

Result<CopiedFiles> copy_remote_files(const BaseBackupRequest& request,
                                      const StartWriter& start_writer, Observer& observer,
                                      std::stop_token stop) {
  const auto before = TRY(server_state(request.conninfo, stop));
  ConnectionOptions options;
  options.application_name = "pitr backup";
  auto connection = TRY(ReplicationConnection::open(request.conninfo, options, stop));
  RemoteSink sink(request, start_writer, observer);
  auto stream = stream_options(request);
  // Asked for without need, the server sends an empty map and lists it in its manifest.
  stream.tablespace_map = before.has_tablespaces;
  const auto end = TRY(run_base_backup(connection, stream, sink, stop));
  const auto after = TRY(server_state(request.conninfo, stop));
  TRY(sink.finish(after.now));

  auto copied = TRY(record(end, sink.unpacker()));
  copied.start_time = before.now;
  copied.stop_time = after.now;
  copied.from_standby = before.is_standby;
  if (!end.checksum_failure.empty()) {
    copied.checksum_failure_count = 1;
    observer.warn("the server found damaged pages: " + end.checksum_failure);
  }
  return copied;
}

}  // namespace pitr
