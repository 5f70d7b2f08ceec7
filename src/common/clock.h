// Time: wall-clock timestamps in microseconds, and the Clock that everything takes instead of
// asking the system, so that tests can step it.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>

namespace pitr {

using Microseconds = std::chrono::microseconds;
using Milliseconds = std::chrono::milliseconds;
using Seconds = std::chrono::seconds;
using SteadyTime = std::chrono::steady_clock::time_point;

// Microseconds since 1970-01-01 UTC. PostgreSQL counts them from 2000-01-01 UTC
// (src/include/datatype/timestamp.h); the two conversions are here and nowhere else.
class Timestamp {
 public:
  constexpr Timestamp() = default;
  static constexpr Timestamp from_unix_us(std::int64_t value) { return Timestamp(value); }
  static constexpr Timestamp from_postgres_us(std::int64_t value) {
    return Timestamp(value + kPostgresEpochUs);
  }
  constexpr std::int64_t unix_us() const { return unix_us_; }
  constexpr std::int64_t postgres_us() const { return unix_us_ - kPostgresEpochUs; }

  friend constexpr auto operator<=>(Timestamp, Timestamp) = default;
  friend constexpr Timestamp operator+(Timestamp t, Microseconds d) {
    return Timestamp(t.unix_us_ + d.count());
  }
  friend constexpr Timestamp operator-(Timestamp t, Microseconds d) {
    return Timestamp(t.unix_us_ - d.count());
  }
  friend constexpr Microseconds operator-(Timestamp a, Timestamp b) {
    return Microseconds(a.unix_us_ - b.unix_us_);
  }

 private:
  static constexpr std::int64_t kPostgresEpochUs = 946'684'800'000'000;
  explicit constexpr Timestamp(std::int64_t value) : unix_us_(value) {}
  std::int64_t unix_us_ = 0;
};

// "2026-03-01 09:15:00.123456+00": always UTC, always with microseconds and offset.
std::string to_string(Timestamp timestamp);
// "20260301T091500Z": for object names.
std::string to_compact_string(Timestamp timestamp);

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Timestamp now() const = 0;
  virtual SteadyTime steady_now() const = 0;
};

class SystemClock final : public Clock {
 public:
  Timestamp now() const override;
  SteadyTime steady_now() const override { return std::chrono::steady_clock::now(); }
  // For defaults: it has no state.
  static const SystemClock& shared();
};

}  // namespace pitr
