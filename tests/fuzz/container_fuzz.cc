// Arbitrary bytes through the container reader, scanner and verifier. Digests would stop nearly all
// inputs at the door, so that one kind of input gets its checks, tags and digests put right first:
// it is a container without cipher whose sizes, counts and payloads are arbitrary.
#include <algorithm>
#include <cstdlib>

#include "codec/container.h"
#include "codec/frame_seal.h"

using namespace pitr;
using namespace pitr::container;

static const ContainerIdentity kIdentity{"repo", "main/1-15", ContainerKind::kPack, "pack/a"};

static void require(bool condition) {
  if (!condition) std::abort();
}

namespace {
// A container around the bytes given, with everything right that can be computed.
class Repair {
 public:
  explicit Repair(Bytes stored) : stored_(std::move(stored)) {
    header_.id.fill(5);
    secrets_.context = context_of(header_, kIdentity);
    secrets_.seed = frame_seed(header_.id);
    header_bytes_ = encode_header(header_, secrets_.context);
  }

  Bytes run() && {
    if (stored_.size() < kHeaderSize) return std::move(stored_);
    std::ranges::copy(header_bytes_, stored_.begin());
    auto at = kHeaderSize;
    for (std::uint32_t number = 0; at != 0; ++number) at = repair_frame(at, number, std::nullopt);
    if (stored_.size() >= kSmallestContainer) repair_end();
    return std::move(stored_);
  }

 private:
  // Returns where the next frame begins; 0 at the end.
  std::size_t repair_frame(std::size_t at, std::uint32_t number,
                           const std::optional<Sha256Digest>& table_digest) {
    if (stored_.size() - at < kFrameOverhead) return 0;
    auto* frame = stored_.data() + at;
    FrameHeader header{number, load<std::uint32_t>(frame + 4), load<std::uint32_t>(frame + 8),
                       static_cast<Compression>(frame[12]), table_digest.has_value()};
    if (header.stored_size() > stored_.size() - at) return 0;
    auto sealer = FrameSealer::create(secrets_);
    require(sealer.has_value());
    const ByteView payload(frame + kFrameHeaderSize, header.payload_size);
    require(sealer->seal(header, payload, table_digest, frame).has_value());
    return at + header.stored_size();
  }

  void repair_end() {
    auto* trailer = stored_.data() + stored_.size() - kTrailerSize;
    const auto table_size = load<std::uint32_t>(trailer + 56) * std::uint64_t{kTableRowSize};
    const auto footer_size = load<std::uint32_t>(trailer + 60);
    if (table_size + footer_size > stored_.size() - kHeaderSize - kTrailerSize) return;
    const auto table_at = stored_.size() - kTrailerSize - table_size;
    const auto footer_at = table_at - footer_size;
    const auto table = ByteView(stored_).subspan(table_at, table_size);
    repair_frame(footer_at, load<std::uint32_t>(trailer + 56), sha256(table));
    const auto made = make_trailer(header_bytes_, ByteView(stored_).subspan(footer_at, footer_size),
                                   table, footer_at - kHeaderSize);
    std::ranges::copy(made, trailer);
  }

  Bytes stored_;
  Header header_;
  HeaderBytes header_bytes_{};
  FrameSecrets secrets_;
};
}  // namespace

static std::optional<Bytes> read(ByteView stored, const Keyring& keyring) {
  const MemorySource source(stored);
  const auto reader = ContainerReader::open(source, kIdentity, keyring);
  if (!reader.has_value()) return std::nullopt;
  require(reader->plain_size_bytes() <= std::uint64_t{reader->frame_count()} * kFrameSize);
  Bytes frame;
  for (std::uint32_t i = 0; i < reader->frame_count(); ++i) {
    (void)reader->read_frame(i, frame);
  }
  auto plain = reader->read_all(64 << 20);
  if (!plain.has_value()) return std::nullopt;
  return std::move(plain).value();
}

static Bytes scan(ByteView stored, const Keyring& keyring) {
  Bytes plain;
  auto scanner = ContainerScanner::open(stored, kIdentity, keyring);
  if (!scanner.has_value()) return plain;
  while (true) {
    const auto more = scanner->next(plain);
    if (!more.has_value() || !*more) return plain;
  }
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  Bytes stored(data + 1, data + size);
  if (data[0] % 2 == 1) stored = Repair(std::move(stored)).run();
  Keyring keyring;
  if (data[0] % 4 == 0)
    (void)keyring.add({1, Secret256(std::array<std::uint8_t, 32>())}).has_value();

  const auto plain = read(stored, keyring);
  const auto scanned = scan(stored, keyring);
  (void)verify_container(MemorySource(stored));
  // What the scanner delivers is never anything else than what the reader does.
  if (plain) {
    require(scanned.size() <= plain->size());
    require(std::ranges::equal(scanned, ByteView(*plain).first(scanned.size())));
  }
  return 0;
}
