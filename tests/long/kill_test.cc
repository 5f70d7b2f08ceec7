#include "support/agent_kills.h"

namespace pitr::test {
namespace {

TEST(KillTest, NothingAcknowledgedIsLostInTwoHundredKills) {
  AgentKills().run(200);
}

}  // namespace
}  // namespace pitr::test
