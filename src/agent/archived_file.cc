#include "agent/archived_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "postgres/wal/page.h"

namespace pitr {

static constexpr std::uint64_t kMiB = 1ull << 20;

static std::uint64_t size_limit(WalFileKind kind) {
  switch (kind) {
    case WalFileKind::kSegment:
    case WalFileKind::kPartialSegment:
      return 1024 * kMiB;
    case WalFileKind::kBackupHistory:
    case WalFileKind::kTimelineHistory:
      return kMiB;
  }
  return 0;
}

static Error not_there(const Path& path) {
  return Error::invalid(fmt::format("{} does not exist here", path.native()))
      .with_hint("pitr-archive must run on the same host as the agent it asks");
}

static Result<Bytes> read_regular_file(const Path& path, std::uint64_t limit_bytes) {
  auto opened = File::open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!opened && opened.error().kind() == ErrorKind::kNotFound) return not_there(path);
  const auto file = TRY(std::move(opened));
  struct stat status{};
  if (::fstat(file.fd(), &status) != 0) {
    return Error::from_errno(errno, "looking at " + path.native());
  }
  if (!S_ISREG(status.st_mode)) {
    return Error::invalid(path.native() + " is not a regular file");
  }
  const auto size_bytes = static_cast<std::uint64_t>(status.st_size);
  if (size_bytes > limit_bytes) {
    return Error::invalid(
        fmt::format("{} has {} bytes, more than such a file can have", path.native(), size_bytes));
  }
  Bytes bytes(size_bytes);
  const auto read_bytes = TRY(file.read_at(bytes, 0));
  if (read_bytes != size_bytes)
    return Error::transient(path.native() + " shrank while it was read");
  return bytes;
}

Result<ArchivedFile> read_archived_file(const Path& path) {
  if (!path.is_absolute()) {
    return Error::invalid(fmt::format("\"{}\" is not an absolute path", path.native()));
  }
  ArchivedFile file;
  file.name = path.filename().native();
  auto kind = classify_wal_file(file.name);
  if (!kind) {
    return Error::invalid(fmt::format("\"{}\" is not the name of a WAL file", file.name))
        .with_hint("archive_command must pass the path as %p");
  }
  file.kind = *kind;
  file.bytes = TRY(read_regular_file(path, size_limit(file.kind)));
  // %p is pg_wal/<name> in the data directory.
  auto origin = read_directory_identity(path.parent_path().parent_path());
  if (origin) file.origin = *origin;
  return file;
}

static Error of_another_cluster(const ArchivedFile& file, std::uint64_t found,
                                std::uint64_t expected) {
  return Error::invalid(fmt::format("WAL file {} belongs to another cluster: its system identifier "
                                    "is {}, this one's is {}",
                                    file.name, found, expected))
      .with_hint("check which cluster archive_command names in --cluster");
}

// Segments are checked by SegmentIngest; a .partial begins like one, and the others don't say whose
// they are.
static Result<void> check_origin(const ArchivedFile& file, const IncarnationId& incarnation) {
  const auto expected = incarnation.system_identifier;
  if (file.kind == WalFileKind::kPartialSegment) {
    const auto page = TRY(with_context(wal::parse_page_header(file.bytes), file.name));
    if (!page.is_long) return Error::invalid(file.name + " does not begin as a segment does");
    if (page.system_identifier != expected) {
      return of_another_cluster(file, page.system_identifier, expected);
    }
  }
  if (file.origin && file.origin->system_identifier != expected) {
    return of_another_cluster(file, file.origin->system_identifier, expected);
  }
  return {};
}

Result<PutOutcome> store_archived_file(SegmentIngest& ingest, const ArchivedFile& file) {
  WalArchive& archive = ingest.archive();
  TRY(check_origin(file, archive.store().id()));
  if (file.kind != WalFileKind::kSegment) return archive.put_file(file.name, file.bytes);
  const auto segment = TRY(parse_segment_file_name(file.name, archive.segment_size()));
  return ingest.put(segment, file.bytes);
}

}  // namespace pitr
