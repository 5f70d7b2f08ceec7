// A repository on any Storage with everything that the WAL receiver writes through, and the WAL of
// a few small segments to put into it.
//
// IngestParts is what one process has: a test that restarts makes new ones over the same Storage.
#pragma once

#include <random>

#include "postgres/wal/wal_builder.h"
#include "repository/wal/wal_coverage.h"
#include "storage/memory/memory_storage.h"
#include "support/must.h"
#include "walreceiver/segment_ingest.h"
#include "walreceiver/stream_writer.h"

namespace pitr::test {

inline const TimelineId kTimeline{1};

inline IncarnationId incarnation_of(const WalBuilder& wal) {
  return {"main", wal.options().system_identifier, static_cast<std::uint32_t>(wal.options().major)};
}

inline KeyEncryptionKey make_repository(Storage& storage) {
  auto key = must(KeyEncryptionKey::generate());
  must(Repository::init(storage, key));
  return key;
}

class IngestParts {
 public:
  IngestParts(Storage& storage, const KeyEncryptionKey& key, const WalBuilder& wal)
      : repository_(must(Repository::open(storage, key))),
        store_(*repository_, incarnation_of(wal), wal.options().segment_size),
        archive_(store_),
        facts_(store_),
        ingest_(archive_, facts_) {}

  const IncarnationStore& store() const { return store_; }
  WalArchive& archive() { return archive_; }
  FactsStore& facts() { return facts_; }
  SegmentIngest& ingest() { return ingest_; }

 private:
  std::unique_ptr<Repository> repository_;
  IncarnationStore store_;
  WalArchive archive_;
  FactsStore facts_;
  SegmentIngest ingest_;
};

// Records of all lengths, so that borders of pages and segments are crossed; the last segment is
// filled up by a switch. The same for the same seed.
inline WalBuilder random_wal(std::uint64_t seed, std::uint64_t segments,
                             TimelineId timeline = kTimeline) {
  std::mt19937_64 random(seed);
  WalBuilder wal({.timeline = timeline});
  static constexpr std::size_t kLengths[] = {40, 200, 1'000, 9'000, 60'000, 300'000};
  std::uint32_t xid = 700;
  while (wal.last_segment() < wal.first_segment() + segments - 1) {
    wal.filler(300 + random() % kLengths[random() % std::size(kLengths)]);
    ++xid;
    wal.heap_insert(xid, 16384, static_cast<std::uint32_t>(random() % 1000), 30);
    wal.commit(xid, Timestamp::from_unix_us(1'800'000'000'000'000 + xid * 1000ll));
  }
  wal.switch_segment();
  return wal;
}

inline SegmentId segment_of(const WalBuilder& wal, std::uint64_t index) {
  return {wal.options().timeline, wal.first_segment() + index};
}

inline std::vector<std::string> keys_below(Storage& storage, std::string_view prefix) {
  std::vector<std::string> keys;
  for (const auto& object : must(list_all(storage, prefix))) keys.push_back(object.key.text());
  return keys;
}

inline std::vector<std::string> tails_of(IngestParts& parts, SegmentId segment) {
  return keys_below(parts.store().storage(), parts.store().names().tail_prefix(segment));
}

// What went wrong; fails where nothing did.
template <typename T>
ErrorKind kind_of(const Result<T>& result) {
  EXPECT_FALSE(result.has_value());
  return result.has_value() ? ErrorKind::kInternal : result.error().kind();
}

}  // namespace pitr::test
