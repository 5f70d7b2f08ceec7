#include "common/path.h"

#include <gtest/gtest.h>

namespace pitr {
namespace {

TEST(PathTest, ADirectoryIsInsideItselfAndWhatItsNameBeginsIsNot) {
  EXPECT_TRUE(is_inside("/data/base/1", "/data"));
  EXPECT_TRUE(is_inside("/data", "/data"));
  EXPECT_TRUE(is_inside("/data", "/data/"));
  EXPECT_TRUE(is_inside("/data", "/"));
  EXPECT_FALSE(is_inside("/data", "/data/base"));
  EXPECT_FALSE(is_inside("/database", "/data"));
}

}  // namespace
}  // namespace pitr
