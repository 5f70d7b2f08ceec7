#include "repository/sealed_object.h"

#include <algorithm>

namespace pitr {

static constexpr std::uint64_t kEndSize = 64 << 10;
static constexpr std::size_t kUploadPiece = 1 << 20;

ObjectSource::ObjectSource(Storage& storage, ObjectKey key, std::uint64_t size_bytes, Bytes end)
    : storage_(storage), key_(std::move(key)), size_bytes_(size_bytes), end_(std::move(end)) {}

Result<std::unique_ptr<ObjectSource>> ObjectSource::open(Storage& storage, const ObjectKey& key) {
  const auto info = TRY(storage.stat(key));
  Bytes end(std::min(info.size_bytes, kEndSize));
  TRY(storage.get_range(key, info.size_bytes - end.size(), end));
  return std::unique_ptr<ObjectSource>(
      new ObjectSource(storage, key, info.size_bytes, std::move(end)));
}

Result<void> ObjectSource::read_at(std::uint64_t offset, MutableByteView into) const {
  if (offset > size_bytes_ || into.size() > size_bytes_ - offset) {
    return Error::corrupt(key_.text() + " ends too early");
  }
  const auto end_offset = size_bytes_ - end_.size();
  if (offset < end_offset) return storage_.get_range(key_, offset, into);
  std::copy_n(end_.begin() + static_cast<std::ptrdiff_t>(offset - end_offset), into.size(),
              into.begin());
  return {};
}

SealedReader::SealedReader(std::unique_ptr<ObjectSource> source, ContainerReader container)
    : source_(std::move(source)), container_(std::move(container)) {}

Result<SealedReader> SealedReader::open(const IncarnationStore& store, ContainerKind kind,
                                        const ObjectKey& key) {
  auto source = TRY(ObjectSource::open(store.storage(), key));
  auto container =
      TRY(ContainerReader::open(*source, store.identity(kind, key), store.repository().keyring()));
  return SealedReader(std::move(source), std::move(container));
}

SealedUpload::SealedUpload(ObjectKey key, ContainerWriter writer, std::unique_ptr<Upload> upload)
    : key_(std::move(key)), writer_(std::move(writer)), upload_(std::move(upload)) {}

Result<SealedUpload> SealedUpload::start(const IncarnationStore& store, ContainerKind kind,
                                         const ObjectKey& key, Compression compression, int level) {
  const ContainerOptions options{compression, level, store.sealing_key()};
  auto writer = TRY(ContainerWriter::create(store.identity(kind, key), options));
  auto upload = TRY(store.storage().start_upload(key));
  SealedUpload sealed(key, std::move(writer), std::move(upload));
  sealed.writer_.header(sealed.pending_);
  return sealed;
}

Result<void> SealedUpload::add_frame(ByteView plain) {
  TRY(writer_.add_frame(plain, pending_));
  return write_pending(kUploadPiece);
}

Result<void> SealedUpload::add(ByteView plain) {
  while (!plain.empty()) {
    const auto piece = plain.first(std::min(plain.size(), kUploadPiece));
    TRY(writer_.add(piece, pending_));
    TRY(write_pending(kUploadPiece));
    plain = plain.subspan(piece.size());
  }
  return {};
}

Result<void> SealedUpload::finish(ByteView metadata) {
  TRY(writer_.finish(metadata, pending_));
  TRY(write_pending(0));
  return upload_->commit();
}

Result<void> SealedUpload::write_pending(std::size_t at_least_bytes) {
  if (pending_.size() < at_least_bytes) return {};
  TRY(upload_->write(pending_));
  written_bytes_ += pending_.size();
  pending_.clear();
  return {};
}

}  // namespace pitr
