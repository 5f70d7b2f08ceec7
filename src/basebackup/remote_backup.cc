#include "basebackup/remote_backup.h"

#include <fmt/format.h>

#include "basebackup/tar_unpacker.h"
#include "postgres/backup_label.h"
#include "postgres/base_backup_stream.h"
#include "repository/backup/server_manifest.h"

namespace pitr {

namespace {

constexpr std::size_t kMaxServerManifestBytes = 1ull << 30;

// Starts the writer once the start position is known, and unpacks what the server sends.
class RemoteSink final : public BaseBackupSink {
 public:
  RemoteSink(const BaseBackupRequest& request, const StartWriter& start_writer, Observer& observer,
             std::optional<SentChanges> changes = std::nullopt)
      : request_(request), start_writer_(start_writer), observer_(observer), changes_(changes) {}

  Result<void> begin(const BaseBackupStart& start) override;
  Result<void> archive(const BackupTablespace& tablespace) override;
  Result<void> data(ByteView bytes) override { return unpacker_->feed(bytes); }
  Result<void> manifest_data(ByteView bytes) override;
  void progress(std::uint64_t) override {}

  // After the server's end: stores what is pending.
  Result<void> finish(Timestamp now);
  bool has_begun() const { return unpacker_.has_value(); }
  const TarUnpacker& unpacker() const { return *unpacker_; }

 private:
  const BaseBackupRequest& request_;
  const StartWriter& start_writer_;
  Observer& observer_;
  const std::optional<SentChanges> changes_;
  std::optional<PackCrew> crew_;
  std::optional<TarUnpacker> unpacker_;
  std::string server_manifest_;
};

Result<void> RemoteSink::begin(const BaseBackupStart& start) {
  BackupWriter* writer = TRY(start_writer_(start.start, start.timeline));
  crew_.emplace(*writer, request_.workers);
  unpacker_.emplace(*writer, *crew_, observer_, changes_);
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

// Asked for a map of tablespaces, servers before 16 leave out those in place, files and all
// (basebackup.c, sendDir; mended by commit 363e8f911). Without one they send them as directories,
// but also links, in place of which a restore needs the map.
Result<bool> wants_tablespace_map(const RemoteServer& server) {
  constexpr int kFirstMajorThatMapsThoseInPlace = 16;
  if (!server.has_in_place_tablespaces || server.major >= kFirstMajorThatMapsThoseInPlace) {
    // Asked for without need, the server sends an empty map and lists it in its manifest.
    return server.has_linked_tablespaces || server.has_in_place_tablespaces;
  }
  if (!server.has_linked_tablespaces) return false;
  return Error::invalid(fmt::format("PostgreSQL {} leaves tablespaces in place out of backups over "
                                    "the connection where there are others as well",
                                    server.major))
      .with_hint("back up from the data directory: set data_directory in the configuration");
}

Result<BaseBackupOptions> stream_options(const BaseBackupRequest& request,
                                         const RemoteServer& server) {
  BaseBackupOptions options;
  options.label = request.label;
  options.fast_checkpoint = request.fast_checkpoint;
  options.verify_checksums = request.verify_checksums;
  options.manifest = request.keep_server_manifest;
  // What is more than the server can be asked for is no limit that it would ever reach.
  const auto rate_kib = request.max_rate_bytes_per_second / 1024;
  options.max_rate_kib_per_second =
      rate_kib > kMostRateKib ? 0 : static_cast<std::uint32_t>(rate_kib);
  options.tablespace_map = TRY(wants_tablespace_map(server));
  return options;
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
  // The backup is whole, and a server would not start from it.
  copied.backup_label = without_incremental_lines(unpacker.backup_label());
  copied.tablespace_map = unpacker.tablespace_map();
  copied.tablespaces = tablespace_infos(end.start);
  copied.read_bytes = unpacker.unpacked_bytes();
  return copied;
}

// A server that counts from another backup than the parent leaves out what changed in between.
Result<void> check_parent(const TarUnpacker& unpacker, const BackupManifest* parent) {
  const auto label = TRY(parse_backup_label(unpacker.backup_label()));
  const bool is_right = parent == nullptr ? !label.incremental_from.has_value()
                                          : label.incremental_from == parent->start_lsn &&
                                                label.incremental_from_timeline == parent->timeline;
  if (is_right) return {};
  return Error::corrupt(fmt::format(
      "the server sent what changed since {}, where it was asked for what changed since {}",
      label.incremental_from ? to_string(*label.incremental_from) : "the beginning",
      parent == nullptr ? "the beginning" : to_string(parent->start_lsn)));
}

// Receives everything, and says what came.
Result<CopiedFiles> receive(ReplicationConnection& connection, const BaseBackupRequest& request,
                            const RemoteServer& server, const BaseBackupOptions& stream,
                            const BackupManifest* parent, RemoteSink& sink, Observer& observer,
                            std::stop_token stop) {
  const auto end = TRY(run_base_backup(connection, stream, sink, stop));
  const auto now = TRY(ask_server_time(request.conninfo, stop));
  TRY(sink.finish(now));
  TRY(check_parent(sink.unpacker(), parent));
  auto copied = TRY(record(end, sink.unpacker()));
  copied.start_time = server.now;
  copied.stop_time = now;
  copied.from_standby = server.is_standby;
  if (!end.checksum_failure.empty()) {
    copied.checksum_failure_count = 1;
    observer.warn("the server found damaged pages: " + end.checksum_failure);
  }
  return copied;
}

Result<ReplicationConnection> open_connection(const BaseBackupRequest& request,
                                              std::stop_token stop) {
  ConnectionOptions options;
  options.application_name = "pitr backup";
  return ReplicationConnection::open(request.conninfo, options, stop);
}

// Gives the files that the server may send changes of.
Result<SendableFiles> upload_parent(ReplicationConnection& connection, const RemoteServer& server,
                                    const IncarnationStore& store, const BackupBasis& basis,
                                    std::stop_token stop) {
  std::optional<SendableFiles> files;
  const auto& parent = *basis.parent;
  const auto write = [&](const SendManifest& send) -> Result<void> {
    ServerManifestWriter manifest(server.system_identifier, send);
    const auto add = [&](const FileRow& file) {
      return manifest.add_file(file.path, file.size_bytes, file.modified);
    };
    files = TRY(SendableFiles::read(store, parent, basis.changed, add));
    return manifest.finish(parent.timeline, parent.start_lsn, parent.stop_lsn);
  };
  TRY(upload_manifest(connection, write, stop));
  return std::move(*files);
}

// Whether the server said no to an incremental backup, and may say yes to a full one.
bool is_refusal(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::kInvalid:
    case ErrorKind::kNotFound:
    case ErrorKind::kConflict:
    case ErrorKind::kCorrupt:
      return true;
    default:
      return false;
  }
}

}  // namespace

Result<CopiedFiles> copy_remote_files(const BaseBackupRequest& request, const RemoteServer& server,
                                      const StartWriter& start_writer, Observer& observer,
                                      std::stop_token stop) {
  const auto stream = TRY(stream_options(request, server));
  auto connection = TRY(open_connection(request, stop));
  RemoteSink sink(request, start_writer, observer);
  return receive(connection, request, server, stream, nullptr, sink, observer, stop);
}

Result<std::optional<CopiedFiles>> copy_remote_changes(
    const BaseBackupRequest& request, const RemoteServer& server, const IncarnationStore& store,
    const BackupBasis& basis, const StartWriter& start_writer, Observer& observer,
    std::stop_token stop, std::string& refusal) {
  auto connection = TRY(open_connection(request, stop));
  const auto files = upload_parent(connection, server, store, basis, stop);
  if (!files) {
    if (!is_refusal(files.error())) return files.error();
    refusal = files.error().message();
    return std::nullopt;
  }
  RemoteSink sink(request, start_writer, observer, SentChanges{*files, basis.changed});
  auto stream = TRY(stream_options(request, server));
  stream.incremental = true;
  auto copied = receive(connection, request, server, stream, &*basis.parent, sink, observer, stop);
  if (copied) return std::move(*copied);
  if (sink.has_begun() || !is_refusal(copied.error())) return copied.error();
  refusal = copied.error().message();
  return std::nullopt;
}

}  // namespace pitr
