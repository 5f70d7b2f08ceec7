#include "support/cluster_template.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <random>

#include "common/bytes.h"
#include "postgres/crc32c.h"
#include "support/subprocess.h"
#include "support/temporary_directory.h"

namespace pitr::test {
namespace {

constexpr std::size_t kWalHeaderSystemIdentifierOffset = 24;  // XLogLongPageHeaderData.xlp_sysid
constexpr std::size_t kLongestControlData = 512;              // PG_CONTROL_MAX_SAFE_SIZE

Result<Path> templates_directory() {
  if (const char* directory = std::getenv("PITR_TEST_TEMPLATES")) {
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error) return Error::from_errno(error.value(), std::string("creating ") + directory);
    return Path(directory);
  }
  static auto directory = TemporaryDirectory::create();
  if (!directory) return directory.error();
  return directory->path();
}

Result<void> run_initdb(const ServerBinaries& binaries, const InitdbOptions& options,
                        const Path& to) {
  std::vector<std::string> argv = {(binaries.directory / "initdb").string(),
                                   "--pgdata=" + to.string(),
                                   "--username=postgres",
                                   "--auth=trust",
                                   "--encoding=UTF8",
                                   "--no-locale",
                                   "--no-sync",
                                   fmt::format("--wal-segsize={}", options.wal_segment_size_mb)};
  if (options.data_checksums) {
    argv.push_back("--data-checksums");
  } else if (binaries.major >= 18) {  // the default there
    argv.push_back("--no-data-checksums");
  }
  TRY(run_successfully(argv));
  return {};
}

// The template for these options; made under a lock when it is not there yet.
Result<Path> find_or_make_template(const ServerBinaries& binaries, const InitdbOptions& options) {
  const Path directory = TRY(templates_directory());
  const Path result =
      directory / fmt::format("{}-{}MB-{}", binaries.major, options.wal_segment_size_mb,
                              options.data_checksums ? "checksums" : "plain");
  const Path unfinished = result.string() + ".tmp";
  File lock = TRY(File::open(result.string() + ".lock", O_RDWR | O_CREAT));
  if (flock(lock.fd(), LOCK_EX) != 0) return Error::from_errno(errno, "locking a template");
  std::error_code error;
  if (std::filesystem::exists(result, error)) return result;
  std::filesystem::remove_all(unfinished, error);
  TRY(run_initdb(binaries, options, unfinished));
  std::filesystem::rename(unfinished, result, error);
  if (error) return Error::from_errno(error.value(), "renaming " + unfinished.string());
  return result;
}

Result<void> set_in_control_file(const Path& path, std::uint64_t system_identifier) {
  Bytes bytes = TRY(read_file(path));
  if (bytes.size() < kLongestControlData) return Error::corrupt(path.string() + " is too short");
  // The CRC stands behind the data, at a place that differs between versions: it is where the CRC
  // of everything before it is.
  for (std::size_t at = sizeof system_identifier; at < kLongestControlData; at += 4) {
    if (load<std::uint32_t>(bytes.data() + at) != crc32c(ByteView(bytes).first(at))) continue;
    store(bytes.data(), system_identifier);
    store(bytes.data() + at, crc32c(ByteView(bytes).first(at)));
    File file = TRY(File::open(path, O_WRONLY));
    return file.write_at(bytes, 0);
  }
  return Error::corrupt("no valid CRC in " + path.string());
}

Result<void> set_in_wal(const Path& directory, std::uint64_t system_identifier) {
  std::uint8_t bytes[sizeof system_identifier];
  store(bytes, system_identifier);
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.path().filename().string().size() != 24) continue;
    File file = TRY(File::open(entry.path(), O_WRONLY));
    TRY(file.write_at(bytes, kWalHeaderSystemIdentifierOffset));
  }
  if (error) return Error::from_errno(error.value(), "reading " + directory.string());
  return {};
}

std::uint64_t random_system_identifier() {
  std::random_device random;
  // As large as a real one, which begins with the seconds since 1970.
  return (7ull << 60) | (std::uint64_t{random()} << 24) | (random() & 0xffffff);
}

}  // namespace

Result<void> make_data_directory(const ServerBinaries& binaries, const InitdbOptions& options,
                                 const Path& to) {
  const Path from = TRY(find_or_make_template(binaries, options));
  TRY(copy_tree(from, to));
  return set_system_identifier(to, random_system_identifier());
}

Result<void> set_system_identifier(const Path& data_directory, std::uint64_t system_identifier) {
  TRY(set_in_control_file(data_directory / "global" / "pg_control", system_identifier));
  return set_in_wal(data_directory / "pg_wal", system_identifier);
}

}  // namespace pitr::test
