#include <fmt/format.h>

#include <algorithm>

#include "codec/container.h"
#include "codec/frame_seal.h"

namespace pitr {

using namespace container;

// What compression may need at its worst, so that LZ4 takes its faster way, for unlimited output.
static constexpr std::size_t room_for_compressed(std::size_t plain_size) {
  return plain_size + plain_size / 128 + 1024;
}

struct ContainerWriter::Impl {
  std::string object_name;
  HeaderBytes header;
  Compressor compressor;
  Compression compression;
  FrameSealer sealer;
  Bytes frame = Bytes(kFrameOverhead + room_for_compressed(kFrameSize));  // used again and again
  Bytes table{};
  std::optional<Xxh3Stream> plain_digest{};
  std::uint32_t frame_count = 0;
  std::uint64_t plain_size = 0;
  std::uint64_t frames_size = 0;  // stored
  bool failed = false;
  bool finished = false;

  Result<void> require_open() const {
    if (!failed && !finished) return {};
    return Error::internal(object_name + ": nothing may be added to this container any more");
  }

  // Leaves the whole frame at the front of `into`, which is large enough; returns its size.
  Result<std::size_t> make_frame(ByteView plain, const std::optional<Sha256Digest>& table_digest,
                                 Bytes& into) {
    const auto room = MutableByteView(into).subspan(kFrameHeaderSize, into.size() - kFrameOverhead);
    const auto compressed = compressor.compress(plain, room);
    const auto payload = compressed == 0 ? plain : ByteView(room.first(compressed));
    const FrameHeader frame_header{
        .number = frame_count,
        .payload_size = static_cast<std::uint32_t>(payload.size()),
        .plain_size = static_cast<std::uint32_t>(plain.size()),
        .compression = compressed == 0 ? Compression::kNone : compression,
        .last = table_digest.has_value()};
    TRY(sealer.seal(frame_header, payload, table_digest, into.data()));
    return static_cast<std::size_t>(frame_header.stored_size());
  }

  Result<void> add_frame(ByteView plain, Bytes& out) {
    if (plain.empty() || plain.size() > kFrameSize) {
      return Error::invalid(fmt::format("{}: a frame of {} bytes; 1 to {} are possible",
                                        object_name, plain.size(), kFrameSize));
    }
    if (frame_count == kFrameCountLimit) {
      return Error::invalid(
          fmt::format("{}: a container has at most {} frames", object_name, kFrameCountLimit));
    }
    const auto size = TRY(make_frame(plain, std::nullopt, frame));
    const auto stored = ByteView(frame).first(size);
    append_table_row(stored, static_cast<std::uint32_t>(plain.size()), table);
    out.insert(out.end(), stored.begin(), stored.end());
    if (plain_digest) plain_digest->update(plain);
    plain_size += plain.size();
    frames_size += size;
    ++frame_count;
    return {};
  }

  Result<void> finish(ByteView metadata, Bytes& out) {
    if (metadata.size() > kMetadataLimit) {
      return Error::invalid(fmt::format("{}: {} bytes of metadata; at most {} are possible",
                                        object_name, metadata.size(), kMetadataLimit));
    }
    ByteWriter footer;
    footer.u64(plain_size);
    footer.raw(plain_digest ? plain_digest->digest() : Digest128{});
    footer.raw(metadata);
    Bytes sealed(kFrameOverhead + room_for_compressed(footer.size()));
    const auto size = TRY(make_frame(footer.bytes(), sha256(table), sealed));
    sealed.resize(size);
    const auto trailer = make_trailer(header, sealed, table, frames_size);
    out.reserve(out.size() + sealed.size() + table.size() + trailer.size());
    out.insert(out.end(), sealed.begin(), sealed.end());
    out.insert(out.end(), table.begin(), table.end());
    out.insert(out.end(), trailer.begin(), trailer.end());
    return {};
  }
};

Result<ContainerWriter> ContainerWriter::create(const ContainerIdentity& identity,
                                                const ContainerOptions& options) {
  Header header;
  header.kind = identity.kind;
  const auto secrets = TRY(make_secrets(header, identity, options.key));
  auto sealer = TRY(FrameSealer::create(secrets));
  std::unique_ptr<Impl> impl(new Impl{.object_name = identity.object_name,
                                      .header = encode_header(header, secrets.context),
                                      .compressor = Compressor(options.compression, options.level),
                                      .compression = options.compression,
                                      .sealer = std::move(sealer)});
  if (options.plain_digest) impl->plain_digest.emplace();
  return ContainerWriter(std::move(impl));
}

ContainerWriter::ContainerWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ContainerWriter::ContainerWriter(ContainerWriter&&) noexcept = default;
ContainerWriter& ContainerWriter::operator=(ContainerWriter&&) noexcept = default;
ContainerWriter::~ContainerWriter() = default;

void ContainerWriter::header(Bytes& out) {
  out.insert(out.end(), impl_->header.begin(), impl_->header.end());
}

Result<void> ContainerWriter::add_frame(ByteView plain, Bytes& out) {
  TRY(impl_->require_open());
  auto added = impl_->add_frame(plain, out);
  impl_->failed = !added.has_value();  // its number, a nonce, may be spent
  return added;
}

Result<void> ContainerWriter::add(ByteView plain, Bytes& out) {
  while (!plain.empty()) {
    const auto size = std::min(plain.size(), kFrameSize);
    TRY(add_frame(plain.first(size), out));
    plain = plain.subspan(size);
  }
  return {};
}

Result<void> ContainerWriter::finish(ByteView metadata, Bytes& out) {
  TRY(impl_->require_open());
  auto finished = impl_->finish(metadata, out);
  impl_->finished = true;
  return finished;
}

std::uint32_t ContainerWriter::frame_count() const {
  return impl_->frame_count;
}

std::uint64_t ContainerWriter::plain_size_bytes() const {
  return impl_->plain_size;
}

}  // namespace pitr
