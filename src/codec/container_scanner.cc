#include <fmt/format.h>

#include <algorithm>

#include "codec/container.h"
#include "codec/frame_seal.h"

namespace pitr {

using namespace container;

// Headers with a right check are rare by chance (one in 2^32); more than a few whose frames are not
// authentic were made by somebody.
static constexpr int kMostCandidates = 64;
// What reaches a disk whole or not at all.
static constexpr std::size_t kSectorSize = 512;
// Fewer zeros than this are no sign that nothing was written there: tags and payloads are random.
static constexpr std::size_t kFewestZeros = 4;

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

  Error damaged(std::string_view what, std::string_view how = "damaged, and more follows it") {
    ended = true;
    return Error::corrupt(fmt::format("{} of {} is {}", what, object_name, how));
  }

  Result<bool> next(Bytes& into);
  Result<bool> check_end(const FrameHeader& footer);
  Result<bool> decide_damage(std::size_t frame_size);
  bool may_be_unwritten(std::size_t frame_size) const;
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
  if (!frame || frame->number != frame_count) return decide_damage(kFrameHeaderSize);
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
  if (!*opened) return decide_damage(frame->stored_size());
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

// The bytes at the position are no frame, of which at least so many bytes belong to one.
Result<bool> ContainerScanner::Impl::decide_damage(std::size_t frame_size) {
  const auto name = fmt::format("frame {}", frame_count);
  const auto followed = TRY(later_frame_follows());
  if (followed || trailer_follows()) return damaged(name);
  if (!may_be_unwritten(frame_size)) return damaged(name, "damaged");
  return end(true);
}

// Power loss takes sectors of an append away, in any order, before its sync has returned: they are
// cut off, or read as zeros. What was changed later has neither.
bool ContainerScanner::Impl::may_be_unwritten(std::size_t frame_size) const {
  if (frame_size > rest().size()) return true;
  const auto end_of_frame = position + frame_size;
  auto zeros_from = stored.size();
  while (zeros_from > position && stored[zeros_from - 1] == 0) --zeros_from;
  if (zeros_from < end_of_frame && stored.size() - zeros_from >= kFewestZeros) return true;
  for (auto at = position; at < end_of_frame;) {
    const auto sector_end = std::min(end_of_frame, (at / kSectorSize + 1) * kSectorSize);
    const auto part = stored.subspan(at, sector_end - at);
    if (part.size() >= kFewestZeros && all_zero(part)) return true;
    at = sector_end;
  }
  return false;
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

std::uint64_t ContainerScanner::torn_bytes() const {
  return impl_->torn ? impl_->rest().size() : 0;
}

}  // namespace pitr
