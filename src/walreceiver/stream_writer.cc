#include "walreceiver/stream_writer.h"

#include <fmt/format.h>

#include <algorithm>

namespace pitr {

Result<std::unique_ptr<StreamWriter>> StreamWriter::open(SegmentIngest& ingest,
                                                         SegmentSealer& sealer, TimelineId timeline,
                                                         Lsn start) {
  const SegmentSize size = ingest.archive().segment_size();
  if (size.offset_of(start) != 0) {
    return Error::internal(fmt::format("streaming cannot begin at {}", to_string(start)));
  }
  const SegmentId first{timeline, size.number_of(start)};
  std::unique_ptr<StreamWriter> writer(new StreamWriter(ingest, sealer, first));
  TRY(writer->start_decoder());
  TRY(writer->begin_segment());
  return writer;
}

Result<void> StreamWriter::start_decoder() {
  carry_ = TRY(ingest_.carry_into(segment_));
  const auto options = TRY(ingest_.decoder_options(segment_.timeline));
  auto started = wal::WalDecoder::start(options, segment_start(), carry_,
                                        [](const wal::Record&) { return Result<void>(); });
  decoder_ = TRY(std::move(started));
  return {};
}

Result<void> StreamWriter::begin_segment() {
  buffer_.clear();
  buffer_.reserve(archive().segment_size().bytes());
  durable_size_ = 0;
  tail_.reset();
  auto available = TRY(archive().adopt_available(segment_));
  stored_ = std::move(available.bytes);
  return {};
}

Result<void> StreamWriter::write(ByteView bytes) {
  while (!bytes.empty()) {
    const auto room = archive().segment_size().bytes() - buffer_.size();
    const auto size = std::min<std::size_t>(bytes.size(), room);
    TRY(write_within_segment(bytes.first(size)));
    bytes = bytes.subspan(size);
    if (size == room) TRY(finish_segment());
  }
  return {};
}

Result<void> StreamWriter::write_within_segment(ByteView bytes) {
  TRY(compare_with_stored(bytes));
  TRY(decoder_->push(bytes));
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  return {};
}

Result<void> StreamWriter::compare_with_stored(ByteView bytes) const {
  const auto from = buffer_.size();
  if (from >= stored_.size()) return {};
  const auto overlap = std::min(bytes.size(), stored_.size() - from);
  const auto differs =
      std::ranges::mismatch(bytes.first(overlap), ByteView(stored_).subspan(from, overlap));
  if (differs.in1 == bytes.begin() + static_cast<std::ptrdiff_t>(overlap)) return {};
  const auto at = segment_start() + from + static_cast<std::uint64_t>(differs.in1 - bytes.begin());
  return Error::conflict(
             fmt::format("the server's WAL at {} differs from what is stored as segment {}",
                         to_string(at), segment_file_name(segment_, archive().segment_size())))
      .with_hint(
          "this server is not the one whose WAL is in the repository: a clone, or one that was "
          "restored without a new timeline. Nothing is acknowledged to it. Configure it as a new "
          "cluster, or let it be replaced by a restore");
}

Result<void> StreamWriter::make_durable() {
  const auto from = std::max(durable_size_, std::min(stored_.size(), buffer_.size()));
  if (from < buffer_.size()) {
    if (!tail_) tail_ = TRY(archive().start_tail(segment_, static_cast<std::uint32_t>(from)));
    TRY(tail_->append(ByteView(buffer_).subspan(from)));
  }
  durable_size_ = buffer_.size();
  return {};
}

Result<void> StreamWriter::finish_segment() {
  TRY(make_durable());
  tail_.reset();
  auto carry_out = TRY(decoder_->carry());
  // A complete segment goes to the sealer too: its facts may be missing after a crash.
  TRY(sealer_.submit({segment_, std::move(buffer_), std::move(carry_)}));
  carry_ = std::move(carry_out);
  ++segment_.number;
  return begin_segment();
}

}  // namespace pitr
