// What a server's databases hold, for comparing restored servers with each other. Works with every
// major, where pg_dump refuses servers that are newer than it.
#pragma once

#include <fmt/format.h>

#include <string>

#include "support/must.h"
#include "support/test_cluster.h"

namespace pitr::test {

// Everything that queries see, as text.
inline std::string state_of(TestCluster& cluster) {
  std::string state;
  for (const auto& database :
       must(cluster.sql("SELECT datname, dattablespace FROM pg_database ORDER BY 1"))) {
    state += fmt::format("database {} in {}\n", database[0], database[1]);
    if (database[0] == "template0") continue;
    const auto relations = must(cluster.sql(
        "SELECT relname, relkind, relpersistence, reltablespace, relnatts, "
        "relnamespace::regnamespace"
        " FROM pg_class WHERE relnamespace::regnamespace::text IN ('public', 'pg_catalog') AND "
        "relkind IN ('r', 'm', 'i', 'S') AND relname <> 'pg_statistic' ORDER BY 1, 2",
        database[0]));
    for (const auto& relation : relations) {
      state += fmt::format("{} {} {} {} {}", relation[0], relation[1], relation[2], relation[3],
                           relation[4]);
      if (relation[1] == "r" || relation[1] == "m") {
        state += " " + must(cluster.sql_value(
                           fmt::format("SELECT count(*) || ' ' || coalesce(sum(hashtext(t::text)), "
                                       "0) FROM {}.\"{}\" t",
                                       relation[5], relation[0]),
                           database[0]));
      }
      state += "\n";
    }
  }
  for (const auto& row : must(cluster.sql("SELECT gid FROM pg_prepared_xacts ORDER BY 1"))) {
    state += fmt::format("prepared {}\n", row[0]);
  }
  return state;
}

}  // namespace pitr::test
