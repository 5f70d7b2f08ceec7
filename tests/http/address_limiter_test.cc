#include "http/address_limiter.h"

namespace pitr::http {
namespace {

class AddressLimiterTest : public testing::Test {
 protected:
  // How many of 100 requests at once are allowed.
  int allowed(std::string_view address) {
    int count = 0;
    for (; count < 100 && limiter_.wait_for(address, now_) == Milliseconds(0); ++count) {
      limiter_.charge(address, now_);
    }
    return count;
  }
  SteadyTime now_{Seconds(1000)};
  AddressLimiter limiter_{2, 10, 100};
};

TEST_F(AddressLimiterTest, AllowsSomeAtOnceAndThenSoManyASecond) {
  EXPECT_EQ(allowed("192.0.2.1"), 10);
  EXPECT_EQ(limiter_.wait_for("192.0.2.1", now_), Milliseconds(500));
  now_ += Seconds(3);
  EXPECT_EQ(allowed("192.0.2.1"), 6);
  now_ += Seconds(3600);
  EXPECT_EQ(allowed("192.0.2.1"), 10);
}

TEST_F(AddressLimiterTest, AddressesDoNotTouchOneAnother) {
  EXPECT_EQ(allowed("192.0.2.1"), 10);
  EXPECT_EQ(allowed("192.0.2.2"), 10);
}

TEST_F(AddressLimiterTest, OneNetworkOfIpv6IsOneClient) {
  EXPECT_EQ(allowed("2001:db8::1"), 10);
  EXPECT_EQ(allowed("2001:db8::ffff:1"), 0);
  EXPECT_EQ(allowed("2001:db8:0:1::1"), 10);
}

TEST_F(AddressLimiterTest, KeepsNoMoreAddressesThanItMay) {
  EXPECT_EQ(allowed("192.0.2.1"), 10);
  for (int i = 0; i < 1000; ++i) {
    limiter_.charge("198.51.100." + std::to_string(i), now_);
    (void)limiter_.wait_for("192.0.2.1", now_);  // comes often, and so is kept
  }
  EXPECT_EQ(limiter_.addresses(), 100u);
  EXPECT_EQ(allowed("192.0.2.1"), 0);
}

TEST_F(AddressLimiterTest, AClockThatStandsStillGivesNothing) {
  EXPECT_EQ(allowed("192.0.2.1"), 10);
  now_ -= Seconds(100);
  EXPECT_EQ(allowed("192.0.2.1"), 0);
}

}  // namespace
}  // namespace pitr::http
