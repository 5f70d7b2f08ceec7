#include "support/agent_kills.h"

namespace pitr::test {
namespace {

TEST(KillTest, NothingAcknowledgedIsLostInTwentyKills) {
  AgentKills().run(20);
}

}  // namespace
}  // namespace pitr::test
