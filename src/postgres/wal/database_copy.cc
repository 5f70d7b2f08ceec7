#include "postgres/wal/database_copy.h"

namespace pitr::wal {

static constexpr std::uint8_t kKindMask = 0xF0;
static constexpr std::uint8_t kCreateByCopy = 0x00;  // in all majors

static Result<RelationDirectory> read_directory(ByteReader& in) {
  RelationDirectory directory;
  directory.database = TRY(in.u32());
  directory.tablespace = TRY(in.u32());
  return directory;
}

Result<std::optional<DatabaseCopy>> parse_database_copy(const Record& record) {
  const auto& header = record.header;
  if (header.rmgr != kRmDbase || (header.info & kKindMask) != kCreateByCopy) {
    return std::optional<DatabaseCopy>();
  }
  const auto data = TRY(main_data(record));
  ByteReader in(data);
  DatabaseCopy copy;
  copy.start = record.start;
  copy.to = TRY(read_directory(in));
  copy.from = TRY(read_directory(in));
  return std::optional(copy);
}

}  // namespace pitr::wal
