#include "postgres/tar_reader.h"

#include <fmt/format.h>

#include <random>

namespace pitr {
namespace {

class RecordingSink : public TarSink {
 public:
  Result<void> entry(const TarEntry& entry) override {
    entries.push_back(entry);
    contents.emplace_back();
    return {};
  }
  Result<void> data(ByteView bytes) override {
    contents.back() += as_text(bytes);
    return {};
  }
  Result<void> entry_end() override {
    ++ended;
    return {};
  }

  std::vector<TarEntry> entries;
  std::vector<std::string> contents;
  std::size_t ended = 0;
};

struct Member {
  std::string name;
  char type = '0';
  std::string contents = {};
  std::string link = {};
  std::string size_field = {};  // in place of the right one
};

void put(std::string& block, std::size_t at, std::string_view text) {
  block.replace(at, text.size(), text);
}

void seal(std::string& block) {
  put(block, 148, "        ");
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put(block, 148, fmt::format("{:07o} ", sum));
}

// As src/port/tar.c writes it: octal with a space behind it.
std::string header(const Member& member) {
  std::string block(512, '\0');
  put(block, 0, member.name);
  put(block, 100, "0000600 ");
  put(block, 108, "0000145 ");
  put(block, 116, "0000150 ");
  put(block, 124,
      member.size_field.empty() ? fmt::format("{:011o} ", member.contents.size())
                                : member.size_field);
  put(block, 136, fmt::format("{:011o} ", 1'700'000'000));
  block[156] = member.type;
  put(block, 157, member.link);
  put(block, 257, std::string_view("ustar\00000", 8));
  put(block, 265, "postgres");
  seal(block);
  return block;
}

std::string archive(const std::vector<Member>& members) {
  std::string bytes;
  for (const auto& member : members) {
    bytes += header(member) + member.contents;
    bytes.append((512 - member.contents.size() % 512) % 512, '\0');
  }
  return bytes;
}

Result<void> read_whole(std::string_view bytes, TarSink& sink) {
  TarReader reader(sink);
  TRY(reader.feed(as_bytes(bytes)));
  return reader.finish();
}

ErrorKind failure(std::string_view bytes) {
  RecordingSink sink;
  const auto result = read_whole(bytes, sink);
  return result ? ErrorKind::kInternal : result.error().kind();
}

std::vector<Member> typical() {
  return {{.name = "backup_label", .contents = "START WAL LOCATION"},
          {.name = "pg_notify/", .type = '5'},
          {.name = "pg_tblspc/16385/", .type = '2', .link = "/srv/fast"},
          {.name = "./pg_wal/archive_status/", .type = '5'},
          {.name = "empty"},
          {.name = "base/1/1259", .contents = std::string(16384, 'x')}};
}

TEST(TarReaderTest, EntriesArriveWholeHoweverTheInputIsCut) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const auto members = typical();
  for (const auto& end : {std::string(), std::string(1024, '\0')}) {
    const auto bytes = archive(members) + end;
    for (int round = 0; round < 20; ++round) {
      RecordingSink sink;
      TarReader reader(sink);
      for (std::size_t at = 0; at < bytes.size();) {
        const auto piece = std::min<std::size_t>(1 + random() % 1500, bytes.size() - at);
        ASSERT_TRUE(reader.feed(as_bytes(std::string_view(bytes).substr(at, piece))).has_value());
        at += piece;
      }
      ASSERT_TRUE(reader.finish().has_value());
      ASSERT_EQ(sink.entries.size(), members.size());
      EXPECT_EQ(sink.ended, members.size());
      for (std::size_t i = 0; i < members.size(); ++i) {
        EXPECT_EQ(sink.contents[i], members[i].contents);
      }
    }
  }
}

TEST(TarReaderTest, FieldsAreRead) {
  RecordingSink sink;
  ASSERT_TRUE(read_whole(archive(typical()), sink).has_value());
  const auto& entries = sink.entries;
  EXPECT_EQ(entries[0].size_bytes, 18u);
  EXPECT_EQ(entries[0].mode, 0600u);
  EXPECT_EQ(entries[0].modified, Timestamp::from_unix_us(1'700'000'000'000'000));
  EXPECT_EQ(entries[1].path, "pg_notify");
  EXPECT_EQ(entries[1].kind, TarEntry::Kind::kDirectory);
  EXPECT_EQ(entries[2].path, "pg_tblspc/16385");
  EXPECT_EQ(entries[2].link_target, "/srv/fast");
  EXPECT_EQ(entries[3].path, "pg_wal/archive_status");
}

TEST(TarReaderTest, SizesBeyondOctalAreBase256) {
  const std::string size("\x80\0\0\0\0\0\0\x02\0\0\0\0", 12);  // 2^33 = 8 GiB
  RecordingSink sink;
  TarReader reader(sink);
  ASSERT_TRUE(reader.feed(as_bytes(header({.name = "big", .size_field = size}))).has_value());
  EXPECT_EQ(sink.entries.at(0).size_bytes, 1ull << 33);
  EXPECT_EQ(reader.finish().error().kind(), ErrorKind::kCorrupt);
  for (const auto& bad : {std::string("\x81\0\0\0\0\0\0\x02\0\0\0\0", 12),
                          std::string("\x80\xFF\xFF\xFF\xFF\0\0\x02\0\0\0\0", 12)}) {
    EXPECT_EQ(failure(header({.name = "huge", .size_field = bad})), ErrorKind::kCorrupt);
  }
}

TEST(TarReaderTest, UnsafeNamesAreRefused) {
  for (const std::string name :
       {"/etc/passwd", "../x", "a/../../x", "a/..", "", "a//b", ".", "..", "././a", "a/."}) {
    EXPECT_EQ(failure(header({.name = name})), ErrorKind::kCorrupt) << name;
  }
}

TEST(TarReaderTest, DamagedArchivesAreRefused) {
  const auto good = archive({{.name = "a", .contents = "abc"}});
  ASSERT_EQ(good.size(), 1024u);
  RecordingSink sink;
  ASSERT_TRUE(read_whole(good, sink).has_value());
  for (std::size_t at = 0; at < 512; ++at) {
    auto bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    EXPECT_EQ(failure(bytes), ErrorKind::kCorrupt) << at;
  }
  for (std::size_t size = 1; size < good.size(); ++size) {
    EXPECT_EQ(failure(std::string_view(good).substr(0, size)), ErrorKind::kCorrupt) << size;
  }
  EXPECT_EQ(failure(good + std::string(512, '\0') + good), ErrorKind::kCorrupt);
}

TEST(TarReaderTest, ImpossibleEntriesAreRefused) {
  EXPECT_EQ(failure(header({.name = "device", .type = '3'})), ErrorKind::kCorrupt);
  EXPECT_EQ(failure(header({.name = "link", .type = '2'})), ErrorKind::kCorrupt);
  EXPECT_EQ(failure(header({.name = "d", .type = '5', .contents = "x"})), ErrorKind::kCorrupt);
  EXPECT_EQ(failure(header({.name = "f", .size_field = "0000000008 "})), ErrorKind::kCorrupt);
  EXPECT_EQ(failure(header({.name = "f", .size_field = "           \0"})), ErrorKind::kCorrupt);
}

TEST(TarReaderTest, ASinksErrorIsPassedOn) {
  class FullSink : public RecordingSink {
    Result<void> data(ByteView) override { return Error::transient("full"); }
  };
  FullSink sink;
  EXPECT_EQ(read_whole(archive(typical()), sink).error().message(), "full");
}

}  // namespace
}  // namespace pitr
