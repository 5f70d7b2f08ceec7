// Where the server of a major version and Debian's client programs are.
#pragma once

#include <optional>
#include <string>

#include "common/file.h"
#include "common/result.h"

namespace pitr::test {

struct ServerBinaries {
  Path directory;  // has initdb and postgres
  int major = 0;

  // PITR_PG_BIN, else Debian's package, else the checkout's .servers/. The major is the one asked
  // for, else PITR_TEST_MAJOR, else 15. PITR_PG_BIN must fit an asked-for major.
  static Result<ServerBinaries> find(std::optional<int> major = {});
  // Debian's client programs (psql, pgbench, pg_amcheck, ...) serve all majors.
  static Path client(const std::string& name);
};

}  // namespace pitr::test
