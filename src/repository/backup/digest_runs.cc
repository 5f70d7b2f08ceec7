#include "repository/backup/digest_runs.h"

#include <utility>

#include "repository/backup/table_writer.h"

namespace pitr {

static Result<TableInfo> write_run_table(const IncarnationStore& store,
                                         const std::vector<EncodedRows>& runs) {
  auto rows = TRY(RunMerge<DigestRowDecoder>::open(runs));
  const auto table = TRY(DigestTableWriter::create(store));
  while (true) {
    const bool found = TRY(rows.next());
    if (!found) break;
    TRY(table->add(rows.row()));
  }
  TRY(table->finish({}));
  return table->info();
}

Result<void> DigestRuns::add(EncodedRows run) {
  std::vector<EncodedRows> full;
  {
    const std::lock_guard lock(mutex_);
    bytes_ += size_bytes(run);
    taken_.runs.push_back(std::move(run));
    if (bytes_ < memory_bytes_) return {};
    bytes_ = 0;
    full = std::exchange(taken_.runs, {});
  }
  auto table = TRY(write_run_table(store_, full));
  const std::lock_guard lock(mutex_);
  taken_.tables.push_back(std::move(table));
  return {};
}

DigestRuns::Taken DigestRuns::take() {
  const std::lock_guard lock(mutex_);
  bytes_ = 0;
  return std::move(taken_);
}

}  // namespace pitr
