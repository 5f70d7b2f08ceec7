// How long work tells whoever watches it: what it does now, and how far it is. The command line
// draws it, the agent publishes it, tests record it. Implementations must be thread-safe and quick:
// workers call them once per file or chunk.
#pragma once

#include <cstdint>
#include <string_view>

namespace pitr {

class Observer {
 public:
  virtual ~Observer() = default;
  // A new phase, such as "copying files". total_bytes is 0 where it isn't known.
  virtual void phase(std::string_view name, std::uint64_t total_bytes) = 0;
  virtual void advance(std::uint64_t bytes) = 0;
  // Something the operator should read when the work is over.
  virtual void warn(std::string_view message) = 0;
};

class NullObserver final : public Observer {
 public:
  void phase(std::string_view, std::uint64_t) override {}
  void advance(std::uint64_t) override {}
  void warn(std::string_view) override {}
};

}  // namespace pitr
