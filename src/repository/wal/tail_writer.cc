#include "repository/wal/tail_writer.h"

#include <fmt/format.h>

#include <random>

namespace pitr {
namespace {

class TailWriterBase : public TailWriter {
 public:
  TailWriterBase(IncarnationStore store, SegmentId segment, std::uint32_t offset)
      : store_(std::move(store)), segment_(segment), end_offset_(offset) {}

  Result<void> append(ByteView bytes) override {
    if (dead_) {
      return Error::invalid("an earlier append failed: this tail cannot be continued")
          .with_hint("adopt what is stored, and start a new tail behind it");
    }
    if (bytes.size() > store_.segment_size().bytes() - end_offset_) {
      return Error::invalid(fmt::format("{} bytes at offset {} do not fit into a segment",
                                        bytes.size(), end_offset_));
    }
    if (bytes.empty()) return {};
    auto written = write(bytes);
    dead_ = !written.has_value();
    if (written.has_value()) end_offset_ += static_cast<std::uint32_t>(bytes.size());
    return written;
  }

  std::uint32_t end_offset() const override { return end_offset_; }

 protected:
  virtual Result<void> write(ByteView bytes) = 0;

  const IncarnationStore store_;
  const SegmentId segment_;

 private:
  std::uint32_t end_offset_;
  bool dead_ = false;
};

class GrowingTail final : public TailWriterBase {
 public:
  GrowingTail(IncarnationStore store, SegmentId segment, std::uint32_t offset,
              ContainerWriter writer, std::unique_ptr<Appender> appender)
      : TailWriterBase(std::move(store), segment, offset),
        writer_(std::move(writer)),
        appender_(std::move(appender)) {
    writer_.header(sealed_);
  }

 private:
  // The header waits for the first bytes, so that every append is one durable write.
  Result<void> write(ByteView bytes) override {
    TRY(writer_.add(bytes, sealed_));
    TRY(appender_->append(sealed_));
    sealed_.clear();
    return {};
  }

  ContainerWriter writer_;
  std::unique_ptr<Appender> appender_;
  Bytes sealed_;
};

class NumberedTail final : public TailWriterBase {
 public:
  NumberedTail(IncarnationStore store, SegmentId segment, std::uint32_t offset,
               std::uint64_t writer, ContainerOptions options)
      : TailWriterBase(std::move(store), segment, offset), writer_(writer), options_(options) {}

 private:
  Result<void> write(ByteView bytes) override {
    const auto key = store_.names().tail(segment_, end_offset(), writer_);
    const auto identity = store_.identity(ContainerKind::kTail, key);
    const auto sealed = TRY(seal_object(identity, options_, bytes));
    return store_.storage().put(key, sealed);
  }

  std::uint64_t writer_;
  ContainerOptions options_;
};

}  // namespace

static std::uint64_t random_writer() {
  std::random_device random;
  return (static_cast<std::uint64_t>(random()) << 32) | random();
}

Result<std::unique_ptr<TailWriter>> make_tail_writer(const IncarnationStore& store,
                                                     SegmentId segment, std::uint32_t offset,
                                                     const WalArchive::Options& options) {
  if (offset >= store.segment_size().bytes()) {
    return Error::invalid(fmt::format("offset {} is not in a segment", offset));
  }
  const auto writer = random_writer();
  const ContainerOptions container{options.compression, options.level, store.sealing_key()};
  if (!store.storage().supports_append()) {
    return std::make_unique<NumberedTail>(store, segment, offset, writer, container);
  }
  const auto key = store.names().tail(segment, offset, writer);
  auto sealer = TRY(ContainerWriter::create(store.identity(ContainerKind::kTail, key), container));
  auto appender = TRY(store.storage().start_append(key));
  return std::make_unique<GrowingTail>(store, segment, offset, std::move(sealer),
                                       std::move(appender));
}

}  // namespace pitr
