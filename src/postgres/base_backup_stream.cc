#include "postgres/base_backup_stream.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <algorithm>

#include "postgres/libpq_session.h"
#include "postgres/parse_number.h"

namespace pitr {

using libpq::ResultHandle;
using libpq::Session;

namespace {

constexpr int kFirstMajorWithTaggedStream = 15;
constexpr int kFirstMajorWithIncremental = 17;
constexpr int kMostTablespaces = 100'000;

std::string_view manifest_checksum_word(ManifestChecksums checksums) {
  switch (checksums) {
    case ManifestChecksums::kNone:
      return "NONE";
    case ManifestChecksums::kCrc32c:
      return "CRC32C";
    case ManifestChecksums::kSha224:
      return "SHA224";
    case ManifestChecksums::kSha256:
      return "SHA256";
    case ManifestChecksums::kSha384:
      return "SHA384";
    case ManifestChecksums::kSha512:
      return "SHA512";
  }
  return "NONE";
}

// The scanner of replication commands knows doubled quotes and no backslashes (repl_scanner.l).
Result<std::string> quoted_label(const std::string& label) {
  const bool printable = std::ranges::all_of(
      label, [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != '\x7F'; });
  if (!printable || label.size() > 1024) {
    return Error::invalid("a backup label has at most 1024 bytes and no control characters");
  }
  std::string quoted = "'";
  for (const char c : label) quoted.append(c == '\'' ? 2 : 1, c);
  return quoted + "'";
}

std::string old_command(const BaseBackupOptions& options, const std::string& label) {
  std::string command = "BASE_BACKUP LABEL " + label;
  if (options.progress) command += " PROGRESS";
  if (options.fast_checkpoint) command += " FAST";
  if (options.include_wal) command += " WAL";
  if (!options.wait_for_archive) command += " NOWAIT";
  if (options.max_rate_kib_per_second != 0) {
    command += fmt::format(" MAX_RATE {}", options.max_rate_kib_per_second);
  }
  if (options.tablespace_map) command += " TABLESPACE_MAP";
  if (!options.verify_checksums) command += " NOVERIFY_CHECKSUMS";
  if (options.manifest) {
    command += fmt::format(" MANIFEST 'yes' MANIFEST_CHECKSUMS '{}'",
                           manifest_checksum_word(options.manifest_checksums));
  }
  return command;
}

std::string new_command(const BaseBackupOptions& options, const std::string& label) {
  std::string command = fmt::format(
      "BASE_BACKUP (LABEL {}, PROGRESS {}, CHECKPOINT '{}', WAL {}, WAIT {}, TABLESPACE_MAP {}, "
      "VERIFY_CHECKSUMS {}",
      label, options.progress, options.fast_checkpoint ? "fast" : "spread", options.include_wal,
      options.wait_for_archive, options.tablespace_map, options.verify_checksums);
  if (options.max_rate_kib_per_second != 0) {
    command += fmt::format(", MAX_RATE {}", options.max_rate_kib_per_second);
  }
  if (options.incremental) command += ", INCREMENTAL";
  if (options.manifest) {
    command += fmt::format(", MANIFEST 'yes', MANIFEST_CHECKSUMS '{}'",
                           manifest_checksum_word(options.manifest_checksums));
  }
  return command + ")";
}

Error protocol_error(std::string_view what) {
  return Error::corrupt(fmt::format("BASE_BACKUP: the server sent {}", what));
}

std::string_view cell(const ResultHandle& result, int row, int column) {
  return {PQgetvalue(result.get(), row, column),
          static_cast<std::size_t>(PQgetlength(result.get(), row, column))};
}

template <typename Number>
Result<Number> number(std::string_view text) {
  const auto value = parse_number<Number>(text);
  if (!value) return protocol_error("a number of a wrong form");
  return *value;
}

// One backup under way: the steps of the protocol in their order.
class Run {
 public:
  Run(Session& session, const BaseBackupOptions& options, BaseBackupSink& sink,
      std::stop_token stop)
      : session_(session), options_(options), sink_(sink), stop_(std::move(stop)) {}

  Result<BaseBackupEnd> all() {
    const int major = session_.server_version_num() / 10000;
    const auto command = TRY(base_backup_command(options_, major));
    TRY(session_.send(command, {}, stop_));
    TRY(read_start());
    TRY(sink_.begin(end_.start));
    if (major >= kFirstMajorWithTaggedStream) {
      TRY(read_tagged_stream());
    } else {
      TRY(read_stream_per_tablespace());
    }
    TRY(read_end());
    return std::move(end_);
  }

 private:
  Result<ResultHandle> expect(ExecStatusType status);
  Result<void> read_start();
  Result<void> read_tablespaces();
  Result<void> read_tagged_stream();
  Result<void> read_tagged_message(ByteView message);
  Result<void> begin_archive(ByteView names);
  Result<void> read_stream_per_tablespace();
  template <typename Take>
  Result<void> for_each_message(Take take);
  Result<void> read_end();

  Session& session_;
  const BaseBackupOptions& options_;
  BaseBackupSink& sink_;
  std::stop_token stop_;
  BaseBackupEnd end_;
  enum class Part { kNothing, kArchive, kManifest } part_ = Part::kNothing;
};

Result<ResultHandle> Run::expect(ExecStatusType status) {
  auto result = TRY(session_.next_result(stop_));
  if (result == nullptr) return session_.connection_error("BASE_BACKUP");
  if (PQresultStatus(result.get()) == status) return result;
  if (PQresultStatus(result.get()) == PGRES_FATAL_ERROR) {
    return session_.error_of(result.get()).with_context("BASE_BACKUP");
  }
  return protocol_error(fmt::format("{} in place of {}", PQresStatus(PQresultStatus(result.get())),
                                    PQresStatus(status)));
}

Result<void> Run::read_start() {
  const auto row = TRY(expect(PGRES_TUPLES_OK));
  if (PQntuples(row.get()) != 1 || PQnfields(row.get()) < 2) {
    return protocol_error("no start position");
  }
  end_.start.start = TRY(Lsn::parse(cell(row, 0, 0)));
  end_.start.timeline = TRY(TimelineId::parse_decimal(cell(row, 0, 1)));
  return read_tablespaces();
}

Result<void> Run::read_tablespaces() {
  const auto rows = TRY(expect(PGRES_TUPLES_OK));
  const int count = PQntuples(rows.get());
  if (count < 1 || count > kMostTablespaces || PQnfields(rows.get()) < 3) {
    return protocol_error("no list of tablespaces");
  }
  for (int row = 0; row < count; ++row) {
    BackupTablespace tablespace;
    const bool is_data_directory = PQgetisnull(rows.get(), row, 0) != 0;
    // The sender puts the data directory last, and the end of the backup rests on it: pg_control
    // must be the last file copied.
    if (is_data_directory != (row == count - 1)) {
      return protocol_error("the tablespaces in an unknown order");
    }
    if (!is_data_directory) {
      tablespace.oid = TRY(number<std::uint32_t>(cell(rows, row, 0)));
      tablespace.location = cell(rows, row, 1);
    }
    if (PQgetisnull(rows.get(), row, 2) == 0) {
      const auto size_kib = TRY(number<std::uint64_t>(cell(rows, row, 2)));
      tablespace.size_bytes = size_kib * 1024;
    }
    end_.start.tablespaces.push_back(std::move(tablespace));
  }
  return {};
}

// Every message of the current COPY.
template <typename Take>
Result<void> Run::for_each_message(Take take) {
  while (true) {
    const auto event = TRY(session_.receive_copy(std::nullopt, stop_));
    if (event != Session::CopyEvent::kData) return {};
    TRY(take(session_.copy_data()));
  }
}

Result<void> Run::read_tagged_stream() {
  TRY(expect(PGRES_COPY_OUT));
  return for_each_message([this](ByteView message) { return read_tagged_message(message); });
}

Result<void> Run::read_tagged_message(ByteView message) {
  if (message.empty()) return protocol_error("an empty message");
  const auto payload = message.subspan(1);
  switch (message[0]) {
    case 'n':
      return begin_archive(payload);
    case 'd':
      if (part_ == Part::kArchive) return sink_.data(payload);
      if (part_ == Part::kManifest) return sink_.manifest_data(payload);
      return protocol_error("data before the name of an archive");
    case 'm':
      part_ = Part::kManifest;
      return {};
    case 'p':
      if (payload.size() != 8) return protocol_error("progress of a wrong form");
      sink_.progress(load_big_endian<std::uint64_t>(payload.data()));
      return {};
    default:
      return protocol_error(fmt::format("a message of unknown type {:#x}", message[0]));
  }
}

// "<oid>.tar" or "base.tar", NUL, location of the tablespace, NUL.
Result<void> Run::begin_archive(ByteView names) {
  const auto text = as_text(names);
  const auto archive = text.substr(0, text.find('\0'));
  const auto found = std::ranges::find_if(end_.start.tablespaces, [&](const auto& tablespace) {
    return archive ==
           (tablespace.oid == 0 ? std::string("base.tar") : fmt::format("{}.tar", tablespace.oid));
  });
  if (found == end_.start.tablespaces.end()) {
    return protocol_error("an archive that is not in its list of tablespaces");
  }
  part_ = Part::kArchive;
  return sink_.archive(*found);
}

Result<void> Run::read_stream_per_tablespace() {
  for (const auto& tablespace : end_.start.tablespaces) {
    TRY(expect(PGRES_COPY_OUT));
    TRY(sink_.archive(tablespace));
    TRY(for_each_message([this](ByteView bytes) { return sink_.data(bytes); }));
  }
  if (!options_.manifest) return {};
  TRY(expect(PGRES_COPY_OUT));
  return for_each_message([this](ByteView bytes) { return sink_.manifest_data(bytes); });
}

// The position, and then the verdict: an error that comes after everything was sent says that
// damaged pages were found on the way (basebackup.c, perform_base_backup).
Result<void> Run::read_end() {
  const auto row = TRY(expect(PGRES_TUPLES_OK));
  if (PQntuples(row.get()) != 1 || PQnfields(row.get()) < 2) {
    return protocol_error("no end position");
  }
  end_.stop = TRY(Lsn::parse(cell(row, 0, 0)));
  end_.timeline = TRY(TimelineId::parse_decimal(cell(row, 0, 1)));
  const auto drained = session_.drain(stop_);
  if (drained) return {};
  if (drained.error().kind() != ErrorKind::kCorrupt) return drained.error();
  end_.checksum_failure = drained.error().message();
  return {};
}

}  // namespace

Result<std::string> base_backup_command(const BaseBackupOptions& options, int server_major) {
  const auto rate = options.max_rate_kib_per_second;
  if (rate != 0 && (rate < 32 || rate > kMostRateKib)) {
    return Error::invalid(fmt::format("a base backup cannot be limited to {} KiB/s", rate))
        .with_hint("PostgreSQL takes 32 to 1048576");
  }
  if (options.incremental && server_major < kFirstMajorWithIncremental) {
    return Error::invalid(
        fmt::format("PostgreSQL {} knows no incremental backups; 17 does", server_major));
  }
  const auto label = TRY(quoted_label(options.label));
  return server_major >= kFirstMajorWithTaggedStream ? new_command(options, label)
                                                     : old_command(options, label);
}

Result<void> upload_manifest(ReplicationConnection& connection,
                             const std::function<Result<void>(const SendManifest& send)>& write,
                             std::stop_token stop) {
  constexpr std::string_view kCommand = "UPLOAD_MANIFEST";
  auto& session = connection.session();
  TRY(session.send(std::string(kCommand), {}, stop));
  const auto answer = TRY(session.next_result(stop));
  if (answer == nullptr) return session.connection_error(kCommand);
  if (PQresultStatus(answer.get()) == PGRES_FATAL_ERROR) {
    return session.error_of(answer.get()).with_context(kCommand);
  }
  if (PQresultStatus(answer.get()) != PGRES_COPY_IN) {
    return Error::corrupt("UPLOAD_MANIFEST: the server does not take it");
  }
  TRY(write([&](ByteView bytes) { return session.send_copy(bytes, stop); }));
  TRY(session.send_copy_end(stop));
  return with_context(session.drain(stop), kCommand);
}

Result<BaseBackupEnd> run_base_backup(ReplicationConnection& connection,
                                      const BaseBackupOptions& options, BaseBackupSink& sink,
                                      std::stop_token stop) {
  return Run(connection.session(), options, sink, std::move(stop)).all();
}

}  // namespace pitr
