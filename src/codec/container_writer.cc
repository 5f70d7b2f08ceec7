#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "codec/container.h"
#include "codec/frame_seal.h"

namespace pitr {

using namespace container;

// What compression may need at its worst, so that LZ4 takes its faster way, for unlimited output.
static constexpr std::size_t room_for_compressed(std::size_t plain_size) {
  return plain_size + plain_size / 128 + 1024;
}

// Compresses and seals frames of one container; one per thread.
struct FrameMaker {
  Compression compression;
  Compressor compressor;
  FrameSealer sealer;
  Bytes room = Bytes(kFrameOverhead + room_for_compressed(kFrameSize));  // used again and again

  static Result<FrameMaker> create(const FrameSecrets& secrets, const ContainerOptions& options) {
    auto sealer = TRY(FrameSealer::create(secrets));
    return FrameMaker{.compression = options.compression,
                      .compressor = Compressor(options.compression, options.level),
                      .sealer = std::move(sealer)};
  }

  // The whole frame, valid until the next one is made.
  Result<ByteView> make(std::uint32_t number, ByteView plain,
                        const std::optional<Sha256Digest>& table_digest = std::nullopt) {
    const auto size = kFrameOverhead + room_for_compressed(plain.size());
    if (room.size() < size) room.resize(size);
    const auto space = MutableByteView(room).subspan(kFrameHeaderSize, size - kFrameOverhead);
    const auto compressed = compressor.compress(plain, space);
    const auto payload = compressed == 0 ? plain : ByteView(space.first(compressed));
    const FrameHeader header{.number = number,
                             .payload_size = static_cast<std::uint32_t>(payload.size()),
                             .plain_size = static_cast<std::uint32_t>(plain.size()),
                             .compression = compressed == 0 ? Compression::kNone : compression,
                             .last = table_digest.has_value()};
    TRY(sealer.seal(header, payload, table_digest, room.data()));
    return ByteView(room).first(header.stored_size());
  }
};

// Some frames in a row, as they are stored, and their rows of the frame table.
struct FrameRun {
  Bytes frames{};
  Bytes table{};

  Result<void> add(FrameMaker& maker, std::uint32_t number, ByteView plain) {
    const auto stored = TRY(maker.make(number, plain));
    append_table_row(stored, static_cast<std::uint32_t>(plain.size()), table);
    frames.insert(frames.end(), stored.begin(), stored.end());
    return {};
  }

  Result<void> add_all(FrameMaker& maker, std::uint32_t first_number, ByteView plain) {
    frames.reserve(plain.size() / 2);
    for (auto number = first_number; !plain.empty(); ++number) {
      const auto size = std::min(plain.size(), kFrameSize);
      TRY(add(maker, number, plain.first(size)));
      plain = plain.subspan(size);
    }
    return {};
  }
};

static void append(ByteView bytes, Bytes& to) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

static std::size_t frames_of(ByteView plain) {
  return (plain.size() + kFrameSize - 1) / kFrameSize;
}

struct ContainerWriter::Impl {
  std::string object_name;
  ContainerOptions options;
  FrameSecrets secrets;
  HeaderBytes header;
  FrameMaker maker;
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

  Result<void> require_room(std::size_t frames) const {
    if (frames <= kFrameCountLimit - frame_count) return {};
    return Error::invalid(
        fmt::format("{}: a container has at most {} frames", object_name, kFrameCountLimit));
  }

  void count(ByteView plain, std::size_t stored_size) {
    if (plain_digest) plain_digest->update(plain);
    plain_size += plain.size();
    frames_size += stored_size;
    frame_count += static_cast<std::uint32_t>(frames_of(plain));
  }

  Result<void> add_frame(ByteView plain, Bytes& out) {
    if (plain.empty() || plain.size() > kFrameSize) {
      return Error::invalid(fmt::format("{}: a frame of {} bytes; 1 to {} are possible",
                                        object_name, plain.size(), kFrameSize));
    }
    TRY(require_room(1));
    const auto stored = TRY(maker.make(frame_count, plain));
    append_table_row(stored, static_cast<std::uint32_t>(plain.size()), table);
    append(stored, out);
    count(plain, stored.size());
    return {};
  }

  // Another thread makes the frames of the second half meanwhile.
  Result<void> add_in_halves(ByteView plain, Bytes& out) {
    TRY(require_room(frames_of(plain)));
    const auto half = frames_of(plain) / 2 * kFrameSize;
    const auto middle = frame_count + static_cast<std::uint32_t>(half / kFrameSize);
    auto other_maker = TRY(FrameMaker::create(secrets, options));
    FrameRun first;
    FrameRun second;
    Result<void> second_made;
    Result<void> first_made;
    {
      const std::jthread other(
          [&] { second_made = second.add_all(other_maker, middle, plain.subspan(half)); });
      first_made = first.add_all(maker, frame_count, plain.first(half));
    }
    TRY(std::move(first_made));
    TRY(std::move(second_made));
    out.reserve(out.size() + first.frames.size() + second.frames.size());
    for (const auto* run : {&first, &second}) {
      append(run->table, table);
      append(run->frames, out);
    }
    count(plain, first.frames.size() + second.frames.size());
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
    const auto sealed = TRY(maker.make(frame_count, footer.bytes(), sha256(table)));
    const auto trailer = make_trailer(header, sealed, table, frames_size);
    out.reserve(out.size() + sealed.size() + table.size() + trailer.size());
    append(sealed, out);
    append(table, out);
    append(trailer, out);
    return {};
  }
};

Result<ContainerWriter> ContainerWriter::create(const ContainerIdentity& identity,
                                                const ContainerOptions& options) {
  Header header;
  header.kind = identity.kind;
  auto secrets = TRY(make_secrets(header, identity, options.key));
  auto maker = TRY(FrameMaker::create(secrets, options));
  const auto header_bytes = encode_header(header, secrets.context);
  std::unique_ptr<Impl> impl(new Impl{.object_name = identity.object_name,
                                      .options = options,
                                      .secrets = std::move(secrets),
                                      .header = header_bytes,
                                      .maker = std::move(maker)});
  impl->options.key = nullptr;  // may not outlive this call
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

Result<void> ContainerWriter::add_on_two_threads(ByteView plain, Bytes& out) {
  TRY(impl_->require_open());
  auto added = impl_->add_in_halves(plain, out);
  impl_->failed = !added.has_value();
  return added;
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
