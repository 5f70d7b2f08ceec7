#include <fmt/format.h>

#include <algorithm>

#include "codec/container.h"
#include "codec/frame_seal.h"

namespace pitr {

using namespace container;

// Holds trailer, table and footer of nearly everything, and small objects as a whole.
static constexpr std::uint64_t kFirstReadSize = 64 << 10;
// Stored bytes that read_plain() asks for at once.
static constexpr std::uint64_t kReadSize = 1 << 20;

namespace {
struct IndexRow {
  std::uint64_t stored_offset = 0;
  std::uint64_t plain_offset = 0;
  std::array<std::uint8_t, kTagSize> tag{};
};

// Working memory of this thread, kept for the next time: fresh memory would cost a page fault per
// 4 KiB. Taken while in use, so that a ByteSource may itself read containers.
class Room {
 public:
  explicit Room(std::size_t size) {
    bytes_.swap(kept());
    if (bytes_.size() < size) bytes_.resize(size);
    view = MutableByteView(bytes_).first(size);
  }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  ~Room() {
    if (bytes_.size() <= kMostKept) bytes_.swap(kept());
  }

  MutableByteView view;

 private:
  static constexpr std::size_t kMostKept = 9 << 20;
  static Bytes& kept() {
    thread_local Bytes bytes;
    return bytes;
  }
  Bytes bytes_;
};
}  // namespace

struct ContainerReader::Impl {
  const ByteSource& source;
  std::string object_name;
  FrameSecrets secrets;
  HeaderBytes header{};  // as the end has it
  std::uint32_t frame_count = 0;
  std::vector<IndexRow> index{};  // one more than frames: the footer, whose plain offset is the end
  Digest128 plain_digest{};
  Bytes metadata{};

  // Frames [first, end) with one read, one after the other into `into`, which has their plain size.
  Result<void> read_frames(std::uint32_t first, std::uint32_t end, MutableByteView into,
                           const ContainerReader& reader) const {
    const Room stored(index[end].stored_offset - index[first].stored_offset);
    TRY(source.read_at(index[first].stored_offset, stored.view));
    for (auto frame = first; frame < end; ++frame) {
      const auto& row = index[frame];
      const auto& next = index[frame + 1];
      TRY(reader.open_frame(frame,
                            stored.view.subspan(row.stored_offset - index[first].stored_offset,
                                                next.stored_offset - row.stored_offset),
                            into.subspan(row.plain_offset - index[first].plain_offset,
                                         next.plain_offset - row.plain_offset)));
    }
    return {};
  }

  // The frames from `first` on that lie within [.., plain_end) and make up about one read.
  std::uint32_t whole_frames(std::uint32_t first, std::uint64_t plain_end) const {
    auto end = first;
    while (
        end < frame_count && index[end + 1].plain_offset <= plain_end &&
        (end == first || index[end + 1].stored_offset - index[first].stored_offset <= kReadSize)) {
      ++end;
    }
    return end;
  }
};

// The end of a container: trailer, frame table and footer frame, checked as far as a key isn't
// needed.
struct ContainerEnd {
  Trailer trailer;
  Bytes bytes;               // from the footer frame, or before it, to the object's end
  std::uint64_t offset = 0;  // of bytes, in the object

  ByteView part(std::uint64_t from, std::uint64_t size) const {
    return ByteView(bytes).subspan(from - offset, size);
  }
  ByteView footer() const { return part(trailer.footer_offset(), trailer.footer_size); }
  ByteView table() const { return part(trailer.table_offset(), trailer.table_size()); }
};

static Result<void> check_end(const ContainerEnd& end) {
  TRY(check_digest(ByteView(end.bytes).last(kTrailerSize), end.footer(), end.table()));
  if (end.offset == 0 &&
      !std::ranges::equal(ByteView(end.bytes).first(kHeaderSize), end.trailer.header_bytes)) {
    return Error::corrupt("the container's header is damaged");
  }
  return {};
}

// `object` is put before what is wrong with the bytes; the source's own errors name it already.
static Result<ContainerEnd> read_end(const ByteSource& source, const std::string& object) {
  const auto size = TRY(source.size());
  ContainerEnd end;
  end.bytes.resize(std::min(size, kFirstReadSize));
  end.offset = size - end.bytes.size();
  TRY(source.read_at(end.offset, end.bytes));
  const auto trailer_size = std::min(end.bytes.size(), kTrailerSize);
  end.trailer =
      TRY(with_context(parse_trailer(ByteView(end.bytes).last(trailer_size), size), object));
  if (end.trailer.footer_offset() < end.offset) {
    Bytes whole(size - end.trailer.footer_offset());
    TRY(source.read_at(end.trailer.footer_offset(), whole));
    end.bytes = std::move(whole);
    end.offset = end.trailer.footer_offset();
    // What is parsed must be what the digest is taken of, should the object change between reads.
    end.trailer =
        TRY(with_context(parse_trailer(ByteView(end.bytes).last(kTrailerSize), size), object));
    if (end.trailer.footer_offset() < end.offset) {
      return Error::corrupt(object + ": the container changes");
    }
  }
  TRY(with_context(check_end(end), object));
  return end;
}

static Result<std::vector<IndexRow>> read_index(const ContainerEnd& end) {
  std::vector<IndexRow> index;
  index.reserve(std::size_t{end.trailer.frame_count} + 1);
  std::uint64_t stored_offset = kHeaderSize;
  std::uint64_t plain_offset = 0;
  for (std::uint32_t frame = 0; frame < end.trailer.frame_count; ++frame) {
    const auto row = TRY(parse_table_row(end.table(), frame));
    index.push_back({stored_offset, plain_offset, row.tag});
    stored_offset += row.stored_size();
    plain_offset += row.plain_size;
  }
  index.push_back({stored_offset, plain_offset, {}});
  if (stored_offset == end.trailer.footer_offset()) return index;
  return Error::corrupt("the frame table does not fit the container's size");
}

Result<ContainerReader> ContainerReader::open(const ByteSource& source,
                                              const ContainerIdentity& identity,
                                              const Keyring& keyring) {
  const auto& object = identity.object_name;
  const auto end = TRY(read_end(source, object));
  auto secrets = TRY(open_secrets(end.trailer.header, identity, keyring));
  const auto footer = TRY(with_context(
      open_footer(secrets, end.footer(), end.table(), end.trailer.frame_count), object));
  auto impl = std::unique_ptr<Impl>(
      new Impl{.source = source, .object_name = object, .secrets = std::move(secrets)});
  impl->index = TRY(with_context(read_index(end), object));
  impl->header = end.trailer.header_bytes;
  impl->frame_count = end.trailer.frame_count;
  if (load<std::uint64_t>(footer.data()) != impl->index.back().plain_offset) {
    return Error::corrupt(object + ": the frame table does not fit the footer");
  }
  std::copy_n(footer.begin() + 8, impl->plain_digest.size(), impl->plain_digest.begin());
  impl->metadata.assign(footer.begin() + kFooterPrefixSize, footer.end());
  return ContainerReader(std::move(impl));
}

ContainerReader::ContainerReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ContainerReader::ContainerReader(ContainerReader&&) noexcept = default;
ContainerReader& ContainerReader::operator=(ContainerReader&&) noexcept = default;
ContainerReader::~ContainerReader() = default;

std::uint32_t ContainerReader::frame_count() const {
  return impl_->frame_count;
}
std::uint64_t ContainerReader::plain_size_bytes() const {
  return impl_->index.back().plain_offset;
}
const Digest128& ContainerReader::plain_digest() const {
  return impl_->plain_digest;
}
ByteView ContainerReader::metadata() const {
  return impl_->metadata;
}
std::uint64_t ContainerReader::plain_offset(std::uint32_t frame) const {
  return impl_->index[frame].plain_offset;
}
std::uint64_t ContainerReader::sealed_offset(std::uint32_t frame) const {
  return impl_->index[frame].stored_offset;
}

std::uint32_t ContainerReader::frame_at(std::uint64_t plain_offset) const {
  const auto next =
      std::ranges::upper_bound(impl_->index, plain_offset, {}, &IndexRow::plain_offset);
  return static_cast<std::uint32_t>(next - impl_->index.begin() - 1);
}

Result<void> ContainerReader::open_frame(std::uint32_t frame, ByteView sealed,
                                         MutableByteView into) const {
  const auto& name = impl_->object_name;
  if (frame >= impl_->frame_count || into.size() != plain_offset(frame + 1) - plain_offset(frame) ||
      sealed.size() != sealed_offset(frame + 1) - sealed_offset(frame)) {
    return Error::invalid(
        fmt::format("{}: frame {} asked for with the wrong size, or beyond the end", name, frame));
  }
  const auto header = parse_frame_header(sealed, impl_->secrets.seed);
  if (!header || header->last || header->number != frame ||
      header->stored_size() != sealed.size() || header->plain_size != into.size() ||
      !std::ranges::equal(sealed.last(kTagSize), impl_->index[frame].tag)) {
    return Error::corrupt(fmt::format("frame {} of {} is damaged", frame, name));
  }
  auto opened = open_sealed_frame(impl_->secrets, *header, sealed, std::nullopt, into);
  if (!opened.has_value()) {
    return std::move(opened).error().with_context(fmt::format("frame {} of {}", frame, name));
  }
  if (*opened) return {};
  return Error::corrupt(fmt::format("frame {} of {} is damaged", frame, name));
}

Result<void> ContainerReader::read_frame(std::uint32_t frame, Bytes& into) const {
  return read_frames(frame, 1, into);
}

Result<void> ContainerReader::read_frames(std::uint32_t first, std::uint32_t count,
                                          Bytes& into) const {
  if (first > impl_->frame_count || count > impl_->frame_count - first) {
    return Error::invalid(fmt::format("{}: frames {} to {} of {} asked for", impl_->object_name,
                                      first, std::uint64_t{first} + count, impl_->frame_count));
  }
  into.resize(plain_offset(first + count) - plain_offset(first));
  return impl_->read_frames(first, first + count, into, *this);
}

void ContainerReader::expect_frames(std::uint32_t first, std::uint32_t count) const {
  if (first > impl_->frame_count || count > impl_->frame_count - first) return;
  const auto offset = sealed_offset(first);
  impl_->source.expect(offset, sealed_offset(first + count) - offset);
}

Result<void> ContainerReader::read_plain(std::uint64_t plain_offset, MutableByteView into) const {
  if (plain_offset > plain_size_bytes() || into.size() > plain_size_bytes() - plain_offset) {
    return Error::invalid(fmt::format("{}: {} bytes at {} asked for, of {}", impl_->object_name,
                                      into.size(), plain_offset, plain_size_bytes()));
  }
  while (!into.empty()) {
    const auto frame = frame_at(plain_offset);
    const auto frame_offset = this->plain_offset(frame);
    const auto end = plain_offset == frame_offset
                         ? impl_->whole_frames(frame, plain_offset + into.size())
                         : frame;
    std::size_t done = 0;
    if (end > frame) {
      done = this->plain_offset(end) - frame_offset;
      TRY(impl_->read_frames(frame, end, into.first(done), *this));
    } else {
      const Room whole(this->plain_offset(frame + 1) - frame_offset);
      TRY(impl_->read_frames(frame, frame + 1, whole.view, *this));
      const auto part = whole.view.subspan(plain_offset - frame_offset);
      done = std::min(part.size(), into.size());
      std::copy_n(part.begin(), done, into.begin());
    }
    plain_offset += done;
    into = into.subspan(done);
  }
  return {};
}

Result<Bytes> ContainerReader::read_all(std::uint64_t limit_bytes) const {
  if (plain_size_bytes() > limit_bytes) {
    return Error::invalid(fmt::format("{} has {} bytes; at most {} are expected",
                                      impl_->object_name, plain_size_bytes(), limit_bytes));
  }
  Bytes plain(plain_size_bytes());
  TRY(read_plain(0, plain));
  if (impl_->plain_digest == Digest128{} || xxh3_128(plain) == impl_->plain_digest) return plain;
  return Error::corrupt(impl_->object_name + ": the plain bytes do not fit their digest");
}

static Result<void> verify_frames(const ByteSource& source, const ContainerEnd& end,
                                  const std::vector<IndexRow>& index) {
  const auto seed = frame_seed(end.trailer.header.id);
  Bytes stored;
  std::uint32_t first = 0;
  while (first < end.trailer.frame_count) {
    auto last = first;  // frames [first, last] fit one read
    while (last + 1 < end.trailer.frame_count &&
           index[last + 2].stored_offset - index[first].stored_offset <= kReadSize) {
      ++last;
    }
    stored.resize(index[last + 1].stored_offset - index[first].stored_offset);
    TRY(source.read_at(index[first].stored_offset, stored));
    for (; first <= last; ++first) {
      const auto row = TRY(parse_table_row(end.table(), first));
      const auto offset =
          stored.size() - (index[last + 1].stored_offset - index[first].stored_offset);
      const auto frame = ByteView(stored).subspan(offset, row.stored_size());
      const auto header = parse_frame_header(frame, seed);
      if (xxh3_64(frame) != row.xxh3 || !header || header->number != first) {
        return Error::corrupt(fmt::format("frame {} is damaged", first));
      }
    }
  }
  return {};
}

static Result<void> compare_header(const ByteSource& source, const HeaderBytes& expected) {
  HeaderBytes header;
  TRY(source.read_at(0, header));
  if (header == expected) return {};
  return Error::corrupt("the container's header is damaged");
}

Result<void> ContainerReader::check_header() const {
  return with_context(compare_header(impl_->source, impl_->header), impl_->object_name);
}

static Result<void> check_identity(const Header& header, const ContainerIdentity& identity) {
  const auto context = context_of(header, identity);
  const bool same = std::ranges::equal(header.identity_check,
                                       ByteView(context).first(header.identity_check.size()));
  if (header.kind == identity.kind && same) return {};
  return Error::corrupt("it holds another object: it was moved, or exchanged");
}

static Result<void> verify(const ByteSource& source, const ContainerIdentity* identity) {
  const auto end = TRY(read_end(source, "the object"));
  TRY(compare_header(source, end.trailer.header_bytes));
  if (identity) TRY(check_identity(end.trailer.header, *identity));
  const auto index = TRY(read_index(end));
  return verify_frames(source, end, index);
}

Result<void> verify_container(const ByteSource& source) {
  return verify(source, nullptr);
}

Result<void> verify_container(const ByteSource& source, const ContainerIdentity& identity) {
  return verify(source, &identity);
}

}  // namespace pitr
