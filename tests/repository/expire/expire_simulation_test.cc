#include "repository/expire/expire_simulation.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <iostream>

namespace pitr::test {
namespace {

TEST(ExpireSimulation, NothingThatIsNeededGoes) {
  const char* given = ::getenv("PITR_TEST_SEED");
  const auto first = given ? std::strtoull(given, nullptr, 10) : 1;
  ExpireSimulation::Counts all;
  for (auto seed = first; seed < first + 20 && !HasFailure(); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    ExpireSimulation simulation(seed);
    simulation.run(4000);
    if (HasFailure()) return;
    simulation.expect_clean_in_the_end();
    const auto& counts = simulation.counts();
    all.published += counts.published;
    all.refused += counts.refused;
    all.restored += counts.restored;
    all.expired += counts.expired;
    all.killed += counts.killed;
    all.deleted += counts.deleted;
  }
  std::cout << fmt::format(
      "published {}, refused {}, read by restores {}, expired {}, killed {}, "
      "deleted {}\n",
      all.published, all.refused, all.restored, all.expired, all.killed, all.deleted);
  // It tried what it is there for.
  EXPECT_GT(all.published, 100u);
  EXPECT_GT(all.refused, 10u);
  EXPECT_GT(all.restored, 100u);
  EXPECT_GT(all.expired, 100u);
  EXPECT_GT(all.killed, 10u);
  EXPECT_GT(all.deleted, 300u);
}

}  // namespace
}  // namespace pitr::test
