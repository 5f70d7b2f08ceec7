// Databases that WAL copies file by file: CREATE DATABASE (always before PostgreSQL 15, and with
// STRATEGY file_copy since) and ALTER DATABASE SET TABLESPACE. The record names two directories and
// none of their content: whoever replays it removes the one and copies the other as he finds it
// (xl_dbase_create_rec, xl_dbase_create_file_copy_rec in commands/dbcommands_xlog.h, 13-18).
#pragma once

#include <optional>

#include "postgres/data_directory.h"
#include "postgres/wal/record.h"

namespace pitr::wal {

struct DatabaseCopy {
  Lsn start;  // of the record
  RelationDirectory from;
  RelationDirectory to;
};
// nullopt: the record is none.
Result<std::optional<DatabaseCopy>> parse_database_copy(const Record& record);

}  // namespace pitr::wal
