// How WAL and directories name a relation. A value.
#pragma once

#include <compare>
#include <cstdint>

namespace pitr::wal {

// As WAL has it (RelFileNode, RelFileLocator), and the directory: base/<database>/<number>
// (tablespace 1663), global/<number> (tablespace 1664, database 0),
// pg_tblspc/<tablespace>/PG_.../<database>/<number>.
struct RelationId {
  std::uint32_t tablespace = 0;
  std::uint32_t database = 0;
  std::uint32_t number = 0;  // relfilenode
  friend auto operator<=>(const RelationId&, const RelationId&) = default;
};

}  // namespace pitr::wal
