#include "restore/files/directory_comparison.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <span>

#include "postgres/data_directory.h"
#include "repository/backup/backup_reader.h"
#include "repository/backup/block_digests.h"
#include "restore/files/restored_rows.h"
#include "restore/files/work_shares.h"

namespace pitr {

namespace {

constexpr std::uint64_t kRangeBlocks = 8192;  // one thread's at once: 64 MiB
constexpr std::uint64_t kReadBlocks = 32;     // stays in a core's cache

struct RelationFile {
  wal::RelationId relation;
  std::uint32_t segment = 0;
};

// The main fork's file that a path is, if it is one.
std::optional<RelationFile> main_fork(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return std::nullopt;
  const auto directory = parse_relation_directory(std::string_view(path).substr(0, slash));
  const auto file = parse_relation_file_name(std::string_view(path).substr(slash + 1));
  if (!directory || !file || file->fork != Fork::kMain || file->temporary_backend) {
    return std::nullopt;
  }
  return RelationFile{{directory->tablespace, directory->database, file->number}, file->segment};
}

struct Range {
  std::uint32_t file = 0;
  std::uint64_t first = 0;
  std::uint64_t end = 0;
};

class Comparer {
 public:
  Comparer(DirectoryComparison& result, const ComparisonRequest& request,
           const BlockDigests& digests, Observer& observer, std::stop_token stop)
      : result_(result),
        request_(request),
        digests_(digests),
        observer_(observer),
        stop_(std::move(stop)) {}

  Result<void> run();

 private:
  void add_ranges();
  void add_changed(std::uint32_t file, const RelationFile& relation, std::uint64_t size_bytes);
  Result<void> compare_ranges(WorkShares& shares, unsigned worker);
  Result<void> compare(const Range& range, BlockDigests& digests, Bytes& buffer);
  Path place_of(const std::string& path) const;

  DirectoryComparison& result_;
  const ComparisonRequest& request_;
  const BlockDigests& digests_;
  Observer& observer_;
  const std::stop_token stop_;
  std::vector<Range> ranges_;
  std::atomic<std::uint64_t> compared_bytes_ = 0;
};

// Tablespaces by their place, whatever the link in the directory says.
Path Comparer::place_of(const std::string& path) const {
  for (const auto& place : request_.places.tablespaces) {
    const auto prefix = fmt::format("pg_tblspc/{}/", place.oid);
    if (!place.location.empty() && path.starts_with(prefix)) {
      return place.location / path.substr(prefix.size());
    }
  }
  return request_.places.data_directory / path;
}

// What WAL named, and what lies behind the end of what is there: extension isn't logged.
void Comparer::add_changed(std::uint32_t file, const RelationFile& relation,
                           std::uint64_t size_bytes) {
  const auto changed = request_.changed->wanted(relation.relation, relation.segment);
  if (changed.whole) return result_.wanted.add_file(file);
  for (const auto& run : changed.runs) result_.wanted.add(file, run.first, run.count);
  const auto whole_blocks = size_bytes / kBlockSize;
  const auto count = result_.wanted.block_count(file);
  if (whole_blocks < count) result_.wanted.add(file, whole_blocks, count - whole_blocks);
}

void Comparer::add_ranges() {
  const auto& files = result_.files;
  for (std::uint32_t i = 0; i < files.size(); ++i) {
    if (files[i].type != FileType::kFile || !is_restored_from_backup(files[i], request_.places)) {
      continue;
    }
    const auto& size = result_.inventory.sizes[i];
    if (!size) {
      ++result_.missing_files;
      result_.wanted.add_file(i);
      continue;
    }
    const auto relation = request_.changed ? main_fork(files[i].path) : std::nullopt;
    if (relation) {
      add_changed(i, *relation, *size);
      continue;
    }
    if (!digests_.any() || request_.trust == Trust::kNothing) {
      result_.wanted.add_file(i);
      continue;
    }
    const auto count = result_.wanted.block_count(i);
    for (std::uint64_t first = 0; first < count; first += kRangeBlocks) {
      ranges_.push_back({i, first, std::min(first + kRangeBlocks, count)});
    }
  }
}

Result<void> Comparer::compare(const Range& range, BlockDigests& digests, Bytes& buffer) {
  const auto& row = result_.files[range.file];
  const auto file = TRY(File::open(place_of(row.path), O_RDONLY | O_NOFOLLOW));
  // Drops what is clean: what could not be written back is, and is read from the disk then.
  if (request_.trust == Trust::kDisk) {
    (void)::posix_fadvise(file.fd(), static_cast<off_t>(range.first * kBlockSize),
                          static_cast<off_t>((range.end - range.first) * kBlockSize),
                          POSIX_FADV_DONTNEED);
  }
  std::array<std::uint64_t, kReadBlocks> known{};
  for (auto first = range.first; first < range.end; first += kReadBlocks) {
    if (stop_.stop_requested()) return Error::cancelled("the restore was stopped");
    const auto count = std::min(kReadBlocks, range.end - first);
    const auto offset = first * kBlockSize;
    const auto wanted_bytes = std::min(count * kBlockSize, row.size_bytes - offset);
    const auto bytes = MutableByteView(buffer).first(wanted_bytes);
    const auto read_bytes = TRY(file.read_at(bytes, offset));
    TRY(digests.find(row.path, static_cast<std::uint32_t>(first), std::span(known).first(count)));
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto from = i * kBlockSize;
      const auto size = std::min<std::uint64_t>(kBlockSize, wanted_bytes - from);
      const bool is_same = from + size <= read_bytes && known[i] != BlockDigests::kUnknown &&
                           digests.hasher().digest(bytes.subspan(from, size)) == known[i];
      if (!is_same) result_.wanted.add(range.file, first + i, 1);
    }
    compared_bytes_ += read_bytes;
    observer_.advance(wanted_bytes);
  }
  return {};
}

Result<void> Comparer::compare_ranges(WorkShares& shares, unsigned worker) {
  auto digests = digests_.share();
  Bytes buffer(kReadBlocks * kBlockSize);
  while (const auto next = shares.next(worker)) {
    const auto& range = ranges_[*next];
    TRY(with_context(compare(range, digests, buffer), "comparing"));
  }
  return {};
}

Result<void> Comparer::run() {
  add_ranges();
  std::uint64_t bytes = 0;
  for (const auto& range : ranges_) bytes += (range.end - range.first) * kBlockSize;
  observer_.phase("comparing what is there", bytes);
  TRY(share_work(ranges_.size(), request_.workers, [&](WorkShares& shares, unsigned worker) {
    return compare_ranges(shares, worker);
  }));
  result_.compared_bytes = compared_bytes_;
  for (std::uint32_t i = 0; i < result_.files.size(); ++i) {
    const auto count = result_.wanted.block_count(i);
    std::uint64_t from = 0;
    while (const auto run = result_.wanted.next_run(i, from, count)) {
      from = run->first + run->count;
      result_.wanted_blocks += run->count;
      result_.wanted_bytes +=
          std::min(from * kBlockSize, result_.files[i].size_bytes) - run->first * kBlockSize;
    }
  }
  return {};
}

}  // namespace

Result<DirectoryComparison> compare_directory(const IncarnationStore& store,
                                              const BackupManifest& backup,
                                              const ComparisonRequest& request, Observer& observer,
                                              std::stop_token stop) {
  auto files = TRY(read_backup_files(store, backup));
  auto inventory = TRY(take_inventory(request.places, files, [&](const FileRow& row) {
    return is_restored_from_backup(row, request.places);
  }));
  const auto digests = TRY(BlockDigests::open(store, backup));
  BlockSelection wanted(files);
  DirectoryComparison result{std::move(files), std::move(inventory), std::move(wanted)};
  result.must_compare_bytes = !digests.any() && request.trust == Trust::kCache;
  TRY(Comparer(result, request, digests, observer, std::move(stop)).run());
  // Read by the restore itself, whatever is there.
  for (std::uint32_t i = 0; i < result.files.size(); ++i) {
    if (is_read_by_restore(result.files[i])) result.wanted.add_file(i);
  }
  return result;
}

}  // namespace pitr
