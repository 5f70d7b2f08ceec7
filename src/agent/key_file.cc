#include "agent/key_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

namespace pitr {

static Result<struct stat> status_of(const File& file) {
  struct stat status{};
  if (::fstat(file.fd(), &status) == 0) return status;
  return Error::from_errno(errno, file.path().native());
}

static Result<File> lock(const Path& path) {
  auto file = TRY(File::open(path, O_RDONLY));
  if (::flock(file.fd(), LOCK_EX | LOCK_NB) != 0) {
    return Error::conflict(fmt::format("another process exchanges {}", path.native()))
        .with_hint("let it finish, and look at \"pitr keys list\"");
  }
  // It may have been exchanged between opening and locking.
  const auto locked = TRY(status_of(file));
  struct stat named{};
  if (::stat(path.c_str(), &named) == 0 && named.st_ino == locked.st_ino) return file;
  return Error::conflict(fmt::format("{} was exchanged just now", path.native()))
      .with_hint("look at \"pitr keys list\" before you do it again");
}

static Result<void> write_key_file(const Path& path, const KeyEncryptionKey& key) {
  auto text = key.to_text();
  auto written = write_file_durably(path, as_bytes(text), 0600);
  wipe(text);
  return written;
}

static Result<void> write_key(const Path& path, const KeyEncryptionKey& key,
                              const struct stat& like, unsigned mode) {
  TRY(write_key_file(path, key));
  auto file = TRY(File::open(path, O_RDONLY));
  if (::fchown(file.fd(), like.st_uid, like.st_gid) != 0 || ::fchmod(file.fd(), mode) != 0) {
    return Error::from_errno(errno, "giving " + path.native() + " the owner of the key file");
  }
  return file.sync();
}

static Path pending_of(const Path& file) {
  return file.native() + ".new";
}

Result<KeyFileExchange> KeyFileExchange::start(const Path& file) {
  std::error_code error;
  auto path = std::filesystem::canonical(file, error);
  if (error) return Error::from_errno(error.value(), "the key file " + file.native());
  auto locked = TRY(lock(path));
  auto old = TRY(read_key_file(path));
  const auto like = TRY(status_of(locked));
  const auto pending = pending_of(path);
  const bool is_there = std::filesystem::exists(pending, error);
  if (error) return Error::from_errno(error.value(), pending.native());
  auto made = is_there ? read_key_file(pending) : KeyEncryptionKey::generate();
  auto key = TRY(std::move(made));
  // Owner and mode first of all: who may not give them learns it before anything has changed.
  TRY(write_key(pending, key, like, like.st_mode & 07777));
  return KeyFileExchange(std::move(path), std::move(locked), std::move(old), std::move(key));
}

Path KeyFileExchange::kept_file() const {
  return file_.native() + "." + old_.id();
}

Result<void> KeyFileExchange::finish() {
  const auto like = TRY(status_of(locked_));
  TRY(write_key(kept_file(), old_, like, 0600));
  if (::rename(pending_of(file_).c_str(), file_.c_str()) != 0) {
    return Error::from_errno(errno, "putting the new key into " + file_.native());
  }
  return sync_directory(file_.parent_path());
}

Result<KeyEncryptionKey> read_or_create_key_file(const Path& file) {
  std::error_code error;
  const bool is_there = std::filesystem::exists(file, error);
  if (error) return Error::from_errno(error.value(), "looking for " + file.native());
  if (is_there) return read_key_file(file);
  const auto key = TRY(KeyEncryptionKey::generate());
  auto created = create_key_file(file, key);
  // Of two at a time the first one's key counts.
  if (!created && created.error().kind() != ErrorKind::kConflict) return std::move(created).error();
  return read_key_file(file);
}

}  // namespace pitr
