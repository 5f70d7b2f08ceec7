// Which blocks one WAL record changes: the blocks it names, and what records without any say about
// whole relations and databases (src/include/catalog/storage_xlog.h, access/xact.h and
// commands/dbcommands_xlog.h; PostgreSQL 13-18).
//
// A record that cannot be understood is never an error: it makes what was collected untrustworthy.
#pragma once

#include "postgres/wal/changed_blocks.h"
#include "postgres/wal/record.h"

namespace pitr::wal {

void add_changes(const Record& record, ChangedBlocks& changed);

}  // namespace pitr::wal
