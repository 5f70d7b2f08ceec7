// A plain object store: what a local directory, S3 and Azure Blob can all do. No renames, no
// partial overwrites, no directory listings on hot paths.
//
// Objects are immutable: a name is written once. put() of a name that exists is allowed only to
// repeat identical bytes (a retry), and implementations need not check that. No object's name may
// be a folder of another's ("a" and "a/b"): a directory cannot hold both.
//
// Durability: when put, put_if_absent, Upload::commit or Appender::append returns success, the
// bytes survive power loss of the machine that stores them, and the object is visible to every
// later get. After an error the object may or may not be there; it's never there in part
// (appendable objects excepted: these can end in a torn suffix, which the container format
// detects).
//
// Visible is not yet durable: what a writer left that was killed or got an error can be read, and
// still vanish with the power. Who finds an object and wants to promise somebody that it's safe
// calls ensure_durable() first.
//
// Removal may be undone by power loss.
//
// Errors: kNotFound is returned only for proven absence. kTransient may be retried. kDenied is
// about credentials or permissions. All calls are thread-safe; Upload and Appender objects belong
// to one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/result.h"

namespace pitr {

// A checked object name: '/'-separated parts of [A-Za-z0-9._-], none empty, none starting with a
// dot, none longer than 255 bytes, 512 bytes at most in all.
class ObjectKey {
 public:
  static Result<ObjectKey> parse(std::string_view text);
  // For names built by the program itself; aborts on a malformed one.
  static ObjectKey from_parts(std::string_view text);

  const std::string& text() const { return text_; }
  friend auto operator<=>(const ObjectKey&, const ObjectKey&) = default;

 private:
  explicit ObjectKey(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

struct ObjectInfo {
  ObjectKey key;
  std::uint64_t size_bytes = 0;
  Timestamp modified;  // the store's clock
};

struct ListPage {
  std::vector<ObjectInfo> objects;  // ascending by key
  // Empty after the last page; else pass it to get the next one.
  std::string next_token;
};

// A streamed put of one object of any size. Nothing is visible before commit(); destruction without
// commit() abandons what was written.
class Upload {
 public:
  virtual ~Upload() = default;
  virtual Result<void> write(ByteView bytes) = 0;
  virtual Result<void> commit() = 0;
};

// Adds to the end of one object; only where Storage::supports_append().
class Appender {
 public:
  virtual ~Appender() = default;
  // Durable on return. After an error nothing more can be appended: the tail's state is unknown.
  virtual Result<void> append(ByteView bytes) = 0;
};

class Storage {
 public:
  virtual ~Storage() = default;

  // "directory /var/lib/pitr/repository", "s3://bucket/prefix": for messages.
  virtual std::string description() const = 0;

  virtual Result<void> put(const ObjectKey& key, ByteView bytes) = 0;
  // kConflict where the object exists already, whatever its bytes; that object is durable then.
  virtual Result<void> put_if_absent(const ObjectKey& key, ByteView bytes) = 0;
  virtual Result<std::unique_ptr<Upload>> start_upload(const ObjectKey& key) = 0;

  // The whole object; kInvalid where it's larger than limit_bytes.
  virtual Result<Bytes> get(const ObjectKey& key, std::uint64_t limit_bytes) = 0;
  // Exactly into.size() bytes from offset; kCorrupt where the object ends before that.
  virtual Result<void> get_range(const ObjectKey& key, std::uint64_t offset,
                                 MutableByteView into) = 0;
  // A hint that get_range() will soon be called for these bytes: where several reads can be under
  // way at once, this one may begin. Cheap, and silent about what goes wrong. This default does
  // nothing.
  virtual void expect_range(const ObjectKey& /*key*/, std::uint64_t /*offset*/,
                            std::uint64_t /*size_bytes*/) {}
  virtual Result<ObjectInfo> stat(const ObjectKey& key) = 0;

  // Makes what is visible of the object now as durable as a successful put. For objects of a writer
  // whose end nobody saw; stores that show only durable objects just look whether it's there.
  virtual Result<void> ensure_durable(const ObjectKey& key);

  // Objects whose key starts with prefix, in pages of at most 1000, ascending by the bytes of the
  // whole key. Objects there all the time are listed once; others may be or may not.
  virtual Result<ListPage> list(std::string_view prefix, std::string_view token) = 0;
  // What stands between prefix (empty, or ending in '/') and the next '/' in the names of objects,
  // ascending and each once: the "folders" directly below prefix. This default pages through
  // everything below it; backends that can list with a delimiter override it.
  virtual Result<std::vector<std::string>> list_folders(std::string_view prefix);
  // Removing what isn't there is success.
  virtual Result<void> remove(const ObjectKey& key) = 0;

  virtual bool supports_append() const { return false; }
  // Creates the object, empty and durable; kConflict where it exists. After another error it may
  // exist: take another name.
  virtual Result<std::unique_ptr<Appender>> start_append(const ObjectKey& key);

  // Free bytes where the backend can tell.
  virtual Result<std::optional<std::uint64_t>> free_bytes() { return std::nullopt; }
  // How many there are in all, used and free; where the backend has a limit.
  virtual Result<std::optional<std::uint64_t>> capacity_bytes() { return std::nullopt; }
};

// All pages of list(), up to limit objects (kInvalid beyond it).
Result<std::vector<ObjectInfo>> list_all(Storage& storage, std::string_view prefix,
                                         std::size_t limit = 10'000'000);

}  // namespace pitr
