// What pitr-restore must refuse: each with its own clear error, with the repository left as it was
// and nothing in the target directory that a server could start on. And what no damage may ever
// bring about: a restore that reports success with other rows than those asked for.

#include <fcntl.h>
#include <fmt/format.h>

#include <fstream>
#include <iostream>
#include <random>

#include "codec/digest.h"
#include "support/restore_program.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;

// Every file below a directory with its bytes, by relative path.
std::map<std::string, std::string> contents_of(const Path& directory) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    contents[entry.path().lexically_relative(directory).string()] =
        must(read_text_file(entry.path(), 1 << 30));
  }
  return contents;
}

void write_contents(const Path& path, std::string_view contents) {
  std::filesystem::permissions(path, std::filesystem::perms::owner_write,
                               std::filesystem::perm_options::add);
  std::ofstream(path, std::ios::binary | std::ios::trunc) << contents;
}

// A server's WAL over two timelines, backed up on the first: several packs, segments and tails.
class RefusalsTest : public testing::Test {
 protected:
  RefusalsTest()
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
    explicit Copy(const RefusalsTest& test)
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
    EXPECT_THAT(output.err, HasSubstr(text));
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
  // But for timelines reserved, which a restore writes before it restores.
  static void expect_same(const std::map<std::string, std::string>& before,
                          std::map<std::string, std::string> after) {
    std::erase_if(after, [&](const auto& object) {
      return !before.contains(object.first) && object.first.find("/timeline/") != std::string::npos;
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

TEST_F(RefusalsTest, RequestsThatCannotBeMetAreRefusedBeforeAnythingIsTouched) {
  const Path directory = repository_.directory() / "repository";
  const RestoreProgram program(directory, repository_.key());
  expect_refusal(program, {"--timestamp", before_backup_}, 2,
                 "the earliest time that can be reached");
  expect_refusal(program, {"--lsn", "0/100"}, 2, "the earliest position on timeline");
  expect_refusal(program, {"--timestamp", after_all_}, 2,
                 "lies behind everything that is known to be complete");
  expect_refusal(program, {"--lsn", "7/0"}, 2, "is not in the repository");
  expect_refusal(program, {"--latest", "--timeline", "7"}, 3,
                 "timeline 7 is not in the repository");
  expect_refusal(program, {"--name", "nowhere"}, 3, "no restore point \"nowhere\"");
  expect_refusal(program, {"--xid", "4000000000"}, 3, "no transaction 4000000000");

  const RestoreProgram other_key(directory, must(KeyEncryptionKey::generate()));
  expect_refusal(other_key, {"--latest"}, 6, "key");
  const RestoreProgram no_key(directory, repository_.key());
  std::filesystem::remove(no_key.key_file());
  expect_refusal(no_key, {"--latest"}, 6, no_key.key_file().string());

  const auto occupied = home_ / "occupied";
  std::filesystem::create_directory(occupied);
  std::ofstream(occupied / "diary.txt") << "mine";
  for (const bool force : {false, true}) {
    std::vector<std::string> arguments = {"--latest", "--target-dir", occupied};
    if (force) arguments.emplace_back("--force");
    const auto output = program.run(arguments);
    EXPECT_EQ(output.status.exit_code, 2) << output.out << output.err;
    EXPECT_THAT(output.err, HasSubstr("neither empty nor a data directory"));
    EXPECT_EQ(contents_of(occupied), (std::map<std::string, std::string>{{"diary.txt", "mine"}}));
  }
  ASSERT_TRUE(restores_all(directory));  // and what can be met is
}

TEST_F(RefusalsTest, AMissingSegmentIsNeverTakenForTheEndOfWal) {
  for (const int timeline : {1, 2}) {
    const auto all = segments(timeline);
    ASSERT_FALSE(all.empty());
    const Copy copy(*this);
    std::filesystem::remove(copy.directory / all[all.size() / 2]);
    const RestoreProgram program(copy.directory, repository_.key());
    expect_refusal(program, {"--latest"}, 2, "WAL is missing");
    expect_refusal(program, {"--timestamp", after_all_}, 2, "WAL is missing");
    const auto before = program.run({"--immediate", "--dry-run"});
    EXPECT_EQ(before.status.exit_code, 0) << before.err;
  }
}

TEST_F(RefusalsTest, DamagedObjectsNeverGiveAWrongRestore) {
  for (const auto* kind : {"keyring/", "/table/", "/manifest", ".history"}) {
    for (const auto& object : objects(kind)) {
      expect_flips_and_truncations_are_met(object, Must::kFail);
    }
  }
  for (const auto& object : objects(".tail-")) {
    // Timeline 2 has the bytes of timeline 1's last tail again, in a file of its own.
    const bool is_last = object.find("/wal/00000002/") != std::string::npos;
    expect_flips_and_truncations_are_met(object, is_last ? Must::kFail : Must::kFailOrBeRight);
  }
  const auto packs = objects("/pack/");
  ASSERT_GT(packs.size(), 1u);
  expect_flips_and_truncations_are_met(packs[pick(packs.size())], Must::kFail);
  for (const int timeline : {1, 2}) {
    const auto all = segments(timeline);
    expect_flips_and_truncations_are_met(all[pick(all.size())], Must::kFail);
  }
  EXPECT_GT(refused_, 10);
  // Facts can be computed again, and the others tell a restore nothing that it needs.
  const auto facts = objects("/facts/");
  for (const auto& object : {facts[pick(facts.size())], objects("/watermark/").back(),
                             objects("/identity").front(), objects("/intent").front()}) {
    expect_flips_and_truncations_are_met(object, Must::kFailOrBeRight);
  }
}

TEST_F(RefusalsTest, SwappedObjectsAreFoundOut) {
  const auto packs = objects("/pack/");
  const auto tables = objects("/table/");
  const auto first = segments(1), second = segments(2);
  ASSERT_GT(packs.size(), 1u);
  ASSERT_GT(first.size(), 1u);
  const std::vector<std::pair<std::string, std::string>> pairs = {
      {packs[0], packs[1]},
      {first[0], first[1]},
      {first.back(), second.front()},
      {tables.front(), tables.size() > 1 ? tables.back() : packs[0]}};
  for (const auto& [one, other] : pairs) {
    SCOPED_TRACE(one + " and " + other);
    const Copy copy(*this);
    std::filesystem::rename(copy.directory / one, copy.directory / "aside");
    std::filesystem::rename(copy.directory / other, copy.directory / one);
    std::filesystem::rename(copy.directory / "aside", copy.directory / other);
    EXPECT_FALSE(restores_all(copy.directory));
  }
}

// What is lost between planning and recovery must stop the server, not end its recovery early.
TEST_F(RefusalsTest, WalThatIsLostAfterPlanningFailsTheRecovery) {
  for (const bool is_deleted : {true, false}) {
    SCOPED_TRACE(is_deleted ? "deleted" : "flipped");
    const Copy copy(*this);
    const auto lost = segments(1).at(1);
    const RestoreProgram program(copy.directory, repository_.key());
    const auto target = home_ / fmt::format("lost-{}", is_deleted);
    const auto output = program.run({"--latest", "--target-dir", target});
    ASSERT_EQ(output.status.exit_code, 0) << output.err;
    if (is_deleted) {
      std::filesystem::remove(copy.directory / lost);
    } else {
      flip(copy.directory / lost, std::filesystem::file_size(copy.directory / lost) / 2);
    }
    {
      auto server = must(TestCluster::adopt(target));
      auto exited = server.start();
      if (exited.has_value()) {  // a hot standby before it needs what is lost
        must(server.wait_for_exit());
      }
      EXPECT_FALSE(server.running());
      EXPECT_THAT(must(server.log_tail(100'000)), HasSubstr("could not restore file"));
    }
    EXPECT_TRUE(std::filesystem::exists(target / "recovery.signal"));
    const auto control = must(read_control_file(target));
    EXPECT_EQ(control.timeline, TimelineId(1));

    const auto number = Path(lost).filename().string();
    const auto name = fmt::format("{:08X}{:08X}{}", 1, 0, number.substr(number.size() - 8));
    const auto get =
        must(run_command({Path(PITR_PROGRAM_DIRECTORY) / "pitr-wal-get", "--plan",
                          target / "pitr_restore" / "plan", name, "pg_wal/RECOVERYXLOG"},
                         {.working_directory = target}));
    EXPECT_GT(get.status.exit_code, 125) << get.err;
    EXPECT_FALSE(get.err.empty());
  }
}

TEST_F(RefusalsTest, AReadOnlyRepositoryIsToldBeforeTheTargetIsTouched) {
  const Copy copy(*this);
  const auto set_writable = [&](bool is_writable) {
    using std::filesystem::perms;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(copy.directory)) {
      std::filesystem::permissions(
          entry.path(), perms::owner_write,
          is_writable ? std::filesystem::perm_options::add : std::filesystem::perm_options::remove);
    }
    std::filesystem::permissions(
        copy.directory, perms::owner_write,
        is_writable ? std::filesystem::perm_options::add : std::filesystem::perm_options::remove);
  };
  set_writable(false);
  const RestoreProgram program(copy.directory, repository_.key());
  EXPECT_EQ(program.run({"--latest", "--dry-run"}).status.exit_code, 0);
  expect_refusal(program, {"--latest"}, 6, "Permission denied");
  set_writable(true);
}

// On a small file system in a mount namespace of its own.
TEST_F(RefusalsTest, AFullDiskIsToldBeforeTheTargetIsTouched) {
  const RestoreProgram program(repository_.directory() / "repository", repository_.key());
  const auto small = home_ / "small";
  std::filesystem::create_directory(small);
  const auto in_namespace = [&](const std::string& script) {
    return must(run_command({"unshare", "--map-current-user", "--keep-caps", "--mount", "sh", "-c",
                             fmt::format("mount -t tmpfs -o size=4m none '{}' || exit 77; {}",
                                         small.string(), script)}));
  };
  if (in_namespace("true").status.exit_code != 0) {
    GTEST_SKIP() << "this user may not mount a file system in a namespace of its own";
  }
  const auto output = in_namespace(
      fmt::format("'{}' --config '{}' --latest --target-dir '{}/data'; code=$?; ls '{}'; "
                  "exit $code",
                  (Path(PITR_PROGRAM_DIRECTORY) / "pitr-restore").string(),
                  program.configuration().string(), small.string(), small.string()));
  EXPECT_EQ(output.status.exit_code, 2) << output.out << output.err;
  EXPECT_THAT(output.err, HasSubstr("room"));
  EXPECT_THAT(output.out, testing::Not(HasSubstr("\ndata\n")));
}

}  // namespace
}  // namespace pitr::test
