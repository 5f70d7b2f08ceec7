#include "repository/backup/incremental_fixture.h"

#include <algorithm>

namespace pitr::backup_test {

const std::set<std::uint32_t>& ChangingFiles::changed(const std::string& path) const {
  static const std::set<std::uint32_t> kNone;
  const auto found = changed_.find(path);
  return found == changed_.end() ? kNone : found->second;
}

void ChangingFiles::forget_changes() {
  changed_.clear();
  recreated_.clear();
}

void ChangingFiles::mark(const std::string& path, std::size_t from_bytes, std::size_t to_bytes) {
  for (auto block = from_bytes / kBlockSize; block * kBlockSize < to_bytes; ++block) {
    changed_[path].insert(static_cast<std::uint32_t>(block));
  }
}

void ChangingFiles::create(const std::string& path, std::size_t size_bytes) {
  contents_[path] = random_content(random_, size_bytes);
  recreated_.insert(path);
  changed_.erase(path);
  mark(path, 0, size_bytes);
}

void ChangingFiles::write_block(const std::string& path, std::uint32_t block) {
  auto& content = contents_.at(path);
  const auto start = std::size_t{block} * kBlockSize;
  if (start >= content.size()) return;
  const auto bytes =
      random_content(random_, std::min<std::size_t>(kBlockSize, content.size() - start));
  std::ranges::copy(bytes, content.begin() + static_cast<std::ptrdiff_t>(start));
  changed_[path].insert(block);
}

void ChangingFiles::resize(const std::string& path, std::size_t size_bytes) {
  auto& content = contents_.at(path);
  const auto old_size = content.size();
  const auto more = random_content(random_, size_bytes > old_size ? size_bytes - old_size : 0);
  content.resize(std::min(old_size, size_bytes));
  content.insert(content.end(), more.begin(), more.end());
  // The block in which the end lay, or lies now, is another one than before.
  const auto from = std::min(old_size, size_bytes) / kBlockSize * kBlockSize;
  std::erase_if(changed_[path], [&](auto block) { return block * kBlockSize >= size_bytes; });
  mark(path, from, size_bytes);
}

void ChangingFiles::remove(const std::string& path) {
  contents_.erase(path);
  changed_.erase(path);
  recreated_.erase(path);
}

std::string ChangingFiles::random_path() {
  auto file = contents_.begin();
  std::advance(file, random_() % contents_.size());
  return file->first;
}

void ChangingFiles::change_something() {
  const auto random_size = [&] {
    // Often at, or next to, the end of a block.
    const auto size = random_() % (40 * kBlockSize);
    return random_() % 3 == 0 ? size : size / kBlockSize * kBlockSize + random_() % 3;
  };
  const auto what = contents_.empty() ? 0 : random_() % 20;
  if (what == 0)
    return create(fmt::format("base/{}/{}", random_() % 3, random_() % 30), random_size());
  const auto path = random_path();
  if (what == 1) return remove(path);
  if (what == 2) return create(path, random_size());
  if (what == 3) return resize(path, 0);
  if (what < 7) return resize(path, random_size());
  for (auto blocks = random_() % 6; blocks > 0; --blocks) {
    write_block(path, static_cast<std::uint32_t>(random_() % 40));
  }
}

namespace {

ByteView block_run(const Bytes& content, std::uint32_t first, std::uint32_t count) {
  const auto from = std::min<std::size_t>(std::size_t{first} * kBlockSize, content.size());
  const auto to = std::min<std::size_t>(from + std::size_t{count} * kBlockSize, content.size());
  return ByteView(content).subspan(from, to - from);
}

void store_blocks(PackWriter& packs, const std::string& path, const Bytes& content,
                  const std::set<std::uint32_t>& blocks) {
  for (auto block = blocks.begin(); block != blocks.end();) {
    const auto first = *block;
    std::uint32_t count = 0;
    while (block != blocks.end() && *block == first + count) {
      ++block;
      ++count;
    }
    must(packs.add(path, first, block_run(content, first, count)));
  }
}

}  // namespace

BackupManifest make_incremental(const IncarnationStore& store, const ChangingFiles& files,
                                const IncrementalRun& run) {
  const auto id = BackupId::make(Timestamp::from_unix_us(1'772'356'500'000'000), run.number);
  BackupIntent intent{id, "db1", Timestamp(), Lsn(0x2000028), std::nullopt};
  std::map<std::string, std::set<std::uint32_t>> left;
  std::optional<ParentBackup> parent;
  if (run.parent) {
    intent.parent = run.parent->id;
    parent = ParentBackup{*run.parent, run.leave_packs};
    must(blocks_in_packs(
        store, *run.parent, run.leave_packs,
        [&](const std::string& path, std::uint32_t first, std::uint32_t count) -> Result<void> {
          for (auto i = 0u; i < count; ++i) left[path].insert(first + i);
          return {};
        }));
  }
  const auto writer = must(BackupWriter::start(store, intent, run.options, std::move(parent)));
  std::vector<std::unique_ptr<PackWriter>> workers;
  while (workers.size() < run.workers) workers.push_back(must(writer->new_pack_writer()));
  std::size_t next = 0;
  for (const auto& [path, content] : files.contents()) {
    auto& packs = *workers[next++ % workers.size()];
    const bool whole = run.read_by == ReadBy::kWhole || files.was_recreated(path) ||
                       (!run.parent && run.read_by == ReadBy::kFacts);
    if (run.read_by == ReadBy::kDigests) {
      // In two parts, as readers do.
      const auto half = static_cast<std::uint32_t>(content.size() / kBlockSize / 2);
      must(packs.add_if_changed(path, 0, block_run(content, 0, half)));
      must(packs.add_if_changed(path, half, block_run(content, half, 1'000'000)));
    } else if (whole) {
      must(packs.add(path, 0, content));
    } else {
      auto blocks = files.changed(path);
      for (const auto block : left[path]) {
        if (std::size_t{block} * kBlockSize < content.size()) blocks.insert(block);
      }
      store_blocks(packs, path, content, blocks);
    }
    const bool inherits = run.parent && (run.read_by == ReadBy::kDigests || !whole);
    writer->add_file(file_row(path, content.size()), inherits ? Keep::kRest : Keep::kNothing);
  }
  for (const auto& worker : workers) must(worker->finish());
  auto manifest = must(writer->store_manifest(manifest_of(store, id)));
  must(writer->publish(manifest));
  return must(BackupCatalog(store).manifest(id));
}

std::uint64_t bytes_read_by_restore(const IncarnationStore& store, const BackupManifest& manifest) {
  const auto contents = must(BackupContents::open(store, manifest));
  std::uint64_t read = 0;
  Bytes buffer;
  must(for_each_piece(*contents, [&](const PackPiece& piece) -> Result<void> {
    TRY(contents->read(piece, buffer));
    read += buffer.size();
    return {};
  }));
  return read;
}

void remove_unreferenced(const IncarnationStore& store,
                         const std::vector<const BackupManifest*>& kept) {
  std::set<std::string> needed;
  for (const auto* manifest : kept) {
    needed.insert(store.names().table(manifest->file_table).text());
    for (const auto& table : manifest->block_tables) {
      needed.insert(store.names().table(table.id).text());
    }
    for (const auto& table : manifest->digest_tables) {
      needed.insert(store.names().table(table.id).text());
    }
    for (const auto& pack : manifest->packs) needed.insert(pack.key.text());
  }
  const auto prefix = store.names().prefix();
  for (const auto* folder : {"pack/", "table/"}) {
    for (const auto& object : must(list_all(store.storage(), prefix + folder))) {
      if (!needed.contains(object.key.text())) must(store.storage().remove(object.key));
    }
  }
}

std::string first_difference(const FileContents& a, const FileContents& b) {
  for (const auto& [path, content] : a) {
    const auto other = b.find(path);
    if (other == b.end()) return path + " is missing";
    if (content.size() != other->second.size()) {
      return fmt::format("{}: {} bytes, not {}", path, other->second.size(), content.size());
    }
    for (std::size_t i = 0; i < content.size(); ++i) {
      if (content[i] != other->second[i]) {
        return fmt::format("{}: block {} differs", path, i / kBlockSize);
      }
    }
  }
  for (const auto& [path, content] : b) {
    if (!a.contains(path)) return path + " is too much";
  }
  return "";
}

}  // namespace pitr::backup_test
