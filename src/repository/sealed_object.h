// Containers in a store: the sources and sinks that connect the container format, which does no
// I/O, with Storage. Identity, key and object name come from the IncarnationStore.
//
// SealedReader's const functions are thread-safe; a SealedUpload belongs to one thread. Both borrow
// the store's Repository and Storage, which must outlive them.
#pragma once

#include <memory>

#include "codec/container.h"
#include "repository/repository.h"

namespace pitr {

// An object as a ByteSource. Its last 64 KiB are fetched when it's opened, so that footers (and
// small objects as a whole) cost no further request.
class ObjectSource final : public ByteSource {
 public:
  static Result<std::unique_ptr<ObjectSource>> open(Storage& storage, const ObjectKey& key);
  Result<std::uint64_t> size() const override { return size_bytes_; }
  Result<void> read_at(std::uint64_t offset, MutableByteView into) const override;
  void expect(std::uint64_t offset, std::uint64_t size_bytes) const override {
    storage_.expect_range(key_, offset, size_bytes);
  }

 private:
  ObjectSource(Storage& storage, ObjectKey key, std::uint64_t size_bytes, Bytes end);
  Storage& storage_;
  ObjectKey key_;
  std::uint64_t size_bytes_;
  Bytes end_;  // the object's last bytes
};

// A container with a footer, opened for random access. Errors name the object.
class SealedReader {
 public:
  static Result<SealedReader> open(const IncarnationStore& store, ContainerKind kind,
                                   const ObjectKey& key);
  const ContainerReader& container() const { return container_; }
  const ContainerReader* operator->() const { return &container_; }
  // The stored bytes, for readers that fetch many frames at a time.
  const ByteSource& source() const { return *source_; }

 private:
  SealedReader(std::unique_ptr<ObjectSource> source, ContainerReader container);
  std::unique_ptr<ObjectSource> source_;
  ContainerReader container_;
};

// Streams a container into an Upload, about a MiB at a time. The name must be one that nobody else
// writes. Nothing is visible before finish(); destruction without it abandons the object.
class SealedUpload {
 public:
  static Result<SealedUpload> start(const IncarnationStore& store, ContainerKind kind,
                                    const ObjectKey& key,
                                    Compression compression = Compression::kLz4, int level = 0);

  Result<void> add_frame(ByteView plain);  // 1 to kFrameSize bytes
  Result<void> add(ByteView plain);        // any size
  // Durable on return.
  Result<void> finish(ByteView metadata = {});

  const ObjectKey& key() const { return key_; }
  std::uint32_t frame_count() const { return writer_.frame_count(); }
  std::uint64_t plain_size_bytes() const { return writer_.plain_size_bytes(); }
  std::uint64_t stored_size_bytes() const { return written_bytes_ + pending_.size(); }

 private:
  SealedUpload(ObjectKey key, ContainerWriter writer, std::unique_ptr<Upload> upload);
  Result<void> write_pending(std::size_t at_least_bytes);

  ObjectKey key_;
  ContainerWriter writer_;
  std::unique_ptr<Upload> upload_;
  Bytes pending_;
  std::uint64_t written_bytes_ = 0;
};

}  // namespace pitr
