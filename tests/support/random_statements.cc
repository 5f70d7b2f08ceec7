#include "support/random_statements.h"

#include <fmt/format.h>

#include <cstdlib>

#include "support/must.h"

namespace pitr::test {

std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

void RandomStatements::make_tables(TestCluster& cluster) {
  must(cluster.sql("CREATE SEQUENCE numbers"));
  if (cluster.major() >= 15) must(cluster.sql("CREATE TABLESPACE space LOCATION ''"));
  for (int i = 0; i < 6; ++i) {
    must(cluster.sql(
        fmt::format("CREATE TABLE t{0}(id bigint PRIMARY KEY, n int, filler text, place point);"
                    "INSERT INTO t{0} SELECT i, i % 100, repeat(md5(i::text), 4), point(i, i) "
                    "FROM generate_series(1, 6000) i",
                    i)));
  }
}

RandomStatements::Statement RandomStatements::next() {
  ++count_;
  switch (number(0, 9)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return {rows()};
    case 4:
      return {rewrite()};
    case 5:
      return {index()};
    case 6:
      return {undone()};
    case 7:
      return {object()};
    case 8:
      return database();
    default:
      return {one_of("CHECKPOINT", "SELECT pg_switch_wal()", "SELECT sum(hashtext(filler)) FROM t0",
                     "SELECT count(n) FROM t1 WHERE n > 5", "VACUUM", "VACUUM (FREEZE) t0",
                     "ANALYZE", "SELECT nextval('numbers') FROM generate_series(1, 50)")};
  }
}

std::string RandomStatements::rows() {
  const auto t = fmt::format("t{}", number(0, 5));
  const int from = number(1, 9000);
  switch (number(0, 6)) {
    case 0:
      return fmt::format(
          "INSERT INTO {} (id, n, filler, place) SELECT i, i % 100, repeat(md5(i::text), {}), "
          "point(i, -i) FROM generate_series({}, {}) i ON CONFLICT DO NOTHING",
          t, number(1, 8), from, from + number(1, 1500));
    case 1:
      return fmt::format("UPDATE {} SET n = n + 1 WHERE id % {} = {}", t, number(20, 300),
                         number(0, 19));
    case 2:
      return fmt::format("UPDATE {} SET filler = repeat('{}', {}) WHERE id BETWEEN {} AND {}", t,
                         number(0, 9), number(1, 3000), from, from + number(1, 200));
    case 3:
      return fmt::format("DELETE FROM {} WHERE id BETWEEN {} AND {}", t, from,
                         from + number(1, 900));
    case 4:
      return fmt::format("COPY {} (id, n) FROM PROGRAM 'seq -f \"%.0f\t1\" {} {}'", t,
                         100'000 * count_, 100'000 * count_ + number(10, 800));
    case 5:
      return fmt::format("SELECT * FROM {} WHERE id < 100 FOR UPDATE", t);
    default:
      return fmt::format("DELETE FROM {} WHERE id > {}; VACUUM {}", t, from, t);
  }
}

std::string RandomStatements::rewrite() {
  const auto t = fmt::format("t{}", number(0, 5));
  return fmt::format(
      fmt::runtime(one_of("TRUNCATE {0}", "VACUUM FULL {0}", "CLUSTER {0} USING {0}_pkey",
                          "ALTER TABLE {0} SET UNLOGGED", "ALTER TABLE {0} SET LOGGED",
                          "ALTER TABLE {0} SET TABLESPACE space",
                          "ALTER TABLE {0} SET TABLESPACE pg_default",
                          "ALTER TABLE {0} ADD COLUMN c{1} double precision DEFAULT random()",
                          "ALTER TABLE {0} ALTER n TYPE bigint",
                          "ALTER TABLE {0} ALTER n TYPE int USING n::int", "REINDEX TABLE {0}")),
      t, count_);
}

std::string RandomStatements::index() {
  const auto t = fmt::format("t{}", number(0, 5));
  return fmt::format(
      fmt::runtime(one_of("CREATE INDEX {0}_hash ON {0} USING hash (n)",
                          "CREATE INDEX {0}_gin ON {0} USING gin (to_tsvector('simple', filler))",
                          "CREATE INDEX {0}_gist ON {0} USING gist (place)",
                          "CREATE INDEX {0}_spgist ON {0} USING spgist (place)",
                          "CREATE INDEX {0}_brin ON {0} USING brin (id)",
                          "CREATE INDEX {0}_n ON {0} (n) INCLUDE (id)", "DROP INDEX {0}_hash",
                          "DROP INDEX {0}_gin", "DROP INDEX {0}_gist", "DROP INDEX {0}_spgist",
                          "DROP INDEX {0}_brin", "DROP INDEX {0}_n", "REINDEX TABLE {0}")),
      t);
}

std::string RandomStatements::undone() {
  const auto t = fmt::format("t{}", number(0, 5));
  switch (number(0, 4)) {
    case 0:
      return fmt::format(
          "BEGIN; TRUNCATE {0}; INSERT INTO {0} (id) SELECT generate_series(1, 500); ROLLBACK", t);
    case 1:
      return fmt::format(
          "BEGIN; CREATE TABLE undone AS SELECT * FROM {}; CREATE INDEX ON undone (id); ROLLBACK",
          t);
    case 2:
      return fmt::format("BEGIN; UPDATE {} SET n = -1 WHERE id % 30 = 0; ROLLBACK", t);
    case 3:
      return fmt::format(
          "BEGIN; INSERT INTO {0} (id, n) VALUES ({1}, 1); CREATE TABLE p{1}(i int); "
          "PREPARE TRANSACTION 'p{1}'",
          t, 1'000'000 + count_);
    default:
      return one_of(
          "SELECT format('COMMIT PREPARED %L', gid) FROM pg_prepared_xacts LIMIT 1 \\gexec",
          "SELECT format('ROLLBACK PREPARED %L', gid) FROM pg_prepared_xacts LIMIT 1 \\gexec");
  }
}

std::string RandomStatements::object() {
  const auto name = fmt::format("o{}", number(0, 4));
  switch (number(0, 4)) {
    case 0:
      return fmt::format(
          "CREATE TABLE {} AS SELECT i, repeat('x', 200) FROM generate_series(1, "
          "{}) i",
          name, number(10, 3000));
    case 1:
      return fmt::format("DROP TABLE {}", name);
    case 2:
      return fmt::format("CREATE SEQUENCE s{0}; SELECT nextval('s{0}')", count_);
    case 3:
      return "SELECT setval('numbers', 1000 + nextval('numbers'))";
    default:
      return fmt::format("CREATE MATERIALIZED VIEW m{} AS SELECT id, n FROM t0", count_);
  }
}

RandomStatements::Statement RandomStatements::database() {
  const auto name = fmt::format("d{}", number(0, 1));
  switch (number(0, 4)) {
    case 0:
      return {fmt::format("CREATE DATABASE {} TEMPLATE template0{}", name,
                          major_ < 15 ? "" : " STRATEGY " + one_of("wal_log", "file_copy"))};
    case 1:
      return {fmt::format("DROP DATABASE {}", name)};
    case 2:
      return {
          fmt::format("ALTER DATABASE {} SET TABLESPACE {}", name, one_of("space", "pg_default"))};
    case 3:
      return {
          "CREATE TABLE IF NOT EXISTS inside(i int PRIMARY KEY); INSERT INTO inside SELECT "
          "generate_series(1, 2000) ON CONFLICT DO NOTHING",
          name};
    default:
      return {"DELETE FROM inside WHERE i % 7 = 0; VACUUM inside", name};
  }
}

}  // namespace pitr::test
