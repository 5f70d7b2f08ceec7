// What no damage of the repository may ever bring about: a restore that reports success with other
// rows than those asked for.

#include "integration/stored_cluster.h"

namespace pitr::test {
namespace {

class DamageTest : public StoredClusterTest {
 protected:
  // As the container's header says.
  ContainerKind kind_of(const std::string& object) {
    const auto bytes =
        must(read_text_file(repository_.directory() / "repository" / object, 1 << 30));
    return static_cast<ContainerKind>(bytes.at(9));
  }
};

TEST_F(DamageTest, DamagedObjectsNeverGiveAWrongRestore) {
  for (const auto* kind : {"keyring/", "/table/", "/manifest", ".history"}) {
    for (const auto& object : objects(kind)) {
      const auto container = kind_of(object);
      const bool is_for_backups = container != ContainerKind::kFileTable &&
                                  container != ContainerKind::kBlockTable &&
                                  object.contains("/table/");
      expect_flips_and_truncations_are_met(object,
                                           is_for_backups ? Must::kFailOrBeRight : Must::kFail);
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

TEST_F(DamageTest, SwappedObjectsAreFoundOut) {
  const auto packs = objects("/pack/");
  auto tables = objects("/table/");
  std::erase_if(tables, [&](const std::string& table) {
    const auto kind = kind_of(table);
    return kind != ContainerKind::kFileTable && kind != ContainerKind::kBlockTable;
  });
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

TEST_F(DamageTest, TheErrorNamesTheNextStep) {
  {
    const Copy copy(*this);
    const auto pack = copy.directory / objects("/pack/").front();
    flip(pack, std::filesystem::file_size(pack) / 2);
    const RestoreProgram program(copy.directory, repository_.key());
    const auto output = program.run({"--latest", "--target-dir", home_ / "damaged-pack"});
    EXPECT_EQ(output.status.exit_code, 5) << output.out << output.err;
    EXPECT_THAT(output.err, testing::HasSubstr("hint: pitr verify names what is damaged"));
    EXPECT_THAT(output.err, testing::HasSubstr("--backup takes another one"));
  }
  // The plan trusts facts: recovery meets it.
  const Copy copy(*this);
  const auto segment = segments(1).front();
  flip(copy.directory / segment, std::filesystem::file_size(copy.directory / segment) / 2);
  const RestoreProgram program(copy.directory, repository_.key());
  RestoredServer server(cluster_);
  EXPECT_EQ(server.restore(program, {"--latest"}).status.exit_code, 9) << server.story();
  const auto name = Path(segment).filename().string();
  const auto number = std::stoull(name.substr(name.size() - 8), nullptr, 16);
  const auto good = to_string(repository_.store().segment_size().start_of(number));
  const auto says = server.outcome()["server"]["says"].get<std::string>();
  EXPECT_THAT(says, testing::HasSubstr("for want of WAL: " + name));
  EXPECT_THAT(says, testing::HasSubstr("WAL is good up to " + good));
  EXPECT_THAT(says, testing::HasSubstr("pitr verify names"));
}

}  // namespace
}  // namespace pitr::test
