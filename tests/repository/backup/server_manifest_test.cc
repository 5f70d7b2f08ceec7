#include "repository/backup/server_manifest.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "support/must.h"

namespace pitr {
namespace {

using test::must;

class Collected {
 public:
  ServerManifestWriter writer() {
    return {7'390'000'000'000'000'001, [this](ByteView bytes) -> Result<void> {
              text_ += as_text(bytes);
              ++pieces_;
              return {};
            }};
  }
  const std::string& text() const { return text_; }
  std::size_t pieces() const { return pieces_; }
  // PostgreSQL's rule (parse_manifest.c, verify_manifest_checksum).
  void check_checksum() const {
    ASSERT_TRUE(text_.ends_with("\"}\n"));
    const auto line = text_.rfind('\n', text_.size() - 2) + 1;
    EXPECT_EQ(text_.substr(line),
              fmt::format("\"Manifest-Checksum\": \"{}\"}}\n",
                          to_hex(sha256(as_bytes(std::string_view(text_).substr(0, line))))));
  }

 private:
  std::string text_;
  std::size_t pieces_ = 0;
};

const auto kTime = Timestamp::from_unix_us(1'772'356'500'900'000);  // 2026-03-01 09:15:00.9

TEST(ServerManifestTest, TheTextIsPostgresqls) {
  Collected collected;
  auto writer = collected.writer();
  must(writer.add_file("base/5/1249", 8192, kTime));
  must(writer.add_file("global/1262", 0, kTime));
  must(writer.finish(TimelineId(3), Lsn(0x1'02000028), Lsn(0x1'02000158)));
  EXPECT_THAT(collected.text(),
              testing::StartsWith(
                  "{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n"
                  "\"System-Identifier\": 7390000000000000001,\n"
                  "\"Files\": [\n"
                  "{ \"Path\": \"base/5/1249\", \"Size\": 8192, \"Last-Modified\": \"2026-03-01 "
                  "09:15:00 GMT\" },\n"
                  "{ \"Path\": \"global/1262\", \"Size\": 0, \"Last-Modified\": \"2026-03-01 "
                  "09:15:00 GMT\" }\n"
                  "],\n"
                  "\"WAL-Ranges\": [\n"
                  "{ \"Timeline\": 3, \"Start-LSN\": \"1/2000028\", \"End-LSN\": \"1/2000158\" }\n"
                  "],\n"
                  "\"Manifest-Checksum\": \""));
  collected.check_checksum();
  EXPECT_TRUE(nlohmann::json::accept(collected.text()));
}

TEST(ServerManifestTest, WithoutFilesAndWithManyItIsJsonOfBoundedPieces) {
  for (const int files : {0, 1, 20'000}) {
    Collected collected;
    auto writer = collected.writer();
    for (int i = 0; i < files; ++i) must(writer.add_file(fmt::format("base/5/{}", i), 8192, kTime));
    must(writer.finish(TimelineId(1), Lsn(0x28), Lsn(0x100)));
    collected.check_checksum();
    const auto json = nlohmann::json::parse(collected.text());
    EXPECT_EQ(json["Files"].size(), static_cast<std::size_t>(files));
    EXPECT_GE(collected.pieces(), collected.text().size() / (80 << 10));
  }
}

TEST(ServerManifestTest, NamesThatJsonWouldEscapeGoInHex) {
  Collected collected;
  auto writer = collected.writer();
  must(writer.add_file("a\"b\xff", 1, kTime));
  must(writer.finish(TimelineId(1), Lsn(0x28), Lsn(0x100)));
  EXPECT_THAT(collected.text(), testing::HasSubstr("{ \"Encoded-Path\": \"612262ff\", \"Size\""));
}

TEST(ServerManifestTest, AnErrorOfTheReceiverIsPassedOn) {
  ServerManifestWriter writer(1, [](ByteView) -> Result<void> { return Error::transient("gone"); });
  const auto result = writer.finish(TimelineId(1), Lsn(0x28), Lsn(0x100));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::kTransient);
}

}  // namespace
}  // namespace pitr
