// The decision as a table: what is known, and what follows.
#include "basebackup/backup_choice.h"

#include <fmt/format.h>

#include <algorithm>

#include "support/must.h"

namespace pitr {
namespace {

using test::must;
using testing::HasSubstr;

const IncarnationId kCluster{"main", 7, 15};

BackupId id_of(int number) {
  return must(BackupId::parse(fmt::format("20260301T0{}0000Z-0000000000000000", number)));
}

// Backup `number` runs from LSN number * 0x100 to number * 0x100 + 0x80 of timeline 1.
ParentCandidate backup(int number) {
  ParentCandidate candidate{BackupManifest(id_of(number)), true};
  auto& m = candidate.manifest;
  m.incarnation = kCluster;
  m.timeline = TimelineId(1);
  m.start_lsn = Lsn(static_cast<std::uint64_t>(number) * 0x100);
  m.stop_lsn = Lsn(static_cast<std::uint64_t>(number) * 0x100 + 0x80);
  m.data_checksum_version = 1;
  return candidate;
}
template <typename Change>
ParentCandidate backup(int number, Change&& change) {
  auto candidate = backup(number);
  change(candidate);
  return candidate;
}

ClusterNow cluster() {
  ClusterNow now;
  now.incarnation = kCluster;
  now.start_lsn = Lsn(0x1000);
  now.data_checksum_version = 1;
  return now;
}
template <typename Change>
ClusterNow cluster(Change&& change) {
  auto now = cluster();
  change(now);
  return now;
}
// Timeline 2, which left timeline 1 there.
ClusterNow branched_at(const char* lsn) {
  return cluster([&](ClusterNow& now) {
    now.history = must(TimelineHistory::parse(TimelineId(2), fmt::format("1\t{}\tno\n", lsn)));
  });
}

struct Row {
  const char* name;
  std::vector<ParentCandidate> candidates;  // newest first
  ClusterNow now;
  ReadRequest request = ReadRequest::kAuto;
  std::string uncovered;  // what the facts answer
  BackupReading reading;
  std::optional<int> parent;
  std::optional<int> promised;
  const char* reason;  // a part of it
};

using enum BackupReading;

Row by_wal(const char* name, std::vector<ParentCandidate> candidates, ClusterNow now, int parent) {
  return {name,   std::move(candidates), std::move(now), {}, "", kChangedBlocks, parent,
          parent, "since backup"};
}
Row compared(const char* name, std::vector<ParentCandidate> candidates, ClusterNow now, int parent,
             const char* reason) {
  return {name, std::move(candidates), std::move(now), {}, "", kCompared, parent, {}, reason};
}
Row all(const char* name, std::vector<ParentCandidate> candidates, ReadRequest request,
        const char* reason) {
  return {name, std::move(candidates), cluster(), request, "", kEverything, {}, {}, reason};
}

constexpr auto kWithoutDigests = [](ParentCandidate& candidate) { candidate.has_digests = false; };
auto checksums(std::uint32_t version) {
  return [=](ParentCandidate& c) { c.manifest.data_checksum_version = version; };
}
auto damaged(std::uint64_t count) {
  return [=](ParentCandidate& c) {
    c.manifest.checksum_failure_count = count;
    c.manifest.checksum_failures = {{"base/5/1", 3}};
  };
}

// By what is asked for, and what is known of the WAL.
std::vector<Row> request_rows() {
  const auto remote = cluster([](ClusterNow& now) { now.method = BackupMethod::kRemote; });
  const auto remote_before_17 = cluster([](ClusterNow& now) {
    now.method = BackupMethod::kRemote;
    now.all_is_sent = "too old";
  });
  std::vector<Row> rows = {
      all("the first backup", {}, ReadRequest::kAuto, "no earlier backup"),
      all("--full, the first one", {}, ReadRequest::kFull, "no earlier backup"),
      all("none has digests", {backup(3, kWithoutDigests)}, ReadRequest::kAuto,
          "no earlier backup has digests"),
      by_wal("the newest one is the parent", {backup(3), backup(2)}, cluster(), 3),
      by_wal("one without digests is passed over", {backup(3, kWithoutDigests), backup(2)},
             cluster(), 2),
      compared("WAL is missing", {backup(3), backup(2)}, cluster(), 3, "segment 7 is missing"),
      compared("--full", {backup(3)}, cluster(), 3, "asked for"),
      compared("--full without coverage", {backup(3)}, cluster(), 3, "asked for"),
      compared("over the connection", {backup(3)}, remote_before_17, 3, "too old"),
      all("over the connection, the first one", {}, ReadRequest::kAuto, "no earlier backup"),
      by_wal("the server sends changes", {backup(3), backup(2)}, remote, 3),
      compared("the server sends changes, but WAL is missing", {backup(3)}, remote, 3,
               "segment 7 is missing"),
      compared("--full, over the connection", {backup(3)}, remote, 3, "asked for"),
      all("--independent", {backup(3)}, ReadRequest::kIndependent, "independent"),
  };
  for (auto& row : rows) {
    const std::string_view name = row.name;
    if (name.starts_with("--full")) row.request = ReadRequest::kFull;
    if (name == "--full" || name == "--independent") {
      row.promised = 3;
    }
    if (name.ends_with("WAL is missing")) row.uncovered = "segment 7 is missing";
    if (name == "--full without coverage") row.uncovered = "gone";
  }
  return rows;
}

// By the history of the cluster and its pages.
std::vector<Row> history_rows() {
  const auto without_checksums = cluster([](ClusterNow& now) { now.data_checksum_version = 0; });
  const auto lagging = cluster([](ClusterNow& now) { now.start_lsn = Lsn(0x340); });
  const auto on_timeline_9 = [](auto& c) { c.manifest.timeline = TimelineId(9); };
  const auto of_another = [](auto& c) { c.manifest.incarnation.system_identifier = 8; };
  return {
      compared("checksums were turned on", {backup(3, checksums(0))}, cluster(), 3, "pg_checksums"),
      compared("checksums were turned off", {backup(3)}, without_checksums, 3, "pg_checksums"),
      by_wal("an older one with the same checksums", {backup(3, checksums(0)), backup(2)},
             cluster(), 2),
      by_wal("left before the newest stopped", {backup(3), backup(2)}, branched_at("0/340"), 2),
      by_wal("a stop at the switch point is shared", {backup(3), backup(2)}, branched_at("0/380"),
             3),
      compared("only abandoned ones", {backup(3), backup(2)}, branched_at("0/240"), 3,
               "which this cluster left at 0/240"),
      compared("a timeline that is no ancestor", {backup(3, on_timeline_9)}, branched_at("0/900"),
               3, "not in the history"),
      by_wal("a standby lags behind the newest", {backup(3), backup(2)}, lagging, 2),
      by_wal("damaged pages that are listed", {backup(3, damaged(1))}, cluster(), 3),
      compared("more damaged pages than are listed", {backup(3, damaged(2))}, cluster(), 3,
               "more damaged pages"),
      compared("another cluster's", {backup(3, of_another)}, cluster(), 3, "of another cluster"),
  };
}

std::vector<Row> rows() {
  auto rows = request_rows();
  std::ranges::move(history_rows(), std::back_inserter(rows));
  return rows;
}

TEST(BackupChoiceTest, EachRule) {
  for (const auto& row : rows()) {
    SCOPED_TRACE(row.name);
    const auto number = [&](const std::optional<std::size_t>& index) -> std::optional<int> {
      if (!index) return std::nullopt;
      return static_cast<int>(row.candidates[*index].manifest.start_lsn.value() / 0x100);
    };
    int asked = 0;
    const auto choice = must(choose_backup(row.candidates, row.now, row.request,
                                           [&](const BackupManifest&) -> Result<std::string> {
                                             ++asked;
                                             return row.uncovered;
                                           }));
    EXPECT_EQ(choice.reading, row.reading);
    EXPECT_EQ(number(choice.parent), row.parent);
    EXPECT_EQ(number(choice.promised), row.promised);
    EXPECT_THAT(choice.reason, HasSubstr(row.reason));
    EXPECT_LE(asked, row.now.all_is_sent.empty() ? 1 : 0);
  }
}

TEST(BackupChoiceTest, TheQuestionIsAboutTheNewestThatIsFit) {
  const std::vector<ParentCandidate> candidates = {backup(3), backup(2), backup(1)};
  std::vector<BackupId> asked;
  must(choose_backup(candidates, branched_at("0/340"), ReadRequest::kAuto,
                     [&](const BackupManifest& manifest) -> Result<std::string> {
                       asked.push_back(manifest.id);
                       return "no";
                     }));
  EXPECT_THAT(asked, testing::ElementsAre(id_of(2)));
}

TEST(BackupChoiceTest, TroubleWithTheQuestionIsTrouble) {
  const std::vector<ParentCandidate> candidates = {backup(3)};
  const auto choice = choose_backup(
      candidates, cluster(), ReadRequest::kAuto,
      [](const BackupManifest&) -> Result<std::string> { return Error::transient("storage"); });
  ASSERT_FALSE(choice);
  EXPECT_EQ(choice.error().kind(), ErrorKind::kTransient);
}

}  // namespace
}  // namespace pitr
