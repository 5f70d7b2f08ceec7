// Writes a published backup's files into a directory, as plainly as can be: what base backup tests
// compare and start servers on. The real restore is tested by itself.
#pragma once

#include <fcntl.h>

#include <filesystem>

#include "repository/backup/backup_reader.h"
#include "support/must.h"

namespace pitr::test {

inline void write_pieces(const BackupContents& contents, const Path& directory) {
  Bytes bytes;
  must(for_each_piece(contents, [&](const PackPiece& piece) -> Result<void> {
    TRY(contents.read(piece, bytes));
    for (const auto& part : piece.placements) {
      const Path path = directory / contents.files()[part.file].path;
      auto file = must(File::open(path, O_WRONLY | O_CREAT));
      must(file.write_at(ByteView(bytes).subspan(part.piece_offset, part.size_bytes),
                         part.file_offset));
    }
    return {};
  }));
}

inline void unpack_backup(const IncarnationStore& store, const BackupManifest& manifest,
                          const Path& directory) {
  const auto contents = must(BackupContents::open(store, manifest));
  std::filesystem::create_directories(directory);
  std::filesystem::permissions(directory, std::filesystem::perms::owner_all);
  for (const auto& row : contents->files()) {
    const Path path = directory / row.path;
    if (row.type == FileType::kDirectory) {
      std::filesystem::create_directories(path);
    } else {
      std::filesystem::create_directories(path.parent_path());
      must(File::open(path, O_WRONLY | O_CREAT));
    }
  }
  write_pieces(*contents, directory);
  must(write_file_durably(directory / "backup_label", as_bytes(manifest.backup_label)));
  if (!manifest.tablespace_map.empty()) {
    must(write_file_durably(directory / "tablespace_map", as_bytes(manifest.tablespace_map)));
  }
}

}  // namespace pitr::test
