#include "programs/terminal_progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

namespace pitr {

namespace {

constexpr auto kRedrawInterval = std::chrono::milliseconds(100);
constexpr int kBarWidth = 24;

double seconds_since(std::chrono::steady_clock::time_point start) {
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
  return std::max(passed.count(), 0.001);
}

}  // namespace

TerminalProgress::Style TerminalProgress::style_of(int fd) {
  return ::isatty(fd) == 1 ? Style::kBar : Style::kLines;
}

void TerminalProgress::phase(std::string_view name, std::uint64_t total_bytes) {
  std::lock_guard lock(mutex_);
  end_phase();
  phase_ = name;
  total_bytes_ = total_bytes;
  done_bytes_ = 0;
  shown_tenths_ = 0;
  started_ = std::chrono::steady_clock::now();
  drawn_ = {};
  if (style_ == Style::kBar) draw(false);
  if (style_ == Style::kLines) {
    const auto size = total_bytes_ > 0 ? fmt::format(" ({})", format_bytes(total_bytes_)) : "";
    fmt::print(out_, "{}{}\n", phase_, size);
    std::fflush(out_);
  }
}

void TerminalProgress::advance(std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  if (phase_.empty()) return;
  done_bytes_ += bytes;
  if (style_ == Style::kBar) {
    const auto now = std::chrono::steady_clock::now();
    if (now - drawn_ >= kRedrawInterval) draw(false);
  } else if (style_ == Style::kLines && total_bytes_ > 0) {
    const auto tenths = std::min<std::uint64_t>(done_bytes_ * 10 / total_bytes_, 10);
    if (tenths <= shown_tenths_) return;
    shown_tenths_ = tenths;
    fmt::print(out_, "{}: {}%, {}\n", phase_, tenths * 10, format_bytes(done_bytes_));
    std::fflush(out_);
  }
}

void TerminalProgress::warn(std::string_view message) {
  std::lock_guard lock(mutex_);
  warnings_.emplace_back(message);
  if (style_ == Style::kSilent) return;
  if (style_ == Style::kBar && !phase_.empty()) fmt::print(out_, "\r\033[K");
  fmt::print(out_, "warning: {}\n", message);
  if (style_ == Style::kBar && !phase_.empty()) draw(false);
  std::fflush(out_);
}

void TerminalProgress::finish() {
  std::lock_guard lock(mutex_);
  end_phase();
}

std::vector<std::string> TerminalProgress::warnings() const {
  std::lock_guard lock(mutex_);
  return warnings_;
}

// With mutex_ held.
void TerminalProgress::end_phase() {
  if (phase_.empty()) return;
  if (style_ == Style::kBar) {
    draw(true);
    fmt::print(out_, "\n");
    std::fflush(out_);
  }
  phase_.clear();
}

// With mutex_ held.
void TerminalProgress::draw(bool is_last) {
  drawn_ = std::chrono::steady_clock::now();
  const auto seconds = seconds_since(started_);
  const auto rate = static_cast<std::uint64_t>(static_cast<double>(done_bytes_) / seconds);
  fmt::print(out_, "\r\033[K{}", phase_);
  if (total_bytes_ > 0) {
    const auto share =
        std::min(1.0, static_cast<double>(done_bytes_) / static_cast<double>(total_bytes_));
    const int filled = static_cast<int>(share * kBarWidth);
    fmt::print(out_, " [{:=<{}}{: <{}}] {:3.0f}%", "", filled, "", kBarWidth - filled, share * 100);
  }
  if (done_bytes_ > 0) {
    fmt::print(out_, "  {}  {}/s", format_bytes(done_bytes_), format_bytes(rate));
    if (!is_last && total_bytes_ > done_bytes_ && rate > 0) {
      const auto left = (total_bytes_ - done_bytes_) / rate;
      fmt::print(out_, "  {}:{:02} left", left / 60, left % 60);
    }
  }
  if (is_last) fmt::print(out_, "  {:.1f} s", seconds);
  std::fflush(out_);
}

}  // namespace pitr
