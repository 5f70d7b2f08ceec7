#include "repository/incarnations.h"

#include <fmt/format.h>

#include <algorithm>

namespace pitr {

static constexpr std::uint8_t kVersion = 1;
static constexpr std::uint64_t kLongestIdentity = 4096;

static Bytes encode(const RegisteredIncarnation& incarnation) {
  ByteWriter out;
  out.u8(kVersion);
  out.u32(static_cast<std::uint32_t>(incarnation.segment_size.bytes()));
  out.u64(static_cast<std::uint64_t>(incarnation.registered.unix_us()));
  return out.take();
}

static Result<RegisteredIncarnation> decode(const IncarnationId& id, ByteView bytes) {
  ByteReader in(bytes);
  const auto version = TRY(in.u8());
  if (version != kVersion) {
    return Error::invalid(fmt::format("version {} of incarnations is not known", version))
        .with_hint("a newer pitr wrote it: upgrade this one");
  }
  const auto segment_size_bytes = TRY(in.u32());
  const auto registered_us = TRY(in.u64());
  auto segment_size = SegmentSize::from_bytes(segment_size_bytes);
  if (!segment_size || !in.at_end()) return Error::corrupt("the description is malformed");
  return RegisteredIncarnation{id, *segment_size,
                               Timestamp::from_unix_us(static_cast<std::int64_t>(registered_us))};
}

Result<std::optional<RegisteredIncarnation>> registered_incarnation(Repository& repository,
                                                                    const IncarnationId& id) {
  const IncarnationStore store(repository, id, SegmentSize());
  const auto key = store.names().identity();
  auto bytes = store.get_sealed(ContainerKind::kIncarnation, key, kLongestIdentity);
  if (!bytes && bytes.error().kind() == ErrorKind::kNotFound) {
    return std::optional<RegisteredIncarnation>();
  }
  const auto plain = TRY(std::move(bytes));
  auto decoded = TRY(with_context(decode(id, plain), key.text()));
  return std::optional<RegisteredIncarnation>(std::move(decoded));
}

static Result<RegisteredIncarnation> must_match(const RegisteredIncarnation& known,
                                                SegmentSize segment_size) {
  if (known.segment_size == segment_size) return known;
  return Error::conflict(fmt::format("the WAL segments of {} have {} bytes in the repository, and "
                                     "{} on the server",
                                     to_string(known.id), known.segment_size.bytes(),
                                     segment_size.bytes()))
      .with_hint("a changed segment size needs another cluster name in the configuration");
}

Result<RegisteredIncarnation> register_incarnation(Repository& repository, const IncarnationId& id,
                                                   SegmentSize segment_size, const Clock& clock) {
  const auto known = TRY(registered_incarnation(repository, id));
  if (known) return must_match(*known, segment_size);

  RegisteredIncarnation incarnation{id, segment_size, clock.now()};
  const IncarnationStore store(repository, id, segment_size);
  auto put = store.put_sealed_if_absent(ContainerKind::kIncarnation, store.names().identity(),
                                        encode(incarnation));
  if (put) return incarnation;
  if (put.error().kind() != ErrorKind::kConflict) return std::move(put).error();
  const auto other = TRY(registered_incarnation(repository, id));  // somebody was quicker
  if (!other) return Error::transient("the incarnation's description came and went");
  return must_match(*other, segment_size);
}

Result<std::vector<RegisteredIncarnation>> registered_incarnations(Repository& repository,
                                                                   std::string_view cluster) {
  const auto ids = TRY(repository.incarnations(cluster));
  std::vector<RegisteredIncarnation> found;
  for (const auto& id : ids) {
    const auto incarnation = TRY(registered_incarnation(repository, id));
    if (incarnation) found.push_back(*incarnation);
  }
  std::ranges::stable_sort(found, {}, &RegisteredIncarnation::registered);
  return found;
}

Result<IncarnationStore> newest_incarnation(Repository& repository, std::string_view cluster) {
  const auto all = TRY(registered_incarnations(repository, cluster));
  if (all.empty()) {
    return Error::not_found(fmt::format("the repository in {} holds nothing of cluster {}",
                                        repository.storage().description(), cluster))
        .with_hint("\"pitr init\" connects to the cluster and takes it up");
  }
  return IncarnationStore(repository, all.back().id, all.back().segment_size);
}

}  // namespace pitr
