// A random workload of everything that rewrites, drops, moves or reuses files: what backups that
// read only what changed are tested under. It works on tables t0 to t5, which make_tables() makes.
// Not thread-safe.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "support/test_cluster.h"

namespace pitr::test {

// Of an environment variable.
std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise);

// Statements, most of which work at any time. Those that don't (a table that isn't there) are part
// of the game.
class RandomStatements {
 public:
  RandomStatements(std::uint64_t seed, int major) : random_(seed), major_(major) {}

  // The tables, a sequence "numbers", and a tablespace in place where the server has such (15+; the
  // setting allow_in_place_tablespaces). Without one, statements that name it fail.
  static void make_tables(TestCluster& cluster);

  struct Statement {
    std::string sql;
    std::string database = "postgres";
  };
  Statement next();

 private:
  int number(int from, int to) { return std::uniform_int_distribution(from, to)(random_); }
  template <typename... Args>
  std::string one_of(Args... texts) {
    const std::vector<std::string> all = {texts...};
    return all[static_cast<std::size_t>(number(0, static_cast<int>(all.size()) - 1))];
  }
  std::string rows();
  std::string rewrite();
  std::string index();
  std::string undone();
  std::string object();
  Statement database();

  std::mt19937_64 random_;
  const int major_;
  int count_ = 0;
};

}  // namespace pitr::test
