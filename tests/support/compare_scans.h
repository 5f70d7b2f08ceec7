// Whether indexes, heap and visibility map of a table of RandomStatements (with columns id and
// filler, and an index on id) agree. Needs the extension pg_visibility.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "support/amcheck.h"
#include "support/must.h"
#include "support/test_cluster.h"

namespace pitr::test {

// By index, and by heap; and what the visibility map says, against what is visible.
inline void compare_scans(TestCluster& restored, const std::string& table) {
  const auto ask = [&](const std::string& on, const std::string& what) {
    std::string sql = "SET max_parallel_workers_per_gather = 0;";
    for (const auto* scan : {"seqscan", "indexscan", "indexonlyscan", "bitmapscan"}) {
      sql += fmt::format("SET enable_{} = {};", scan, on == scan ? "on" : "off");
    }
    return must(restored.sql_value(sql + fmt::format("SELECT {} FROM {}", what, table)));
  };
  const auto* ids = "count(id) || ' ' || coalesce(sum(id), 0)";
  EXPECT_EQ(ask("indexonlyscan", ids), ask("seqscan", ids)) << table;
  const auto* all = "count(*) || ' ' || coalesce(sum(hashtext(filler)), 0)";
  EXPECT_EQ(ask("indexscan", std::string(all) + " || ' ' || coalesce(max(id), 0)"),
            ask("seqscan", std::string(all) + " || ' ' || coalesce(max(id), 0)"))
      << table;
  EXPECT_EQ(
      must(restored.sql_value(fmt::format("SELECT (SELECT count(*) FROM pg_check_visible('{0}')) + "
                                          "(SELECT count(*) FROM pg_check_frozen('{0}'))",
                                          table))),
      "0")
      << table;
}

// All tables of RandomStatements, and the indexes of all databases.
inline void check_tables_and_indexes(TestCluster& restored) {
  for (const auto& row : must(restored.sql(
           "SELECT relname FROM pg_class WHERE relname ~ '^t[0-9]$' AND relpersistence = 'p'"))) {
    compare_scans(restored, row[0]);
  }
  for (const auto& row : must(restored.sql(
           "SELECT datname FROM pg_database WHERE datallowconn AND datname !~ 'template'"))) {
    check_with_amcheck(restored, row[0]);
  }
}

}  // namespace pitr::test
