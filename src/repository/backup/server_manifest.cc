#include "repository/backup/server_manifest.h"

#include <fmt/format.h>

#include <algorithm>

namespace pitr {

static constexpr std::size_t kPieceBytes = 64 << 10;

ServerManifestWriter::ServerManifestWriter(std::uint64_t system_identifier, Send send)
    : send_(std::move(send)) {
  pending_ = fmt::format(
      "{{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n\"System-Identifier\": {},\n\"Files\": [",
      system_identifier);
}

// Names that JSON would have to escape go in hex.
static std::string path_field(std::string_view path) {
  const bool is_plain = std::ranges::all_of(
      path, [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
  if (is_plain) return fmt::format("\"Path\": \"{}\"", path);
  return fmt::format("\"Encoded-Path\": \"{}\"", to_hex(as_bytes(path)));
}

Result<void> ServerManifestWriter::add_file(std::string_view path, std::uint64_t size_bytes,
                                            Timestamp modified) {
  const auto second = to_string(modified).substr(0, std::string_view("2026-03-01 09:15:00").size());
  pending_ += fmt::format("{}\n{{ {}, \"Size\": {}, \"Last-Modified\": \"{} GMT\" }}",
                          has_files_ ? "," : "", path_field(path), size_bytes, second);
  has_files_ = true;
  if (pending_.size() < kPieceBytes) return {};
  return send_pending();
}

Result<void> ServerManifestWriter::finish(TimelineId timeline, Lsn start, Lsn stop) {
  pending_ += fmt::format(
      "\n],\n\"WAL-Ranges\": [\n{{ \"Timeline\": {}, \"Start-LSN\": \"{}\", \"End-LSN\": \"{}\" "
      "}}\n],\n",
      timeline.value(), to_string(start), to_string(stop));
  TRY(send_pending());
  // Of all bytes before its own line.
  const auto last = fmt::format("\"Manifest-Checksum\": \"{}\"}}\n", to_hex(checksum_.finish()));
  return send_(as_bytes(last));
}

Result<void> ServerManifestWriter::send_pending() {
  checksum_.update(as_bytes(pending_));
  TRY(send_(as_bytes(pending_)));
  pending_.clear();
  return {};
}

}  // namespace pitr
