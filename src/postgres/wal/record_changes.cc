#include "postgres/wal/record_changes.h"

#include <fmt/format.h>

namespace pitr::wal {
namespace {

constexpr std::uint8_t kKindMask = 0xF0;
// XLR_SPECIAL_REL_UPDATE: "this record changes relations in ways that its blocks don't tell".
constexpr std::uint8_t kSpecialUpdate = 0x01;

constexpr std::uint32_t kMainFork = 0;

// An SP-GiST index's first page also remembers pages with room, without WAL (spgutils.c,
// SpGistUpdateMetaPage). One that is older than its index does no harm; one that is newer may name
// blocks that an in-place restore has cut off, and inserts would fail on them.
constexpr std::uint32_t kSpgistMetapage = 0;

enum SmgrKind : std::uint8_t { kSmgrCreate = 0x10, kSmgrTruncate = 0x20 };
constexpr std::uint32_t kTruncateMain = 0x01;

Result<RelationId> read_relation(ByteReader& in) {
  RelationId id;
  id.tablespace = TRY(in.u32());
  id.database = TRY(in.u32());
  id.number = TRY(in.u32());
  return id;
}

Error not_understood(const Record& record) {
  return Error::invalid(
      fmt::format("the record at {} (resource manager {}, info {:02X}) is not "
                  "known to this version of pitr",
                  to_string(record.start), record.header.rmgr, record.header.info));
}

Result<void> add_smgr(const Record& record, ChangedBlocks& changed) {
  const auto data = TRY(main_data(record));
  ByteReader in(data);
  switch (record.header.info & kKindMask) {
    case kSmgrCreate: {
      const auto id = TRY(read_relation(in));
      const auto fork = TRY(in.u32());
      if (fork == kMainFork) changed.limit(id, 0);
      return {};
    }
    case kSmgrTruncate: {
      const auto blocks = TRY(in.u32());
      const auto id = TRY(read_relation(in));
      const auto forks = TRY(in.u32());
      if ((forks & kTruncateMain) != 0) changed.limit(id, blocks);
      return {};
    }
    default:
      return not_understood(record);
  }
}

enum class DatabaseChange { kCreate, kDrop, kUnknown };

// 15 put "create, every block logged" where "drop" had been.
DatabaseChange database_change(const Record& record) {
  const auto kind = record.header.info & kKindMask;
  if (kind == 0x00) return DatabaseChange::kCreate;
  if (kind == 0x10) return record.major >= 15 ? DatabaseChange::kCreate : DatabaseChange::kDrop;
  if (kind == 0x20 && record.major >= 15) return DatabaseChange::kDrop;
  return DatabaseChange::kUnknown;
}

Result<void> add_dbase(const Record& record, ChangedBlocks& changed) {
  const auto data = TRY(main_data(record));
  ByteReader in(data);
  const auto change = database_change(record);
  if (change == DatabaseChange::kUnknown) return not_understood(record);
  const auto database = TRY(in.u32());
  std::uint32_t tablespaces = 1;
  if (change == DatabaseChange::kDrop) tablespaces = TRY(in.u32());
  for (std::uint32_t i = 0; i < tablespaces; ++i) {
    const auto tablespace = TRY(in.u32());
    changed.rewrite_database(tablespace, database);
  }
  return {};
}

Result<void> add_xact(const Record& record, ChangedBlocks& changed) {
  const auto dropped = TRY(parse_dropped_relations(record));
  ByteReader in(dropped);
  while (!in.at_end()) {
    const auto id = TRY(read_relation(in));
    changed.limit(id, 0);
  }
  return {};
}

Result<void> check_parameters(const Record& record) {
  const auto parameters = TRY(parse_parameter_change(record));
  if (!parameters || parameters->wal_level != WalLevel::kMinimal) return {};
  return Error::invalid(
      fmt::format("wal_level was minimal from {} on, so that not every change is "
                  "in the WAL",
                  to_string(record.start)));
}

Result<void> add_all(const Record& record, ChangedBlocks& changed) {
  FragmentReader reader(record);
  while (reader.next()) {
    const auto& block = reader.block();
    if (block.fork != kMainFork) continue;
    changed.mark(block.relation, block.block);
    if (record.header.rmgr == kRmSpgist) changed.mark(block.relation, kSpgistMetapage);
  }
  TRY(reader.status());
  switch (record.header.rmgr) {
    case kRmXact:
      if (is_xact_end(record.header)) return add_xact(record, changed);
      break;
    case kRmSmgr:
      return add_smgr(record, changed);
    case kRmDbase:
      return add_dbase(record, changed);
    case kRmXlog:
      TRY(check_parameters(record));
      break;
    default:
      break;
  }
  if ((record.header.info & kSpecialUpdate) != 0) return not_understood(record);
  return {};
}

}  // namespace

void add_changes(const Record& record, ChangedBlocks& changed) {
  auto added = add_all(record, changed);
  if (!added) changed.distrust(record.start, added.error().message());
}

}  // namespace pitr::wal
