// Sorted rows in memory, encoded as in tables (some 20 bytes a row instead of some 120), and the
// merge of many such runs into one order. Not thread-safe.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "common/result.h"
#include "repository/backup/table_rows.h"

namespace pitr {

// One run: frames of rows, ascending throughout.
using EncodedRows = std::vector<Bytes>;

// Encodes rows that come in ascending order.
template <typename Encoder, typename Row>
class RowCollector {
 public:
  void add(const Row& row) {
    if (!encoder_.empty() && !encoder_.fits(row)) frames_.push_back(encoder_.take());
    encoder_.add(row);
  }
  bool empty() const { return frames_.empty() && encoder_.empty(); }
  EncodedRows take() {
    if (!encoder_.empty()) frames_.push_back(encoder_.take());
    return std::move(frames_);
  }

 private:
  Encoder encoder_;
  EncodedRows frames_;
};

inline std::uint64_t size_bytes(const EncodedRows& run) {
  std::uint64_t size = 0;
  for (const auto& frame : run) size += frame.size();
  return size;
}

// Sorts the rows and encodes them; the rows are gone afterwards. kInternal: a file or block was
// added twice.
template <typename Encoder, typename Row>
Result<EncodedRows> encode_rows(std::vector<Row>&& rows) {
  std::ranges::sort(rows, [](const Row& a, const Row& b) { return comes_before(a, b); });
  RowCollector<Encoder, Row> collector;
  const Row* previous = nullptr;
  for (const Row& row : rows) {
    if (previous != nullptr && !follows(row, *previous)) {
      return Error::internal(row.path + " or some block of it was added twice");
    }
    previous = &row;
    collector.add(row);
  }
  auto frames = collector.take();
  rows.clear();
  return frames;
}

// The rows of a run in order; the run must outlive it.
template <typename Decoder>
class RunCursor {
 public:
  explicit RunCursor(const EncodedRows& run) : run_(&run) {}

  // False at the end.
  Result<bool> next() {
    while (true) {
      if (decoder_) {
        const bool found = TRY(decoder_->next());
        if (found) return true;
      }
      if (frame_ == run_->size()) return false;
      decoder_ = TRY(Decoder::open((*run_)[frame_++]));
    }
  }
  const typename Decoder::Row& row() const { return decoder_->row(); }

 private:
  const EncodedRows* run_;
  std::size_t frame_ = 0;
  std::optional<Decoder> decoder_;
};

// All rows of several runs in one order; the runs must outlive it.
template <typename Decoder>
class RunMerge {
 public:
  static Result<RunMerge> open(const std::vector<EncodedRows>& runs) {
    RunMerge merge;
    for (const auto& run : runs) {
      merge.cursors_.emplace_back(run);
      const bool found = TRY(merge.cursors_.back().next());
      if (found) merge.heap_.push_back(merge.cursors_.size() - 1);
    }
    std::ranges::make_heap(merge.heap_, merge.later());
    return merge;
  }

  // False at the end.
  Result<bool> next() {
    if (started_ && !heap_.empty()) {
      std::ranges::pop_heap(heap_, later());
      const bool found = TRY(cursors_[heap_.back()].next());
      if (found) {
        std::ranges::push_heap(heap_, later());
      } else {
        heap_.pop_back();
      }
    }
    started_ = true;
    return !heap_.empty();
  }
  const typename Decoder::Row& row() const { return cursors_[heap_.front()].row(); }
  std::size_t run() const { return heap_.front(); }  // the row's

 private:
  auto later() const {
    return [this](std::size_t a, std::size_t b) {
      return comes_before(cursors_[b].row(), cursors_[a].row());
    };
  }
  std::vector<RunCursor<Decoder>> cursors_;
  std::vector<std::size_t> heap_;  // of cursors that have a row, the least row's in front
  bool started_ = false;
};

}  // namespace pitr
