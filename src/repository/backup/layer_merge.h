// Layers of rows laid over one another, newest on top: for each block of each path the newest layer
// that has it in a row counts. The same for block tables and for digest tables.
//
// A row has path, first_block and end_block(); for it there are is_tombstone(row),
// cut(row, from, to) and try_join(row, next). Memory: a row of each layer, and the rows of one
// path. One thread at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/result.h"

namespace pitr {

// Rows of one layer in ascending order, without overlaps.
template <typename Row>
class RowSource {
 public:
  virtual ~RowSource() = default;
  // False at the end.
  virtual Result<bool> next() = 0;
  virtual const Row& row() const = 0;
};

// The rows of one path in both layers where the newer one hides the older. Tombstones stay.
template <typename Row>
std::vector<Row> overlay_rows(std::span<const Row> newer, std::span<const Row> older) {
  std::vector<Row> result;
  result.reserve(newer.size() + older.size());
  std::size_t next_newer = 0;  // not in the result yet
  std::size_t hiding = 0;
  const auto add_newer = [&](std::uint64_t before) {
    while (next_newer < newer.size() && newer[next_newer].first_block < before) {
      result.push_back(newer[next_newer++]);
    }
  };
  for (const Row& row : older) {
    std::uint64_t from = row.first_block;
    const std::uint64_t end = row.end_block();
    // Older rows ascend, so what ends before this one begins hides none of the next ones either.
    while (hiding < newer.size() && newer[hiding].end_block() <= from) ++hiding;
    for (auto next = hiding; from < end; ++next) {
      const bool hidden = next < newer.size() && newer[next].first_block < end;
      const std::uint64_t visible_end = hidden ? newer[next].first_block : end;
      if (visible_end > from) {
        add_newer(from);
        result.push_back(cut(row, from, visible_end));
      }
      if (!hidden) break;
      from = newer[next].end_block();
    }
  }
  while (next_newer < newer.size()) result.push_back(newer[next_newer++]);
  return result;
}

// Puts rows that continue one another together.
template <typename Row>
void join_rows(std::vector<Row>& rows) {
  std::size_t last = 0;
  for (std::size_t i = 1; i < rows.size(); ++i) {
    if (try_join(rows[last], rows[i])) continue;
    if (++last != i) rows[last] = std::move(rows[i]);
  }
  if (!rows.empty()) rows.resize(last + 1);
}

template <typename Row>
class LayerMerge {
 public:
  // Newest first.
  static Result<LayerMerge> open(std::vector<std::unique_ptr<RowSource<Row>>> sources) {
    LayerMerge merge;
    for (auto& source : sources) {
      const bool has_row = TRY(source->next());
      if (has_row) merge.layers_.push_back(std::move(source));
    }
    return merge;
  }

  // The path of the first row that is left; null where none is.
  const std::string* next_path() const {
    const std::string* least = nullptr;
    for (const auto& layer : layers_) {
      const std::string& path = layer->row().path;
      if (least == nullptr || path < *least) least = &path;
    }
    return least;
  }

  // What is visible of a path, tombstones included. `path` must not be behind next_path().
  Result<std::vector<Row>> take(const std::string& path) {
    std::vector<Row> visible;
    std::vector<Row> rows;
    for (std::size_t i = 0; i < layers_.size();) {
      rows.clear();
      const bool ended = TRY(take_from(*layers_[i], path, rows));
      if (visible.empty()) {
        visible.swap(rows);
      } else if (!rows.empty()) {
        visible = overlay_rows<Row>(visible, rows);
      }
      if (ended) {
        layers_.erase(layers_.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        ++i;
      }
    }
    return visible;
  }

 private:
  // True where the layer has no more rows.
  static Result<bool> take_from(RowSource<Row>& layer, const std::string& path,
                                std::vector<Row>& rows) {
    while (layer.row().path == path) {
      rows.push_back(layer.row());
      const bool found = TRY(layer.next());
      if (!found) return true;
    }
    return false;
  }

  std::vector<std::unique_ptr<RowSource<Row>>> layers_;  // those with a row left
};

}  // namespace pitr
