#include "postgres/wal/changed_blocks.h"

#include <algorithm>

namespace pitr::wal {

ChangedBlocks::Relation& ChangedBlocks::relation(const RelationId& id) {
  auto& slot =
      lately_.slots[(id.number ^ id.database * 31) % std::tuple_size_v<decltype(lately_.slots)>];
  if (slot == nullptr || slot->first != id) slot = &*relations_.try_emplace(id).first;
  return slot->second;
}

void ChangedBlocks::mark(const RelationId& id, std::uint32_t block) {
  auto& changed = relation(id);
  if (block < changed.limit) changed.blocks.add(block);
}

void ChangedBlocks::mark(const RelationId& id, BlockRun run) {
  auto& changed = relation(id);
  if (run.first >= changed.limit) return;
  run.count = std::min(run.count, changed.limit - run.first);
  changed.blocks.add(run);
}

void ChangedBlocks::limit(const RelationId& id, std::uint32_t block) {
  auto& changed = relation(id);
  if (block >= changed.limit) return;
  changed.limit = block;
  changed.blocks.erase_from(block);
}

void ChangedBlocks::rewrite_database(std::uint32_t tablespace, std::uint32_t database) {
  databases_.emplace(tablespace, database);
}

void ChangedBlocks::distrust(Lsn at, std::string reason) {
  if (distrust_ && distrust_->first <= at) {
    distrust_->last = std::max(distrust_->last, at);
    return;
  }
  if (reason.size() > kMaxReasonBytes) reason.resize(kMaxReasonBytes);
  distrust_ = Distrust{at, distrust_ ? distrust_->last : at, std::move(reason)};
}

void ChangedBlocks::merge(const ChangedBlocks& other) {
  for (const auto& [id, from] : other.relations_) {
    auto& into = relation(id);
    into.blocks.merge(from.blocks);
    into.limit = std::min(into.limit, from.limit);
    if (into.limit != kNoLimit) into.blocks.erase_from(into.limit);
  }
  databases_.insert(other.databases_.begin(), other.databases_.end());
  if (other.distrust_) {
    distrust(other.distrust_->first, other.distrust_->reason);
    distrust_->last = std::max(distrust_->last, other.distrust_->last);
  }
}

ChangedBlocks::Wanted ChangedBlocks::wanted(const RelationId& id, std::uint32_t segment_number,
                                            std::uint32_t blocks_per_segment) const {
  if (is_rewritten(id)) return {.whole = true, .runs = {}};
  const auto found = relations_.find(id);
  if (found == relations_.end()) return {};
  const auto& changed = found->second;
  const std::uint64_t start = std::uint64_t{segment_number} * blocks_per_segment;
  const std::uint64_t end = start + blocks_per_segment;
  if (changed.limit != kNoLimit && changed.limit <= start) return {.whole = true, .runs = {}};

  Wanted wanted{.whole = false, .runs = changed.blocks.runs(start, end)};
  if (changed.limit < end && changed.limit != kNoLimit) {
    const BlockRun rest{changed.limit, static_cast<std::uint32_t>(end - changed.limit)};
    if (!wanted.runs.empty() && wanted.runs.back().first + wanted.runs.back().count == rest.first) {
      wanted.runs.back().count += rest.count;
    } else {
      wanted.runs.push_back(rest);
    }
  }
  for (auto& run : wanted.runs) run.first -= static_cast<std::uint32_t>(start);
  if (wanted.runs.size() == 1 && wanted.runs[0].count == blocks_per_segment) {
    return {.whole = true, .runs = {}};
  }
  return wanted;
}

bool ChangedBlocks::contains(const RelationId& id, std::uint32_t block) const {
  if (is_rewritten(id)) return true;
  const auto found = relations_.find(id);
  if (found == relations_.end()) return false;
  const auto& changed = found->second;
  return (changed.limit != kNoLimit && block >= changed.limit) || changed.blocks.contains(block);
}

std::vector<RelationId> ChangedBlocks::relations() const {
  std::vector<RelationId> ids;
  ids.reserve(relations_.size());
  for (const auto& [id, changed] : relations_) ids.push_back(id);
  std::ranges::sort(ids);
  return ids;
}

std::uint32_t ChangedBlocks::limit_of(const RelationId& id) const {
  const auto found = relations_.find(id);
  return found == relations_.end() ? kNoLimit : found->second.limit;
}

std::uint64_t ChangedBlocks::marked_blocks() const {
  std::uint64_t count = 0;
  for (const auto& [id, changed] : relations_) count += changed.blocks.count();
  return count;
}

}  // namespace pitr::wal
