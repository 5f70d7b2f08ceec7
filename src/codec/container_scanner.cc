#include <fmt/format.h>

#include <algorithm>

#include "codec/container.h"
#include "codec/frame_seal.h"

namespace pitr {

using namespace container;

// Headers with a right check are rare by chance (one in 2^32); more than a few whose frames are not
// authentic were made by somebody.
static constexpr int kMostCandidates = 64;

struct ContainerScanner::Impl {
  ByteView stored;
  std::string object_name;
  FrameSecrets secrets;
  HeaderBytes header{};
  std::size_t position = 0;
  std::uint32_t frame_count = 0;
  std::uint64_t frames_size = 0;
  Bytes table{};  // as the writer made it
  bool ended = false;
  bool torn = false;

  ByteView rest() const { return stored.subspan(position); }

  bool end(bool is_torn) {
    ended = true;
    torn = is_torn;
    return false;
  }

  Error damaged(std::string_view what) {
    ended = true;
    return Error::corrupt(
        fmt::format("{} of {} is damaged, and more follows it", what, object_name));
  }

  Result<bool> next(Bytes& into);
  Result<bool> check_end(const FrameHeader& footer);
  Result<bool> decide_damage();
  Result<bool> later_frame_follows();
  bool trailer_follows() const;
};

static bool all_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

// A header that was not written whole: its beginning, or room that was never filled.
static bool is_torn_header(ByteView stored) {
  static constexpr std::string_view kMagic = "PITRCONT";
  if (all_zero(stored)) return true;
  const auto magic = as_text(stored.first(std::min(stored.size(), kMagic.size())));
  return stored.size() < kHeaderSize && kMagic.starts_with(magic);
}

Result<ContainerScanner> ContainerScanner::open(ByteView stored, const ContainerIdentity& identity,
                                                const Keyring& keyring) {
  auto impl = std::unique_ptr<Impl>(
      new Impl{.stored = stored, .object_name = identity.object_name, .secrets = {}});
  if (is_torn_header(stored)) {
    impl->end(!stored.empty());
    return ContainerScanner(std::move(impl));
  }
  if (stored.size() < kHeaderSize) {
    return Error::corrupt(identity.object_name + ": this is no container");
  }
  const auto header =
      TRY(with_context(parse_header(stored.first(kHeaderSize)), identity.object_name));
  impl->secrets = TRY(open_secrets(header, identity, keyring));
  std::copy_n(stored.begin(), kHeaderSize, impl->header.begin());
  impl->position = kHeaderSize;
  return ContainerScanner(std::move(impl));
}

Result<bool> ContainerScanner::Impl::next(Bytes& into) {
  if (ended) return false;
  if (rest().empty()) return end(false);
  const auto frame = parse_frame_header(rest(), secrets.seed);
  if (!frame || frame->number != frame_count) return decide_damage();
  if (frame->stored_size() > rest().size()) return end(true);
  if (frame->last) return check_end(*frame);

  const auto bytes = rest().first(frame->stored_size());
  const auto before = into.size();
  into.resize(before + frame->plain_size);
  auto opened = open_sealed_frame(secrets, *frame, bytes, std::nullopt,
                                  MutableByteView(into).subspan(before));
  if (!opened.has_value() || !*opened) into.resize(before);
  if (!opened.has_value()) {
    return std::move(opened).error().with_context(
        fmt::format("frame {} of {}", frame_count, object_name));
  }
  if (!*opened) return decide_damage();
  append_table_row(bytes, frame->plain_size, table);
  position += bytes.size();
  frames_size += bytes.size();
  ++frame_count;
  return true;
}

// At a whole footer frame: it vouches for the frames that were read, and what follows it can be
// nothing else than what the writer would have written.
Result<bool> ContainerScanner::Impl::check_end(const FrameHeader& footer) {
  const auto footer_bytes = rest().first(footer.stored_size());
  const auto trailer = make_trailer(header, footer_bytes, table, frames_size);
  Bytes expected = table;
  expected.insert(expected.end(), trailer.begin(), trailer.end());
  const auto actual = rest().subspan(footer_bytes.size());

  const auto opened = open_footer(secrets, footer_bytes, table, frame_count);
  if (!opened.has_value()) {
    if (actual.size() >= expected.size() && !all_zero(actual)) return damaged("the footer");
    return end(true);
  }
  if (actual.size() > expected.size()) return damaged("the end");
  const auto different =
      static_cast<std::size_t>(std::ranges::mismatch(actual, expected).in1 - actual.begin());
  if (different == expected.size()) return end(false);
  // Cut off, or room that an interrupted append never filled.
  if (all_zero(actual.subspan(different))) return end(true);
  return damaged("the end");
}

// The bytes at the position are no frame: torn, unless a later frame or the container's end
// follows.
Result<bool> ContainerScanner::Impl::decide_damage() {
  const auto followed = TRY(later_frame_follows());
  if (followed || trailer_follows()) return damaged(fmt::format("frame {}", frame_count));
  return end(true);
}

Result<bool> ContainerScanner::Impl::later_frame_follows() {
  Bytes plain;
  int candidates = 0;
  for (auto at = position + 1; at + kFrameOverhead < stored.size(); ++at) {
    const auto bytes = stored.subspan(at);
    const auto frame = parse_frame_header(bytes, secrets.seed);
    if (!frame || frame->number < frame_count || frame->stored_size() > bytes.size()) continue;
    // A footer's tag needs the tags of the frames before it, which are lost.
    if (frame->last || ++candidates > kMostCandidates) return true;
    plain.resize(frame->plain_size);
    const auto opened = TRY(
        open_sealed_frame(secrets, *frame, bytes.first(frame->stored_size()), std::nullopt, plain));
    if (opened) return true;
  }
  return false;
}

bool ContainerScanner::Impl::trailer_follows() const {
  if (rest().size() < kTrailerSize) return false;
  const auto trailer = parse_trailer(stored.last(kTrailerSize), stored.size());
  return trailer.has_value() && trailer->header_bytes == header;
}

ContainerScanner::ContainerScanner(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ContainerScanner::ContainerScanner(ContainerScanner&&) noexcept = default;
ContainerScanner& ContainerScanner::operator=(ContainerScanner&&) noexcept = default;
ContainerScanner::~ContainerScanner() = default;

Result<bool> ContainerScanner::next(Bytes& into) {
  return impl_->next(into);
}

bool ContainerScanner::was_torn() const {
  return impl_->torn;
}

}  // namespace pitr
