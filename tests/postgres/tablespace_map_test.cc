#include "postgres/tablespace_map.h"

namespace pitr {
namespace {

TEST(TablespaceMapTest, PathsWithEveryEscapeRoundTrip) {
  const std::vector<TablespaceMapEntry> entries = {
      {16385, "/srv/fast"}, {16386, "/srv/with space"}, {4294967295, "/a\nb\rc\\d"}, {1, "x=y "}};
  const auto text = build_tablespace_map(entries);
  EXPECT_EQ(parse_tablespace_map(text).value(), entries);
  EXPECT_EQ(build_tablespace_map({{7, "/a\nb\\"}}), "7 /a\\\nb\\\\\n");
  EXPECT_TRUE(parse_tablespace_map("").value().empty());
}

TEST(TablespaceMapTest, MalformedMapsAreCorrupt) {
  for (const std::string text :
       {"16385 /srv", "16385\n", "16385 \n", "0 /srv\n", "-1 /srv\n", "x /srv\n", "\n",
        "4294967296 /srv\n", " 16385 /srv\n", "16385 /srv\\"}) {
    EXPECT_EQ(parse_tablespace_map(text).error().kind(), ErrorKind::kCorrupt) << text;
  }
  EXPECT_FALSE(parse_tablespace_map(std::string_view("1 /a\0b\n", 7)).has_value());
}

}  // namespace
}  // namespace pitr
