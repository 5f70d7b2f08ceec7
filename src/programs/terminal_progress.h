// Progress for people: a bar that redraws itself on a terminal, plain lines elsewhere (each phase,
// then every 10 %). Warnings are kept too, to be repeated at the end. Writes to standard error, so
// that standard output stays for results. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <vector>

#include "common/observer.h"
#include "common/readable.h"

namespace pitr {

class TerminalProgress final : public Observer {
 public:
  enum class Style { kBar, kLines, kSilent };
  // kBar on a terminal, else kLines.
  static Style style_of(int fd);

  explicit TerminalProgress(Style style, std::FILE* out = stderr) : style_(style), out_(out) {}
  ~TerminalProgress() override { finish(); }

  void phase(std::string_view name, std::uint64_t total_bytes) override;
  void advance(std::uint64_t bytes) override;
  void warn(std::string_view message) override;

  // Ends the phase: the bar's line stays as it is.
  void finish();
  std::vector<std::string> warnings() const;

 private:
  void draw(bool is_last);
  void end_phase();

  const Style style_;
  std::FILE* const out_;
  mutable std::mutex mutex_;
  std::string phase_;  // guarded, as all below
  std::uint64_t total_bytes_ = 0;
  std::uint64_t done_bytes_ = 0;
  std::chrono::steady_clock::time_point started_;
  std::chrono::steady_clock::time_point drawn_;
  std::uint64_t shown_tenths_ = 0;
  std::vector<std::string> warnings_;
};

}  // namespace pitr
