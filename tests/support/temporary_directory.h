// A directory of a test's own, removed with everything in it when the object goes.
//
// Lies in $TMPDIR or /tmp and has a short name, so that Unix sockets fit in. With
// PITR_TEST_KEEP=1 in the environment it stays and its path is printed. Not thread-safe.
#pragma once

#include "common/file.h"

namespace pitr::test {

class TemporaryDirectory {
 public:
  static Result<TemporaryDirectory> create();
  // Below the given directory, which exists.
  static Result<TemporaryDirectory> create_in(const Path& parent);

  TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryDirectory& operator=(TemporaryDirectory&& other) noexcept;
  ~TemporaryDirectory() { remove(); }

  const Path& path() const { return path_; }
  Path operator/(const Path& name) const { return path_ / name; }

 private:
  explicit TemporaryDirectory(Path path) : path_(std::move(path)) {}
  void remove();
  Path path_;
};

// Removes a tree, also while the prefetcher of a restore into it is still removing its own part:
// std::filesystem::remove_all() gives up when a file goes before it gets there.
Result<void> remove_tree(const Path& path);
// Copies a tree with owners, times and links, sharing blocks where the file system can.
Result<void> copy_tree(const Path& from, const Path& to);

}  // namespace pitr::test
