#include "postgres/connection.h"

#include "postgres/libpq_session.h"

namespace pitr {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ConninfoTest, DescriptionsNeverHoldThePassword) {
  for (const std::string conninfo :
       {"host=db port=5433 user=pitr dbname=x password=sekret",
        "postgresql://pitr:sekret@db:5433/x", "password=sekret", "sekret", "host=db 'sekret",
        "postgresql://pitr:p@sekret@db/x"}) {
    EXPECT_THAT(describe_conninfo(conninfo), Not(HasSubstr("sekret"))) << conninfo;
    const auto opened = Connection::open("connect_timeout=1 " + conninfo, {});
    if (opened) continue;
    EXPECT_THAT(opened.error().message(), Not(HasSubstr("sekret"))) << conninfo;
  }
  EXPECT_EQ(describe_conninfo("postgresql://pitr:sekret@db:5433/x"),
            "host=db port=5433 user=pitr dbname=x");
}

TEST(ConninfoTest, AnUnreadableStringIsInvalid) {
  EXPECT_EQ(Connection::open("host").error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(Connection::open("postgresql://u:p@ss@h/db").error().kind(), ErrorKind::kInvalid);
}

TEST(ConnectionTest, AnUnreachableServerIsTransient) {
  const auto opened = Connection::open("host=/nonexistent user=x dbname=x");
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error().kind(), ErrorKind::kTransient);
  EXPECT_THAT(opened.error().message(), HasSubstr("host=/nonexistent"));
}

TEST(SqlStateTest, KindsFollowTheState) {
  EXPECT_EQ(libpq::kind_of_sqlstate("28P01"), ErrorKind::kDenied);
  EXPECT_EQ(libpq::kind_of_sqlstate("57P03"), ErrorKind::kTransient);
  EXPECT_EQ(libpq::kind_of_sqlstate("53300"), ErrorKind::kTransient);
  EXPECT_EQ(libpq::kind_of_sqlstate("53400"), ErrorKind::kInvalid);
  EXPECT_EQ(libpq::kind_of_sqlstate("58P01"), ErrorKind::kNotFound);
  EXPECT_EQ(libpq::kind_of_sqlstate("58030"), ErrorKind::kTransient);
  EXPECT_EQ(libpq::kind_of_sqlstate("55006"), ErrorKind::kConflict);
  EXPECT_EQ(libpq::kind_of_sqlstate("42601"), ErrorKind::kInvalid);
}

TEST(QueryResultTest, ValuesAreTypedAndNamed) {
  const QueryResult result({"n", "b", "l", "x"}, {"42", "t", "0/10", std::nullopt});
  const auto row = result.only_row();
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->u64("n").value(), 42u);
  EXPECT_TRUE(row->boolean("b").value());
  EXPECT_EQ(row->lsn("l").value(), Lsn(16));
  EXPECT_FALSE(row->value("x").value().has_value());
  EXPECT_EQ(row->text("x").error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(row->text("y").error().kind(), ErrorKind::kInternal);
  EXPECT_EQ(row->u64("b").error().kind(), ErrorKind::kCorrupt);
  EXPECT_EQ(result[1].text("n").error().kind(), ErrorKind::kInternal);
  EXPECT_FALSE(QueryResult({"n"}, {"1", "2"}).only_row().has_value());
}

}  // namespace
}  // namespace pitr
