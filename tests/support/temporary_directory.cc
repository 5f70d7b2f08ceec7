#include "support/temporary_directory.h"

#include <cstdio>
#include <cstdlib>
#include <thread>

#include "support/subprocess.h"

namespace pitr::test {

Result<TemporaryDirectory> TemporaryDirectory::create() {
  const char* parent = std::getenv("TMPDIR");
  return create_in(parent != nullptr && *parent != '\0' ? parent : "/tmp");
}

Result<TemporaryDirectory> TemporaryDirectory::create_in(const Path& parent) {
  std::string name = (parent / "pitr-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) return Error::from_errno(errno, "creating " + name);
  return TemporaryDirectory(name);
}

TemporaryDirectory& TemporaryDirectory::operator=(TemporaryDirectory&& other) noexcept {
  if (this != &other) {
    remove();
    path_ = std::exchange(other.path_, {});
  }
  return *this;
}

void TemporaryDirectory::remove() {
  if (path_.empty()) return;
  if (std::getenv("PITR_TEST_KEEP") != nullptr) {
    std::fprintf(stderr, "kept: %s\n", path_.c_str());
  } else {
    (void)remove_tree(path_);
  }
  path_.clear();
}

Result<void> remove_tree(const Path& path) {
  constexpr int kAttempts = 100;
  std::error_code failure;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::filesystem::remove_all(path, failure);
    if (!failure) return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return Error::from_errno(failure.value(), "removing " + path.string());
}

Result<void> copy_tree(const Path& from, const Path& to) {
  TRY(run_successfully({"cp", "-a", "--reflink=auto", "-T", from.string(), to.string()}));
  return {};
}

}  // namespace pitr::test
