#include "storage/measured/measured_storage.h"

namespace pitr {

std::string_view to_string(StorageRequest request) {
  switch (request) {
    case StorageRequest::kPut:
      return "put";
    case StorageRequest::kUpload:
      return "upload";
    case StorageRequest::kAppend:
      return "append";
    case StorageRequest::kGet:
      return "get";
    case StorageRequest::kStat:
      return "stat";
    case StorageRequest::kSync:
      return "sync";
    case StorageRequest::kList:
      return "list";
    case StorageRequest::kRemove:
      return "remove";
  }
  return "unknown";
}

void StorageMeter::end(StorageRequest request, Microseconds took, const Error* error) {
  auto& counts = counts_[static_cast<std::size_t>(request)];
  const bool is_answer = error == nullptr || error->kind() == ErrorKind::kNotFound ||
                         error->kind() == ErrorKind::kConflict;
  ++(is_answer ? counts.succeeded : counts.failed);
  counts.latency.add(took);
  --in_progress_;
}

namespace {

template <typename Call>
auto measured(StorageMeter& meter, StorageRequest request, Call&& call) {
  meter.begin();
  const Stopwatch watch;
  auto result = call();
  meter.end(request, watch.elapsed(), result.has_value() ? nullptr : &result.error());
  return result;
}

class MeasuredUpload final : public Upload {
 public:
  MeasuredUpload(std::unique_ptr<Upload> inner, StorageMeter& meter)
      : inner_(std::move(inner)), meter_(meter) {}
  Result<void> write(ByteView bytes) override {
    return measured(meter_, StorageRequest::kUpload, [&] { return inner_->write(bytes); });
  }
  Result<void> commit() override {
    return measured(meter_, StorageRequest::kUpload, [&] { return inner_->commit(); });
  }

 private:
  std::unique_ptr<Upload> inner_;
  StorageMeter& meter_;
};

class MeasuredAppender final : public Appender {
 public:
  MeasuredAppender(std::unique_ptr<Appender> inner, StorageMeter& meter)
      : inner_(std::move(inner)), meter_(meter) {}
  Result<void> append(ByteView bytes) override {
    return measured(meter_, StorageRequest::kAppend, [&] { return inner_->append(bytes); });
  }

 private:
  std::unique_ptr<Appender> inner_;
  StorageMeter& meter_;
};

}  // namespace

Result<void> MeasuredStorage::put(const ObjectKey& key, ByteView bytes) {
  return measured(meter_, StorageRequest::kPut, [&] { return inner_.put(key, bytes); });
}

Result<void> MeasuredStorage::put_if_absent(const ObjectKey& key, ByteView bytes) {
  return measured(meter_, StorageRequest::kPut, [&] { return inner_.put_if_absent(key, bytes); });
}

Result<std::unique_ptr<Upload>> MeasuredStorage::start_upload(const ObjectKey& key) {
  auto upload =
      TRY(measured(meter_, StorageRequest::kUpload, [&] { return inner_.start_upload(key); }));
  return std::unique_ptr<Upload>(std::make_unique<MeasuredUpload>(std::move(upload), meter_));
}

Result<Bytes> MeasuredStorage::get(const ObjectKey& key, std::uint64_t limit_bytes) {
  return measured(meter_, StorageRequest::kGet, [&] { return inner_.get(key, limit_bytes); });
}

Result<void> MeasuredStorage::get_range(const ObjectKey& key, std::uint64_t offset,
                                        MutableByteView into) {
  return measured(meter_, StorageRequest::kGet,
                  [&] { return inner_.get_range(key, offset, into); });
}

Result<ObjectInfo> MeasuredStorage::stat(const ObjectKey& key) {
  return measured(meter_, StorageRequest::kStat, [&] { return inner_.stat(key); });
}

Result<void> MeasuredStorage::ensure_durable(const ObjectKey& key) {
  return measured(meter_, StorageRequest::kSync, [&] { return inner_.ensure_durable(key); });
}

Result<ListPage> MeasuredStorage::list(std::string_view prefix, std::string_view token) {
  return measured(meter_, StorageRequest::kList, [&] { return inner_.list(prefix, token); });
}

Result<std::vector<std::string>> MeasuredStorage::list_folders(std::string_view prefix) {
  return measured(meter_, StorageRequest::kList, [&] { return inner_.list_folders(prefix); });
}

Result<void> MeasuredStorage::remove(const ObjectKey& key) {
  return measured(meter_, StorageRequest::kRemove, [&] { return inner_.remove(key); });
}

Result<std::unique_ptr<Appender>> MeasuredStorage::start_append(const ObjectKey& key) {
  auto appender =
      TRY(measured(meter_, StorageRequest::kAppend, [&] { return inner_.start_append(key); }));
  return std::unique_ptr<Appender>(std::make_unique<MeasuredAppender>(std::move(appender), meter_));
}

}  // namespace pitr
