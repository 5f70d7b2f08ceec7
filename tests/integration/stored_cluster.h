// A real server's WAL over two timelines and a backup of it, in a repository that tests may copy
// and damage; and restores of it that must be right or refused.
#pragma once

#include <fmt/format.h>

#include <fstream>
#include <functional>
#include <iostream>
#include <random>

#include "support/restore_program.h"

namespace pitr::test {

// Every file below a directory with its bytes, by relative path; not those whose names begin with a
// dot, which are no objects.
inline std::map<std::string, std::string> contents_of(const Path& directory) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file() || entry.path().filename().string().starts_with('.')) continue;
    contents[entry.path().lexically_relative(directory).string()] =
        must(read_text_file(entry.path(), 1 << 30));
  }
  return contents;
}

inline void write_contents(const Path& path, std::string_view contents) {
  std::filesystem::permissions(path, std::filesystem::perms::owner_write,
                               std::filesystem::perm_options::add);
  std::ofstream(path, std::ios::binary | std::ios::trunc) << contents;
}

// A server's WAL over two timelines, backed up on the first: several packs, segments and tails.
class StoredClusterTest : public testing::Test {
 protected:
  StoredClusterTest()
      : cluster_(must(TestCluster::create({.wal_segment_size_mb = 1}))),
        repository_(started(cluster_)),
        home_(must(TemporaryDirectory::create())) {
    register_cluster(repository_);
    repository_.start_streaming(cluster_);
    before_backup_ = must(cluster_.sql_value("SELECT clock_timestamp()"));
    must(cluster_.sql("CREATE TABLE rows(id int, filler text)"));
    auto request = repository_.backup_request(cluster_);
    request.pack.pack_size_bytes = 4 << 20;
    backup_ = must(repository_.take_backup(request));
    write_segments(4);
    next_timeline();
    write_segments(2);
    must(cluster_.sql("INSERT INTO rows VALUES (0, 'the last')"));
    repository_.catch_up(cluster_);
    wait_for_watermark();
    repository_.stop_streaming();
    after_all_ = must(cluster_.sql_value("SELECT clock_timestamp() + interval '1 hour'"));
    rows_ = must(cluster_.sql_value(kRows));
    must(cluster_.stop());
    std::cout << "seed " << seed_ << std::endl;
  }

  static const TestCluster& started(TestCluster& cluster) {
    must(cluster.start());
    return cluster;
  }
  void write_segments(int count) {
    for (int i = 0; i < count; ++i) {
      must(
          cluster_.sql("INSERT INTO rows SELECT i, repeat(md5(i::text), 10) "
                       "FROM generate_series(1, 1000) i; SELECT pg_switch_wal()"));
    }
  }
  // So that everything is known to be complete, the last tail too.
  void wait_for_watermark() {
    const auto end =
        must(Lsn::parse(must(cluster_.sql_value("SELECT pg_current_wal_flush_lsn()"))));
    repository_.wait_for("the watermark", [&](const WalReceiverStatus&) {
      const auto watermark = must(repository_.facts().watermark(TimelineId(2)));
      return watermark && watermark->lsn >= end;
    });
  }
  // As after a fail-over: timeline 2 begins inside a segment.
  void next_timeline() {
    must(cluster_.sql("INSERT INTO rows VALUES (-1, 'in the middle of a segment')"));
    repository_.catch_up(cluster_);
    must(cluster_.stop());
    std::ofstream(cluster_.data_directory() / "standby.signal").flush();
    must(cluster_.start());
    must(cluster_.promote());
  }

  // A copy of the repository to damage.
  struct Copy {
    explicit Copy(const StoredClusterTest& test)
        : directory(test.home_ / fmt::format("copy-{}", ++test.copies_)) {
      must(copy_tree(test.repository_.directory() / "repository", directory));
    }
    ~Copy() {
      std::error_code ignored;
      std::filesystem::remove_all(directory, ignored);
    }
    Path directory;
  };
  // Paths of the objects whose path in the repository has this in it, sorted.
  std::vector<std::string> objects(const std::string& part) const {
    std::vector<std::string> found;
    for (const auto& [path, bytes] : contents_of(repository_.directory() / "repository")) {
      if (path.find(part) != std::string::npos) found.push_back(path);
    }
    EXPECT_FALSE(found.empty()) << part;
    return found;
  }
  // Segments that a restore to the end needs, complete ones; timeline 1 or 2.
  std::vector<std::string> segments(int timeline) const {
    std::vector<std::string> found;
    const auto folder = fmt::format("/wal/{:08X}/", timeline);
    const auto first = repository_.store().segment_size().number_of(backup_->start_lsn);
    for (const auto& path : objects(folder)) {
      const auto name = Path(path).filename().string();
      const bool is_segment = name.find('.') == std::string::npos;
      if (is_segment && std::stoull(name.substr(name.size() - 8), nullptr, 16) > first) {
        found.push_back(path);
      }
    }
    return found;
  }

  // Refused, with this exit code and text; nothing was touched.
  void expect_refusal(const RestoreProgram& program, const std::vector<std::string>& arguments,
                      int exit_code, const std::string& text) {
    SCOPED_TRACE(text);
    const auto repository = contents_of(program.repository());
    const auto target = home_ / "untouched";
    auto all = arguments;
    all.insert(all.end(), {"--target-dir", target.string()});
    const auto output = program.run(all);
    EXPECT_EQ(output.status.exit_code, exit_code) << output.out << output.err;
    EXPECT_THAT(output.err, testing::HasSubstr(text));
    EXPECT_FALSE(std::filesystem::exists(target));
    EXPECT_TRUE(contents_of(program.repository()) == repository) << "the repository was changed";
  }

  // Restores all and starts the server. Gives whether that went well; if not, that it was said.
  bool restores_all(const Path& repository, std::string* said = nullptr) {
    const RestoreProgram program(repository, repository_.key());
    const auto before = contents_of(repository);
    RestoredServer server(cluster_);
    const auto& output = server.restore(program, {"--latest"});
    if (said) *said = output.err + output.out + server.server_log();
    expect_same(before, contents_of(repository));
    if (output.status.exit_code == 0) {
      EXPECT_TRUE(server.outcome()["server"]["reached"].get<bool>());
      EXPECT_EQ(server.ask("(" + std::string(kRows) + ")"), rows_) << "wrong rows, and no error";
      return true;
    }
    EXPECT_GT(output.status.exit_code, 1) << server.story();  // 1: a bug
    EXPECT_LT(output.status.exit_code, 100) << server.story();
    EXPECT_FALSE(output.err.empty() && output.out.empty());
    // A server can start on it only where recovery will meet the damage again.
    const auto& directory = server.directory();
    EXPECT_TRUE(!std::filesystem::exists(directory / "global" / "pg_control") ||
                std::filesystem::exists(directory / "recovery.signal"))
        << server.story();
    return false;
  }
  // But for what a restore writes besides: the timeline that it takes, leases on what it reads, and
  // its line in the audit trail.
  static void expect_same(const std::map<std::string, std::string>& before,
                          std::map<std::string, std::string> after) {
    std::erase_if(after, [&](const auto& object) {
      const bool is_restores_own = object.first.find("/timeline/") != std::string::npos ||
                                   object.first.find("/lease/") != std::string::npos ||
                                   object.first.starts_with("audit/");
      return is_restores_own && !before.contains(object.first);
    });
    EXPECT_TRUE(after == before) << "the repository was changed";
  }

  std::size_t pick(std::size_t below) {
    return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_);
  }

  enum class Must { kFail, kFailOrBeRight };
  using Damage = std::function<void(const Path& object)>;
  void expect_damage_is_met(const std::string& object, Must what, const std::string& name,
                            const Damage& damage) {
    SCOPED_TRACE(name + " " + object);
    const Copy copy(*this);
    damage(copy.directory / object);
    std::string said;
    const bool went_well = restores_all(copy.directory, &said);
    if (what == Must::kFail) EXPECT_FALSE(went_well) << said;
    if (!went_well) ++refused_;
  }
  void flip(const Path& object, std::size_t at) {
    auto bytes = must(read_text_file(object, 1 << 30));
    bytes.at(at) = static_cast<char>(bytes.at(at) ^ (1 << pick(8)));
    write_contents(object, bytes);
  }
  void expect_flips_and_truncations_are_met(const std::string& object, Must what) {
    expect_damage_is_met(object, what, "a flipped byte in", [&](const Path& path) {
      flip(path, pick(std::filesystem::file_size(path)));
    });
    expect_damage_is_met(object, what, "truncated:", [&](const Path& path) {
      const auto bytes = must(read_text_file(path, 1 << 30));
      write_contents(path, bytes.substr(0, pick(bytes.size())));
    });
  }

  static constexpr const char* kRows =
      "SELECT count(*) || ' ' || sum(hashtext(r::text)) FROM rows r";

  const std::uint64_t seed_ = std::random_device{}();
  std::mt19937_64 random_{seed_};
  TestCluster cluster_;
  StreamedRepository repository_;
  TemporaryDirectory home_;
  std::optional<BackupManifest> backup_;
  std::string before_backup_, after_all_, rows_;
  mutable int copies_ = 0;
  int refused_ = 0;
};

}  // namespace pitr::test
