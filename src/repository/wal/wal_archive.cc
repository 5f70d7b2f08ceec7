#include "repository/wal/wal_archive.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <ranges>

#include "codec/digest.h"
#include "common/log.h"
#include "repository/sealed_object.h"
#include "repository/wal/tail_chain.h"
#include "repository/wal/tail_writer.h"

namespace pitr {

static constexpr std::size_t kSegmentNameLength = 24;
static constexpr std::uint64_t kLongestHistory = 64 << 20;
static constexpr std::size_t kSizeForTwoThreads = 1 << 20;

WalArchive::WalArchive(IncarnationStore store, Options options)
    : store_(std::move(store)), options_(options) {}

struct StoredContent {
  std::uint64_t size_bytes = 0;
  Digest128 digest{};
};

static Error comparing_failed(Error failure, const ObjectKey& key) {
  auto error = std::move(failure).with_context("comparing with what is stored already");
  if (error.kind() != ErrorKind::kCorrupt) return error;
  return std::move(error).with_hint(
      fmt::format("{} is damaged and will not be replaced: have a look at the storage, move the "
                  "object away, and archive again",
                  key.text()));
}

// From the sealed footer alone; nullopt where nothing is stored.
static Result<std::optional<StoredContent>> stored_content(const IncarnationStore& store,
                                                           ContainerKind kind,
                                                           const ObjectKey& key) {
  auto reader = SealedReader::open(store, kind, key);
  if (reader.has_value()) {
    const auto& container = reader->container();
    return std::optional(StoredContent{container.plain_size_bytes(), container.plain_digest()});
  }
  if (reader.error().kind() == ErrorKind::kNotFound) return std::nullopt;
  return comparing_failed(std::move(reader).error(), key);
}

static Error vanished(const ObjectKey& key) {
  return Error::transient(key.text() + " was there and vanished while it was stored");
}

// The footer tells what was sealed, not whether the frames are still that: whoever is told that his
// bytes are stored throws them away. No key is needed, and nothing is decoded.
static Result<void> check_stored_bytes(const IncarnationStore& store, ContainerKind kind,
                                       const ObjectKey& key) {
  const auto check = [&]() -> Result<void> {
    const auto source = TRY(ObjectSource::open(store.storage(), key));
    return with_context(verify_container(*source, store.identity(kind, key)), key.text());
  };
  auto checked = check();
  if (checked) return checked;
  if (checked.error().kind() == ErrorKind::kNotFound) return vanished(key);
  return comparing_failed(std::move(checked).error(), key);
}

// Stores refused bytes under a name of their own and says what happened.
static Error refuse(const IncarnationStore& store, const ObjectKey& key,
                    const StoredContent& stored, ByteView bytes, const Digest128& digest) {
  const auto aside = store.names().conflict(key, to_hex(digest));
  const auto kept = store.put_sealed_if_absent(ContainerKind::kConflict, aside, bytes);
  // The name holds the digest: what is there already is the same.
  const bool is_kept = kept.has_value() || kept.error().kind() == ErrorKind::kConflict;
  return Error::conflict(
             fmt::format("{} is stored already with other content ({} bytes, XXH3-128 {}) than "
                         "what was handed over ({} bytes, {}); {}",
                         key.text(), stored.size_bytes, to_hex(stored.digest), bytes.size(),
                         to_hex(digest),
                         is_kept ? "the latter is kept as " + aside.text()
                                 : "the latter could not be kept: " + kept.error().message()))
      .with_hint(
          "most likely a clone of the cluster, or another cluster, archives under the same "
          "name: give it a cluster name of its own; compare both with pg_waldump");
}

// Whether the stored content is these bytes: whole and durable then, and refused otherwise.
static Result<PutOutcome> compare(const IncarnationStore& store, ContainerKind kind,
                                  const ObjectKey& key, const StoredContent& stored,
                                  ByteView bytes) {
  const auto digest = xxh3_128(bytes);
  if (stored.size_bytes != bytes.size() || stored.digest != digest) {
    return refuse(store, key, stored, bytes, digest);
  }
  TRY(check_stored_bytes(store, kind, key));
  TRY(store.storage().ensure_durable(key));
  return PutOutcome::kAlreadyThere;
}

// PostgreSQL waits for archive_command, one segment at a time.
static Result<Bytes> seal_promptly(const ContainerIdentity& identity,
                                   const ContainerOptions& options, ByteView bytes) {
  if (bytes.size() < kSizeForTwoThreads) return seal_object(identity, options, bytes);
  auto writer = TRY(ContainerWriter::create(identity, options));
  Bytes sealed;
  writer.header(sealed);
  TRY(writer.add_on_two_threads(bytes, sealed));
  TRY(writer.finish({}, sealed));
  return sealed;
}

Result<PutOutcome> WalArchive::put_compared(ContainerKind kind, const ObjectKey& key,
                                            ByteView bytes) {
  const auto before = TRY(stored_content(store_, kind, key));
  if (before) return compare(store_, kind, key, *before, bytes);

  const ContainerOptions container{options_.compression, options_.level, store_.sealing_key()};
  const auto sealed = TRY(seal_promptly(store_.identity(kind, key), container, bytes));
  auto put = store_.storage().put_if_absent(key, sealed);
  if (put.has_value()) return PutOutcome::kStored;
  if (put.error().kind() != ErrorKind::kConflict) return std::move(put).error();

  const auto winner = TRY(stored_content(store_, kind, key));
  if (!winner) return vanished(key);
  return compare(store_, kind, key, *winner, bytes);
}

Result<PutOutcome> WalArchive::put_segment(SegmentId segment, ByteView bytes) {
  if (bytes.size() != segment_size().bytes()) {
    return Error::invalid(fmt::format("{} has {} bytes, a segment of this cluster has {}",
                                      segment_file_name(segment, segment_size()), bytes.size(),
                                      segment_size().bytes()));
  }
  return put_compared(ContainerKind::kSegment, store_.names().segment(segment), bytes);
}

Result<Bytes> WalArchive::read_segment(SegmentId segment) const {
  const auto key = store_.names().segment(segment);
  auto bytes = TRY(store_.get_sealed(ContainerKind::kSegment, key, segment_size().bytes()));
  if (bytes.size() != segment_size().bytes()) {
    return Error::corrupt(fmt::format("{} holds {} bytes, a segment of this cluster has {}",
                                      key.text(), bytes.size(), segment_size().bytes()));
  }
  return bytes;
}

static Result<bool> exists(Storage& storage, const ObjectKey& key) {
  const auto info = storage.stat(key);
  if (info.has_value()) return true;
  if (info.error().kind() == ErrorKind::kNotFound) return false;
  return info.error();
}

Result<bool> WalArchive::has_segment(SegmentId segment) const {
  return exists(store_.storage(), store_.names().segment(segment));
}

// The complete segment, or nothing where it isn't there; the tails then. Both are looked at again
// when the segment was completed, and its tails removed, in between.
static Result<TailChain> read_segment_or_tails(const WalArchive& archive, SegmentId segment) {
  static constexpr int kMostAttempts = 10;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    auto complete = archive.read_segment(segment);
    if (complete.has_value()) return TailChain{.bytes = std::move(complete).value()};
    if (complete.error().kind() != ErrorKind::kNotFound) return std::move(complete).error();
    auto chain = read_tail_chain(archive.store(), segment);
    const auto completed_meanwhile = TRY(archive.has_segment(segment));
    if (completed_meanwhile) continue;
    if (!chain.has_value() || !chain->vanished) return chain;
  }
  return Error::transient(fmt::format("the tails of segment {} change all the time",
                                      segment_file_name(segment, archive.segment_size())));
}

Result<PartialSegment> WalArchive::read_available(SegmentId segment) const {
  auto available = TRY(read_up_to_damage(segment));
  if (available.damage) return std::move(*available.damage);
  return available;
}

Result<PartialSegment> WalArchive::read_up_to_damage(SegmentId segment) const {
  auto chain = TRY(read_segment_or_tails(*this, segment));
  return PartialSegment{segment, std::move(chain.bytes), std::move(chain.torn),
                        std::move(chain.damage)};
}

Result<PartialSegment> WalArchive::adopt_available(SegmentId segment) {
  auto keys = TRY(list_tails(store_, segment));
  keys.push_back(store_.names().segment(segment));
  for (const auto& key : keys) {
    auto durable = store_.storage().ensure_durable(key);
    if (durable.has_value() || durable.error().kind() == ErrorKind::kNotFound) continue;
    return std::move(durable).error();
  }
  auto chain = TRY(read_segment_or_tails(*this, segment));
  // Whoever goes on writes what follows anew; the server still has it.
  if (chain.damage) {
    log::warning("going on after {} bytes: {}", chain.bytes.size(), chain.damage->message());
  }
  return PartialSegment{segment, std::move(chain.bytes), std::move(chain.torn), std::nullopt};
}

Result<std::unique_ptr<TailWriter>> WalArchive::start_tail(SegmentId segment,
                                                           std::uint32_t offset) {
  return make_tail_writer(store_, segment, offset, options_);
}

Result<void> WalArchive::remove_tails(SegmentId segment) {
  auto keys = TRY(list_tails(store_, segment));
  // From the end, so that no gap appears if this is interrupted.
  for (const auto& key : keys | std::views::reverse) TRY(store_.storage().remove(key));
  return {};
}

Result<PutOutcome> WalArchive::put_file(std::string_view name, ByteView bytes) {
  const auto key = TRY(store_.names().wal_file(name));
  const auto kind = TRY(classify_wal_file(name));
  auto put = put_compared(ContainerKind::kWalFile, key, bytes);
  const bool is_second = !put.has_value() && put.error().kind() == ErrorKind::kConflict;
  if (!is_second || kind != WalFileKind::kPartialSegment) return put;
  const auto aside = store_.names().conflict(key, to_hex(xxh3_128(bytes)));
  TRY(put_compared(ContainerKind::kConflict, aside, bytes));
  log::warning("another {} than the one stored was handed over: it is kept as {}", name,
               aside.text());
  return PutOutcome::kKeptAside;
}

Result<Bytes> WalArchive::read_history(TimelineId timeline) const {
  return store_.get_sealed(ContainerKind::kWalFile, store_.names().history(timeline),
                           kLongestHistory);
}

Result<std::vector<TimelineId>> WalArchive::timelines() const {
  const auto folders = TRY(store_.storage().list_folders(store_.names().wal_prefix()));
  std::vector<TimelineId> timelines;
  for (const auto& folder : folders) {
    auto timeline = layout::parse_timeline(folder);
    if (timeline.has_value()) timelines.push_back(timeline.value());
  }
  return timelines;
}

// The logs of a timeline that have objects, ascending.
static Result<std::vector<std::uint64_t>> list_logs(const IncarnationStore& store,
                                                    TimelineId timeline) {
  const auto folders = TRY(store.storage().list_folders(store.names().wal_prefix(timeline)));
  std::vector<std::uint64_t> logs;
  for (const auto& folder : folders) {
    auto log = layout::parse_log(folder);
    if (log.has_value()) logs.push_back(log.value());
  }
  return logs;
}

// Calls visit(segment, suffix) for every object of a log that is named after a segment.
static Result<void> visit_log(const IncarnationStore& store, TimelineId timeline, std::uint64_t log,
                              const std::function<void(SegmentId, std::string_view)>& visit) {
  const auto prefix = store.names().wal_log_prefix(timeline, log);
  const auto objects = TRY(list_all(store.storage(), prefix));
  for (const auto& object : objects) {
    const auto name = std::string_view(object.key.text()).substr(prefix.size());
    auto segment =
        parse_segment_file_name(name.substr(0, kSegmentNameLength), store.segment_size());
    if (segment.has_value() && segment->timeline == timeline) {
      visit(segment.value(), name.substr(kSegmentNameLength));
    }
  }
  return {};
}

Result<std::vector<SegmentId>> WalArchive::list_segments(TimelineId timeline, std::uint64_t from,
                                                         std::uint64_t to) const {
  const auto per_log = segment_size().segments_per_log();
  const auto logs = TRY(list_logs(store_, timeline));
  std::vector<SegmentId> segments;
  for (const auto log : logs) {
    if (log < from / per_log || log > to / per_log) continue;
    TRY(visit_log(store_, timeline, log, [&](SegmentId segment, std::string_view suffix) {
      if (suffix.empty() && segment.number >= from && segment.number <= to) {
        segments.push_back(segment);
      }
    }));
  }
  return segments;
}

Result<std::optional<SegmentId>> WalArchive::newest_segment(TimelineId timeline) const {
  const auto logs = TRY(list_logs(store_, timeline));
  for (const auto log : logs | std::views::reverse) {
    std::optional<SegmentId> newest;
    TRY(visit_log(store_, timeline, log, [&](SegmentId segment, std::string_view suffix) {
      if (suffix.empty() || suffix.starts_with(".tail-")) newest = segment;
    }));
    if (newest) return newest;
  }
  return std::nullopt;
}

}  // namespace pitr
