#include "repository/backup/block_digests.h"

#include <algorithm>
#include <utility>

#include "repository/backup/digest_rows.h"
#include "repository/backup/table_reader.h"

namespace pitr {

struct BlockDigests::Tables {
  std::vector<OpenTable> layers;  // newest first
  BlockHasher hasher;
};

// One table, and the frame of it that was used last.
struct BlockDigests::Cursor {
  static constexpr std::uint32_t kNone = 0xFFFF'FFFF;
  std::uint32_t frame = kNone;
  std::vector<DigestRow> rows;
  Bytes plain;

  Result<void> load(const OpenTable& table, std::uint32_t number);
  // The frame whose rows may hold this block, which is the last one that starts at or before it.
  static std::uint32_t frame_of(const OpenTable& table, const std::string& path,
                                std::uint32_t block, std::uint32_t hint);
};

static bool starts_behind(const TableIndex::FirstKey& key, const std::string& path,
                          std::uint32_t block) {
  const int order = key.path.compare(path);
  return order != 0 ? order > 0 : key.first_block > block;
}

std::uint32_t BlockDigests::Cursor::frame_of(const OpenTable& table, const std::string& path,
                                             std::uint32_t block, std::uint32_t hint) {
  const auto& keys = table.index.frames;
  if (hint < keys.size() && !starts_behind(keys[hint], path, block) &&
      (hint + 1 == keys.size() || starts_behind(keys[hint + 1], path, block))) {
    return hint;
  }
  const auto behind = std::ranges::partition_point(
      keys, [&](const auto& key) { return !starts_behind(key, path, block); });
  // Where even the first one starts behind the block, a later block may still lie in it.
  return behind == keys.begin() ? 0 : static_cast<std::uint32_t>(behind - keys.begin() - 1);
}

Result<void> BlockDigests::Cursor::load(const OpenTable& table, std::uint32_t number) {
  if (frame == number) return {};
  frame = kNone;
  rows.clear();
  TRY(table.object->read_frame(number, plain));
  auto decoder = TRY(with_context(DigestRowDecoder::open(plain), table.key.text()));
  while (true) {
    const bool found = TRY(with_context(decoder.next(), table.key.text()));
    if (!found) break;
    rows.push_back(decoder.row());
  }
  frame = number;
  return {};
}

static Result<BlockHasher> hasher_of(const Repository& repository, std::uint32_t epoch,
                                     bool& comparable) {
  const auto& keyring = repository.keyring();
  const auto* key = epoch == 0 ? nullptr : keyring.find(epoch);
  comparable = (epoch == 0) == keyring.empty() && (epoch == 0 || key != nullptr);
  if (!comparable) key = keyring.newest();
  return BlockHasher::create(key, repository.id());
}

BlockDigests::BlockDigests(std::shared_ptr<const Tables> tables)
    : tables_(std::move(tables)), cursors_(tables_->layers.size()) {}
BlockDigests::BlockDigests(BlockDigests&&) noexcept = default;
BlockDigests& BlockDigests::operator=(BlockDigests&&) noexcept = default;
BlockDigests::~BlockDigests() = default;

Result<BlockDigests> BlockDigests::open(const IncarnationStore& store,
                                        const BackupManifest& manifest) {
  bool comparable = false;
  auto hasher = TRY(hasher_of(store.repository(), manifest.digest_epoch, comparable));
  auto tables = std::make_shared<Tables>(Tables{{}, hasher});
  if (comparable) {
    for (const auto& info : manifest.digest_tables) {
      auto table = TRY(open_table(store, ContainerKind::kDigestTable, info.id));
      tables->layers.push_back(std::move(table));
    }
  }
  return BlockDigests(std::move(tables));
}

BlockDigests BlockDigests::share() const {
  return BlockDigests(tables_);
}

bool BlockDigests::any() const {
  return !tables_->layers.empty();
}

const BlockHasher& BlockDigests::hasher() const {
  return tables_->hasher;
}

namespace {
// What layers say of some adjacent blocks. The newest one that says something counts, also where it
// says that there is nothing.
class Answer {
 public:
  Answer(std::uint32_t first_block, std::span<std::uint64_t> into)
      : first_(first_block), into_(into), settled_(into.size()), open_(into.size()) {
    std::ranges::fill(into_, BlockDigests::kUnknown);
  }
  bool complete() const { return open_ == 0; }
  std::uint64_t end() const { return first_ + into_.size(); }

  void take(const DigestRow& row) {
    const auto from = std::max<std::uint64_t>(row.first_block, first_);
    const auto to = std::min(row.end_block(), end());
    for (auto block = from; block < to; ++block) {
      const auto i = block - first_;
      if (settled_[i]) continue;
      settled_[i] = true;
      --open_;
      if (!is_tombstone(row)) into_[i] = row.digests[block - row.first_block];
    }
  }

 private:
  std::uint64_t first_;
  std::span<std::uint64_t> into_;
  std::vector<bool> settled_;
  std::uint64_t open_;
};
}  // namespace

Result<void> BlockDigests::find(const std::string& path, std::uint32_t first_block,
                                std::span<std::uint64_t> into) {
  Answer answer(first_block, into);
  for (std::size_t i = 0; i < cursors_.size() && !answer.complete(); ++i) {
    const auto& table = tables_->layers[i];
    auto& cursor = cursors_[i];
    const auto frames = static_cast<std::uint32_t>(table.index.frames.size());
    auto frame = Cursor::frame_of(table, path, first_block, cursor.frame);
    for (; frame < frames && !answer.complete(); ++frame) {
      const auto& key = table.index.frames[frame];
      if (key.path > path || (key.path == path && key.first_block >= answer.end())) break;
      TRY(cursor.load(table, frame));
      auto row = std::ranges::partition_point(cursor.rows, [&](const DigestRow& earlier) {
        const int order = earlier.path.compare(path);
        return order != 0 ? order < 0 : earlier.end_block() <= first_block;
      });
      for (; row != cursor.rows.end() && row->path == path && row->first_block < answer.end();
           ++row) {
        answer.take(*row);
      }
    }
  }
  return {};
}

struct FileDigests::Files {
  std::unique_ptr<FileTableReader> table;
};

FileDigests::FileDigests(std::unique_ptr<Files> files, BlockDigests blocks)
    : files_(std::move(files)), blocks_(std::move(blocks)) {}
FileDigests::FileDigests(FileDigests&&) noexcept = default;
FileDigests& FileDigests::operator=(FileDigests&&) noexcept = default;
FileDigests::~FileDigests() = default;

Result<FileDigests> FileDigests::open(const IncarnationStore& store,
                                      const BackupManifest& manifest) {
  auto table = TRY(FileTableReader::open(store, manifest.file_table));
  auto blocks = TRY(BlockDigests::open(store, manifest));
  return FileDigests(std::make_unique<Files>(Files{std::move(table)}), std::move(blocks));
}

Result<bool> FileDigests::next() {
  const bool found = TRY(files_->table->next());
  if (!found) return false;
  digests_.resize((file().size_bytes + kBlockSize - 1) / kBlockSize);
  TRY(blocks_.find(file().path, 0, digests_));
  return true;
}

const FileRow& FileDigests::file() const {
  return files_->table->row();
}

}  // namespace pitr
