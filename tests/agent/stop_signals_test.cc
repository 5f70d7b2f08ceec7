// Each in a process of its own: signals are the whole process's.
#include "programs/stop_signals.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>

namespace pitr {
namespace {

[[noreturn]] void hang() {
  while (true) ::pause();
}

TEST(StopSignalsDeathTest, ASignalIsAStopAndNotTheEnd) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto end_well = [] {
    const StopSignals signals;
    ::kill(::getpid(), SIGTERM);
    signals.wait();
    ::_exit(signals.token().stop_requested() ? 0 : 1);
  };
  EXPECT_EXIT(end_well(), testing::ExitedWithCode(0), "");
}

TEST(StopSignalsDeathTest, WhatDoesNotEndIsEndedByForce) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto never_end = [] {
    const StopSignals signals(Milliseconds(100));
    ::kill(::getpid(), SIGINT);
    hang();
  };
  EXPECT_EXIT(never_end(), testing::ExitedWithCode(8), "ended by force");
}

TEST(StopSignalsDeathTest, ASecondSignalEndsItAtOnce) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto be_told_twice = [] {
    const StopSignals signals(Seconds(3600));
    ::kill(::getpid(), SIGINT);
    signals.wait();
    ::kill(::getpid(), SIGINT);
    hang();
  };
  EXPECT_EXIT(be_told_twice(), testing::ExitedWithCode(8), "second signal");
}

TEST(StopSignalsDeathTest, GoesAtOnceWhenItIsNotNeededAnyMore) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto come_and_go = [] {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 50; ++i) const StopSignals signals;
    ::_exit(std::chrono::steady_clock::now() - begin < Seconds(5) ? 0 : 1);
  };
  EXPECT_EXIT(come_and_go(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace pitr
