#include "storage/storage.h"

namespace pitr {
namespace {

TEST(ObjectKeyTest, RefusesWhatNoBackendCouldHold) {
  using namespace std::string_literals;
  const std::string longest_part(255, 'x');
  const std::string one_too_long(256, 'x');
  std::vector<std::string> names = {"",       "/",    "/a",  "a/",    "a//b", ".",   "..",  "ä",
                                    "a/../b", "a/.b", "a b", "a\0b"s, "a\n",  "a+b", "a\\b"};
  names.push_back(one_too_long);
  names.push_back(longest_part + "/" + longest_part + "/z");
  for (const auto& bad : names) {
    EXPECT_EQ(ObjectKey::parse(bad).error().kind(), ErrorKind::kInvalid) << bad;
  }
  EXPECT_TRUE(ObjectKey::parse(longest_part + "/" + longest_part));
}

}  // namespace
}  // namespace pitr
