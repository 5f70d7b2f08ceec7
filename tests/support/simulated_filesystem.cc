#include "support/simulated_filesystem.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

namespace pitr {

static constexpr std::size_t kPageBytes = 4096;

struct SimulatedFileSystem::Node {
  bool is_directory = false;
  Timestamp modified = SystemClock().now();
  std::uint64_t writer_boot = SimulatedFileSystem::kNever;  // of the process that has it open

  Bytes bytes;
  Bytes durable_bytes;
  std::set<std::size_t> dirty_pages;
  bool size_is_dirty = false;

  std::map<std::string, NodePointer> entries;
  std::map<std::string, NodePointer> durable_entries;
  std::set<std::string> dirty_names;

  void link(const std::string& name, NodePointer node) {
    entries[name] = std::move(node);
    dirty_names.insert(name);
  }
  void unlink(const std::string& name) {
    entries.erase(name);
    dirty_names.insert(name);
  }

  void persist_size() { durable_bytes.resize(bytes.size()); }
  void persist_page(std::size_t page) {
    const std::size_t from = page * kPageBytes;
    const std::size_t to = std::min({from + kPageBytes, bytes.size(), durable_bytes.size()});
    if (from < to) std::copy_n(bytes.data() + from, to - from, durable_bytes.data() + from);
  }
  void persist_name(const std::string& name) {
    const auto found = entries.find(name);
    if (found == entries.end()) {
      durable_entries.erase(name);
    } else {
      durable_entries[name] = found->second;
    }
  }
  void persist() {
    if (size_is_dirty) persist_size();
    for (const std::size_t page : dirty_pages) persist_page(page);
    for (const auto& name : dirty_names) persist_name(name);
    forget_dirt();
  }
  void forget_dirt() {
    size_is_dirty = false;
    dirty_pages.clear();
    dirty_names.clear();
  }
};

class SimulatedFileSystem::SimulatedFile final : public WritableFile {
 public:
  SimulatedFile(SimulatedFileSystem& files, NodePointer node, std::string path)
      : files_(files), node_(std::move(node)), path_(std::move(path)), boot_(files.boot_) {
    node_->writer_boot = boot_;
  }
  ~SimulatedFile() override {
    const std::lock_guard lock(files_.mutex_);
    if (node_->writer_boot == boot_) node_->writer_boot = kNever;
  }

  Result<void> append(ByteView bytes) override {
    const std::lock_guard lock(files_.mutex_);
    TRY(check_boot());
    return files_.append(*node_, bytes, path_);
  }
  Result<void> sync() override {
    const std::lock_guard lock(files_.mutex_);
    TRY(check_boot());
    return files_.sync_step(path_, *node_);
  }
  Result<void> sync_data() override { return sync(); }
  void start_writeback(std::uint64_t, std::uint64_t) override {}
  Result<void> truncate(std::uint64_t size_bytes) override {
    const std::lock_guard lock(files_.mutex_);
    TRY(check_boot());
    return files_.step(path_, [&]() -> Result<void> {
      node_->bytes.resize(size_bytes);
      node_->size_is_dirty = true;
      return {};
    });
  }

 private:
  Result<void> check_boot() const {
    if (boot_ != files_.boot_) return files_.failed(EIO, path_);
    return {};
  }

  SimulatedFileSystem& files_;
  const NodePointer node_;
  const std::string path_;
  const std::uint64_t boot_;
};

class SimulatedFileSystem::SimulatedReader final : public ReadableFile {
 public:
  SimulatedReader(SimulatedFileSystem& files, NodePointer node)
      : files_(files), node_(std::move(node)), size_bytes_(node_->bytes.size()) {}

  std::uint64_t size() const override { return size_bytes_; }
  Result<std::size_t> read_at(MutableByteView into, std::uint64_t offset) const override {
    const std::lock_guard lock(files_.mutex_);
    const Bytes& bytes = node_->bytes;
    if (offset >= bytes.size()) return 0;
    const std::size_t size = std::min<std::size_t>(into.size(), bytes.size() - offset);
    std::copy_n(bytes.data() + offset, size, into.data());
    return size;
  }

 private:
  SimulatedFileSystem& files_;
  const NodePointer node_;
  const std::uint64_t size_bytes_;
};

SimulatedFileSystem::SimulatedFileSystem(std::uint64_t seed)
    : root_(std::make_shared<Node>()), random_(seed) {
  root_->is_directory = true;
}

SimulatedFileSystem::~SimulatedFileSystem() = default;

std::uint64_t SimulatedFileSystem::steps() const {
  const std::lock_guard lock(mutex_);
  return steps_;
}

void SimulatedFileSystem::stop_at_step(std::uint64_t steps_from_now) {
  const std::lock_guard lock(mutex_);
  stop_at_ = steps_from_now == kNever ? kNever : steps_ + steps_from_now;
}

void SimulatedFileSystem::fail_at_step(std::uint64_t steps_from_now) {
  const std::lock_guard lock(mutex_);
  fail_at_ = steps_from_now == kNever ? kNever : steps_ + steps_from_now;
}

bool SimulatedFileSystem::has_stopped() const {
  const std::lock_guard lock(mutex_);
  return has_stopped_;
}

void SimulatedFileSystem::restart_after_kill() {
  const std::lock_guard lock(mutex_);
  ++boot_;
  has_stopped_ = false;
  stop_at_ = fail_at_ = kNever;
}

void SimulatedFileSystem::restart_after_power_loss() {
  restart_after_kill();
  const std::lock_guard lock(mutex_);
  lose_power(*root_);
}

void SimulatedFileSystem::lose_power(Node& node) {
  if (node.size_is_dirty && coin()) node.persist_size();
  for (const std::size_t page : node.dirty_pages) {
    if (coin()) node.persist_page(page);
  }
  for (const auto& name : node.dirty_names) {
    if (coin()) node.persist_name(name);
  }
  node.forget_dirt();
  node.bytes = node.durable_bytes;
  node.entries = node.durable_entries;
  for (const auto& [name, child] : node.entries) lose_power(*child);
}

void SimulatedFileSystem::set_capacity(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  capacity_bytes_ = bytes;
}

void SimulatedFileSystem::set_read_only(bool read_only) {
  const std::lock_guard lock(mutex_);
  read_only_ = read_only;
}

bool SimulatedFileSystem::coin() {
  return (random_() & 1) == 1;
}

Error SimulatedFileSystem::failed(int error_number, const std::string& path) const {
  return Error::from_errno(error_number, "simulated file " + shown_path(path));
}

Result<void> SimulatedFileSystem::check_running(const std::string& path) const {
  if (has_stopped_) return failed(EIO, path);
  return {};
}

template <typename Body>
Result<void> SimulatedFileSystem::step(const std::string& path, Body&& body) {
  TRY(check_running(path));
  const std::uint64_t number = steps_++;
  if (number == stop_at_ || number == fail_at_) {
    is_in_flight_ = true;
    if (coin()) (void)body();
    is_in_flight_ = false;
    has_stopped_ = number == stop_at_;
    return failed(EIO, path);
  }
  if (read_only_) return failed(EROFS, path);
  return body();
}

Result<void> SimulatedFileSystem::sync_step(const std::string& path, Node& node) {
  TRY(check_running(path));
  const std::uint64_t number = steps_++;
  if (number == stop_at_) {
    has_stopped_ = true;  // power loss decides what of it happened
    return failed(EIO, path);
  }
  if (number == fail_at_) {
    node.forget_dirt();
    return failed(EIO, path);
  }
  node.persist();
  return {};
}

Result<SimulatedFileSystem::Place> SimulatedFileSystem::find(const std::string& path) const {
  TRY(check_running(path));
  Place place{.directory = nullptr, .name = {}, .node = root_};
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t slash = std::min(path.find('/', at), path.size());
    if (!place.node) return failed(ENOENT, path);
    if (!place.node->is_directory) return failed(ENOTDIR, path);
    place.directory = place.node;
    place.name = path.substr(at, slash - at);
    const auto found = place.directory->entries.find(place.name);
    place.node = found == place.directory->entries.end() ? nullptr : found->second;
    at = slash + 1;
  }
  return place;
}

Result<SimulatedFileSystem::NodePointer> SimulatedFileSystem::find_existing(
    const std::string& path) const {
  const auto place = TRY(find(path));
  if (!place.node) return failed(ENOENT, path);
  return place.node;
}

std::string SimulatedFileSystem::shown_path(const std::string& path) const {
  return "/simulated/" + path;
}

Result<std::unique_ptr<WritableFile>> SimulatedFileSystem::create_file(const std::string& path) {
  const std::lock_guard lock(mutex_);
  auto node = std::make_shared<Node>();
  auto created = step(path, [&]() -> Result<void> {
    const auto place = TRY(find(path));
    if (place.node) return failed(EEXIST, path);
    place.directory->link(place.name, node);
    return {};
  });
  TRY(std::move(created));
  return std::make_unique<SimulatedFile>(*this, std::move(node), path);
}

Result<std::unique_ptr<ReadableFile>> SimulatedFileSystem::open_file(const std::string& path) {
  const std::lock_guard lock(mutex_);
  auto node = TRY(find_existing(path));
  if (node->is_directory) return failed(ENOENT, path);
  return std::make_unique<SimulatedReader>(*this, std::move(node));
}

Result<FileStatus> SimulatedFileSystem::status(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto node = TRY(find_existing(path));
  return FileStatus{node->is_directory ? EntryKind::kDirectory : EntryKind::kFile,
                    node->bytes.size(), node->modified};
}

Result<bool> SimulatedFileSystem::is_being_written(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto node = TRY(find_existing(path));
  return node->writer_boot == boot_;
}

Result<void> SimulatedFileSystem::append(Node& node, ByteView bytes, const std::string& path) {
  return step(path, [&]() -> Result<void> {
    const std::uint64_t room = capacity_bytes_ - std::min(capacity_bytes_, used_bytes_);
    // A step that does not succeed is torn anywhere.
    std::size_t size = std::min<std::uint64_t>(bytes.size(), room);
    if (is_in_flight_) size = std::uniform_int_distribution<std::size_t>(0, size)(random_);
    for (std::size_t at = node.bytes.size(); at < node.bytes.size() + size; ++at) {
      node.dirty_pages.insert(at / kPageBytes);
      at |= kPageBytes - 1;  // on to the next page
    }
    node.bytes.insert(node.bytes.end(), bytes.begin(),
                      bytes.begin() + static_cast<std::ptrdiff_t>(size));
    node.size_is_dirty = true;
    used_bytes_ += size;
    if (size < bytes.size()) return failed(ENOSPC, path);
    return {};
  });
}

Result<void> SimulatedFileSystem::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  return step(to, [&] { return move(from, to, false); });
}

Result<void> SimulatedFileSystem::rename_if_absent(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  return step(to, [&] { return move(from, to, true); });
}

Result<void> SimulatedFileSystem::move(const std::string& from, const std::string& to,
                                       bool only_if_absent) {
  const std::size_t slash = to.rfind('/');
  if (slash != std::string::npos) TRY(find_existing(to.substr(0, slash)));
  const auto source = TRY(find(from));
  const auto target = TRY(find(to));
  if (!source.node) return failed(ENOENT, from);
  if (target.node && only_if_absent) return failed(EEXIST, to);
  if (target.node && target.node->is_directory) return failed(EISDIR, to);
  target.directory->link(target.name, source.node);
  source.directory->unlink(source.name);
  return {};
}

Result<void> SimulatedFileSystem::remove(const std::string& path, bool is_directory) {
  const std::lock_guard lock(mutex_);
  return step(path, [&]() -> Result<void> {
    const auto place = TRY(find(path));
    if (!place.node) return failed(ENOENT, path);
    if (place.node->is_directory != is_directory) {
      return failed(is_directory ? ENOTDIR : EISDIR, path);
    }
    if (!place.node->entries.empty()) return failed(ENOTEMPTY, path);
    place.directory->unlink(place.name);
    return {};
  });
}

Result<void> SimulatedFileSystem::make_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  return step(path, [&]() -> Result<void> {
    const auto place = TRY(find(path));
    if (place.node) return failed(EEXIST, path);
    auto node = std::make_shared<Node>();
    node->is_directory = true;
    place.directory->link(place.name, std::move(node));
    return {};
  });
}

Result<void> SimulatedFileSystem::sync_directory(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto node = TRY(find_existing(path));
  if (!node->is_directory) return failed(ENOTDIR, path);
  return sync_step(path, *node);
}

Result<void> SimulatedFileSystem::sync_file(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto node = TRY(find_existing(path));
  return sync_step(path, *node);
}

Result<void> SimulatedFileSystem::visit_entries(const std::string& path,
                                                const EntryVisitor& visit) {
  std::map<std::string, NodePointer> entries;
  {
    const std::lock_guard lock(mutex_);
    const auto node = TRY(find_existing(path));
    if (!node->is_directory) return failed(ENOTDIR, path);
    entries = node->entries;
  }
  for (const auto& [name, node] : entries) {
    if (!visit(name, node->is_directory ? EntryKind::kDirectory : EntryKind::kFile)) break;
  }
  return {};
}

Result<std::uint64_t> SimulatedFileSystem::free_bytes() {
  const std::lock_guard lock(mutex_);
  return capacity_bytes_ - std::min(capacity_bytes_, used_bytes_);
}

}  // namespace pitr
