#include "repository/wal/tail_chain.h"

#include <fmt/format.h>

#include <algorithm>

#include "codec/container.h"

namespace pitr {

static constexpr std::size_t kMostTails = 1'000'000;
static constexpr int kMostLooks = 5;

struct ScannedTail {
  Bytes bytes;                  // the plain bytes of its whole frames
  std::optional<Error> broken;  // what ended them, where that was no torn end
  std::uint64_t torn_bytes = 0;
};

// Whether power loss in a tail's first append left this: nothing of a frame reached the disk. What
// has a frame but no readable header is damage.
static bool has_no_frame(ByteView stored) {
  static constexpr std::size_t kFirstBytes = 64;  // more than a header, less than header and frame
  const auto rest = stored.subspan(std::min(stored.size(), kFirstBytes));
  return std::ranges::all_of(rest, [](std::uint8_t byte) { return byte == 0; });
}

static ScannedTail scan(const IncarnationStore& store, const ObjectKey& key, ByteView stored) {
  ScannedTail tail;
  auto scanner = ContainerScanner::open(stored, store.identity(ContainerKind::kTail, key),
                                        store.repository().keyring());
  if (!scanner.has_value()) {
    if (has_no_frame(stored)) {
      tail.torn_bytes = stored.size();
      return tail;
    }
    tail.broken = std::move(scanner).error();
    return tail;
  }
  for (;;) {
    auto more = scanner->next(tail.bytes);
    if (!more.has_value()) tail.broken = std::move(more).error();
    if (more.has_value() && more.value()) continue;
    tail.torn_bytes = scanner->torn_bytes();
    return tail;
  }
}

namespace {

class Chain {
 public:
  Chain(const IncarnationStore& store, SegmentId segment) : store_(store), segment_(segment) {}

  Result<void> add(const ObjectKey& key) {
    const std::size_t offset = TRY(store_.names().parse_tail(segment_, key));
    auto found = TRY(read(key));
    if (!found) {
      result_.vanished = true;
      return {};
    }
    auto& tail = *found;
    if (tail.torn_bytes > 0) note_torn_end(key, offset + tail.bytes.size(), tail.torn_bytes);
    if (tail.broken && tail.broken->kind() != ErrorKind::kCorrupt) return std::move(*tail.broken);
    if (tail.broken && !(broken_ && broken_at_ > offset + tail.bytes.size())) {
      broken_at_ = offset + tail.bytes.size();
      broken_ = std::move(tail.broken);
    }
    return join(key, offset, tail.bytes);
  }

  TailChain finish() {
    // A broken tail does no harm where another one holds the bytes from there on.
    if (!result_.damage && broken_ && broken_at_ >= result_.bytes.size()) {
      result_.damage = std::move(*broken_).with_hint(advice());
    }
    if (torn_at_ < result_.bytes.size()) result_.torn.reset();
    return std::move(result_);
  }

 private:
  // nullopt: it's gone. A tail that ends in half a frame is looked at again: its writer may be in
  // the middle of an append.
  Result<std::optional<ScannedTail>> read(const ObjectKey& key) {
    std::optional<std::size_t> size_before;
    for (int look = 1;; ++look) {
      auto stored = store_.storage().get(key, longest_tail());
      if (!stored.has_value() && stored.error().kind() == ErrorKind::kNotFound) return std::nullopt;
      const auto bytes = TRY(std::move(stored));
      auto tail = scan(store_, key, bytes);
      const bool may_grow = tail.torn_bytes > 0 && size_before != bytes.size();
      if (!may_grow || look == kMostLooks) return std::optional(std::move(tail));
      size_before = bytes.size();
    }
  }

  void note_torn_end(const ObjectKey& key, std::size_t at, std::uint64_t size_bytes) {
    if (result_.torn && torn_at_ > at) return;
    torn_at_ = at;
    result_.torn = TornEnd{key.text(), size_bytes};
  }

  Result<void> join(const ObjectKey& key, std::size_t offset, ByteView bytes) {
    auto& joined = result_.bytes;
    if (bytes.empty()) return {};
    if (offset + bytes.size() > store_.segment_size().bytes()) {
      return Error::corrupt(key.text() + " holds more than its segment");
    }
    if (offset > joined.size()) {
      if (!result_.damage) result_.damage = gap(key, offset);
      return {};
    }
    const auto shared = std::min(joined.size() - offset, bytes.size());
    if (!std::ranges::equal(bytes.first(shared), ByteView(joined).subspan(offset, shared))) {
      return Error::conflict(fmt::format("{} and the tails before it hold different bytes: two "
                                         "servers wrote this segment, or one lost WAL in a crash",
                                         key.text()))
          .with_hint(
              "find out which server's WAL is the right one; a clone must be archived "
              "under a cluster name of its own");
    }
    joined.insert(joined.end(), bytes.begin() + static_cast<std::ptrdiff_t>(shared), bytes.end());
    return {};
  }

  Error gap(const ObjectKey& key, std::size_t offset) const {
    return Error::corrupt(fmt::format("bytes {} to {} of segment {} are missing or damaged; {} "
                                      "follows them",
                                      result_.bytes.size(), offset,
                                      segment_file_name(segment_, store_.segment_size()),
                                      key.text()))
        .with_hint(advice());
  }

  std::string advice() const {
    const auto end = store_.segment_size().start_of(segment_.number) + result_.bytes.size();
    return fmt::format(
        "a restore can go up to {} on timeline {}; if the server still has the "
        "segment, stream or archive it again",
        to_string(end), to_string(segment_.timeline));
  }

  // Frames of one byte are the worst case that anybody may write.
  std::uint64_t longest_tail() const { return store_.segment_size().bytes() * 64 + (1 << 20); }

  const IncarnationStore& store_;
  const SegmentId segment_;
  TailChain result_;
  std::optional<Error> broken_;  // of the tails with a broken frame, the one that reaches furthest
  std::size_t broken_at_ = 0;
  std::size_t torn_at_ = 0;  // of the torn ends, the one furthest behind
};

}  // namespace

Result<std::vector<ObjectKey>> list_tails(const IncarnationStore& store, SegmentId segment) {
  const auto objects =
      TRY(list_all(store.storage(), store.names().tail_prefix(segment), kMostTails));
  std::vector<ObjectKey> keys;
  keys.reserve(objects.size());
  for (const auto& object : objects) keys.push_back(object.key);
  return keys;
}

Result<TailChain> read_tail_chain(const IncarnationStore& store, SegmentId segment) {
  const auto keys = TRY(list_tails(store, segment));
  Chain chain(store, segment);
  for (const auto& key : keys) TRY(chain.add(key));
  return chain.finish();
}

}  // namespace pitr
