#include "repository/backup/backup_manifest.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "repository/backup/backup_writer.h"
#include "support/must.h"

namespace pitr::backup_test {
namespace {

using test::must;

using Json = nlohmann::json;
using testing::HasSubstr;

BackupManifest full_manifest() {
  BackupManifest m(must(BackupId::parse("20260301T091500Z-89abcdef01234567")));
  const auto parent = must(BackupId::parse("20260228T091500Z-0000000000000001"));
  m.incarnation = {"main", 18'446'744'073'709'551'615ull, 17};
  m.method = BackupMethod::kRemote;
  m.label = "before \"upgrade\"\n";
  m.host = "db1";
  m.parent = parent;
  m.reading = BackupReading::kChangedBlocks;
  m.reading_reason = "of \"WAL\"";
  m.promise = {parent, 1ull << 40, 2, {{"base/5/16384.1", 7}}};
  m.server_version_num = 170'002;
  m.segment_size_bytes = 64 << 20;
  m.catalog_version = 202'406'281;
  m.timeline = TimelineId(0xFFFFFFFF);
  m.start_lsn = Lsn(0x16'B374'D848);
  m.stop_lsn = Lsn(0x17'0000'0000);
  m.checkpoint_lsn = Lsn(0x16'B374'D880);
  m.start_time = Timestamp::from_unix_us(1'772'356'500'123'456);
  m.stop_time = Timestamp::from_unix_us(1'772'400'000'000'000);
  m.from_standby = true;
  m.data_checksum_version = 1;
  m.wal_log_hints = true;
  m.backup_label = "START WAL LOCATION: 16/B374D848\nLABEL: caf\xe9\n";
  m.tablespace_map = "16384 /srv/fast\n";
  m.tablespaces = {{16384, "/srv/fast"}, {16385, "/srv/\xff"}, {16386, ""}};
  m.file_table = "0123456789abcdef0123456789abcdef";
  m.block_tables = {{"1123456789abcdef0123456789abcdef", 7},
                    {"2123456789abcdef0123456789abcdef", 1ull << 40}};
  m.digest_tables = {{"3123456789abcdef0123456789abcdef", 9}};
  m.digest_epoch = 3;
  m.restore_read_bytes = 1ull << 51;
  m.changed_since_moved_bytes = 11;
  const layout::Incarnation names(m.incarnation, must(SegmentSize::from_bytes(64 << 20)));
  m.packs = {{names.pack(m.id, 0), 536'870'913, 1'000'000'000, 999'999'999},
             {names.pack(parent, 999'999), 1, 2, 3}};
  m.file_count = 1'000'001;
  m.total_bytes = 1ull << 50;
  m.read_bytes = 5;
  m.stored_bytes = 4;
  m.checksum_failures = {{"base/5/16384.1", 4'294'967'295}};
  m.checksum_failure_count = 1'000;
  return m;
}

Json as_json(const BackupManifest& manifest) {
  return Json::parse(as_text(encode_manifest(manifest)));
}
Result<BackupManifest> decode(const Json& json) {
  const auto text = json.dump();
  return decode_manifest(as_bytes(text));
}

TEST(BackupManifestTest, EverythingComesBack) {
  const auto original = full_manifest();
  const auto read = must(decode_manifest(encode_manifest(original)));
  EXPECT_EQ(encode_manifest(read), encode_manifest(original));
  EXPECT_EQ(read.incarnation, original.incarnation);
  EXPECT_EQ(read.method, BackupMethod::kRemote);
  EXPECT_EQ(read.label, original.label);
  EXPECT_EQ(read.parent, original.parent);
  EXPECT_EQ(read.start_lsn, original.start_lsn);
  EXPECT_EQ(read.start_time, original.start_time);
  EXPECT_EQ(read.stop_time, original.stop_time);
  EXPECT_EQ(read.backup_label, original.backup_label);
  ASSERT_EQ(read.tablespaces.size(), 3u);
  EXPECT_EQ(read.tablespaces[1].location, "/srv/\xff");
  ASSERT_EQ(read.packs.size(), 2u);
  EXPECT_EQ(read.packs[1].key, original.packs[1].key);
  EXPECT_EQ(read.block_tables, original.block_tables);
  EXPECT_EQ(read.checksum_failures[0].block, 4'294'967'295u);
}

TEST(BackupManifestTest, TimesAndPositionsAreWrittenForPeople) {
  const auto json = as_json(full_manifest());
  EXPECT_EQ(json["start_time"], "2026-03-01T09:15:00.123456Z");
  EXPECT_EQ(json["start_lsn"], "16/B374D848");
  EXPECT_EQ(json["packs"][0]["name"], "20260301T091500Z-89abcdef01234567-000000");
}

TEST(BackupManifestTest, EachMemberIsMissedByItsName) {
  const auto json = as_json(full_manifest());
  for (const auto& [name, value] : json.items()) {
    auto without = json;
    without.erase(name);
    const auto read = decode(without);
    ASSERT_FALSE(read) << name;
    EXPECT_EQ(read.error().kind(), ErrorKind::kCorrupt);
    EXPECT_THAT(read.error().message(), HasSubstr("field " + name));
  }
}

TEST(BackupManifestTest, EachMemberOfAnotherTypeIsRefused) {
  const auto json = as_json(full_manifest());
  for (const auto& [name, value] : json.items()) {
    for (const Json& wrong : {Json(1.5), Json(-1), Json(Json::array({1}))}) {
      auto changed = json;
      changed[name] = wrong;
      const auto read = decode(changed);
      ASSERT_FALSE(read) << name << " " << wrong;
      EXPECT_EQ(read.error().kind(), ErrorKind::kCorrupt);
      EXPECT_THAT(read.error().message(), HasSubstr("field " + name));
    }
  }
}

TEST(BackupManifestTest, ImpossibleValuesAreRefused) {
  const std::pair<const char*, Json> cases[] = {
      {"id", "20260301"},
      {"incarnation", "../x"},
      {"segment_size_bytes", 12'345},
      {"method", "magic"},
      {"timeline", 4'294'967'296},
      {"start_lsn", "16"},
      {"start_time", "2026-02-30T09:15:00.123456Z"},
      {"start_time", "2026-02-03 09:15:00.123456Z"},
      {"stop_time", "2026-02-03T24:15:00.123456Z"},
      {"file_table", "../../etc"},
      {"file_table", ""},
      {"block_tables", Json::array({{{"id", "a/b"}, {"stored_bytes", 1}}})},
      {"digest_tables", Json::array({{{"id", ".."}, {"stored_bytes", 1}}})},
      {"packs",
       Json::array({{{"name", "20260301T091500Z-89abcdef01234567-00000x"}, {"stored_bytes", 1}}})},
      {"label", {{"hex", "zz"}}},
  };
  for (const auto& [name, value] : cases) {
    auto json = as_json(full_manifest());
    json[name] = value;
    const auto read = decode(json);
    ASSERT_FALSE(read) << name << " " << value;
    EXPECT_EQ(read.error().kind(), ErrorKind::kCorrupt);
    EXPECT_THAT(read.error().message(), HasSubstr(fmt::format("field {}", name)));
  }
}

TEST(BackupManifestTest, ANewerFormatIsRefusedWithAHint) {
  auto json = as_json(full_manifest());
  json["format"] = 3;
  const auto read = decode(json);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), ErrorKind::kInvalid);
  EXPECT_THAT(read.error().hint(), HasSubstr("upgrade"));
}

TEST(BackupManifestTest, MembersFromTheFutureAreIgnored) {
  auto json = as_json(full_manifest());
  json["mood"] = "good";
  EXPECT_TRUE(decode(json));
}

TEST(BackupManifestTest, WhatIsNotJsonIsRefused) {
  for (const auto* text : {"", "{", "[]", "1", "{\"format\":1}"}) {
    EXPECT_EQ(decode_manifest(as_bytes(text)).error().kind(), ErrorKind::kCorrupt) << text;
  }
}

TEST(BackupManifestTest, BackupJsonTellsNothingThatTheCipherHides) {
  const auto text = to_backup_json(full_manifest());
  const auto json = Json::parse(text);
  EXPECT_EQ(json["id"], "20260301T091500Z-89abcdef01234567");
  EXPECT_EQ(json["system_identifier"], "18446744073709551615");
  for (const auto* secret :
       {"upgrade", "db1", "/srv", "16384", "0123456789abcdef0123456789abcdef"}) {
    EXPECT_THAT(text, testing::Not(HasSubstr(secret)));
  }
}

TEST(BackupIntentTest, EverythingComesBack) {
  const auto manifest = full_manifest();
  const BackupIntent intent{manifest.id, "d\xff", manifest.start_time, manifest.start_lsn,
                            manifest.parent};
  const auto read = must(decode_intent(encode_intent(intent)));
  EXPECT_EQ(read.id, intent.id);
  EXPECT_EQ(read.host, intent.host);
  EXPECT_EQ(read.started, intent.started);
  EXPECT_EQ(read.start_lsn, intent.start_lsn);
  EXPECT_EQ(read.parent, intent.parent);
}

}  // namespace
}  // namespace pitr::backup_test
