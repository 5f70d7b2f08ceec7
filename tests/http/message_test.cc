#include "http/message.h"

#include "http/router.h"

namespace pitr::http {
namespace {

TEST(MessageTest, ATargetIsSplitAndDecoded) {
  const auto request =
      Request::create("POST", "/v1/clusters/main/wal?path=%2Fa%20b%26c&empty&x=y=z");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->segments, (std::vector<std::string>{"v1", "clusters", "main", "wal"}));
  EXPECT_EQ(request->query_value("path"), "/a b&c");
  EXPECT_EQ(request->query_value("empty"), "");
  EXPECT_EQ(request->query_value("x"), "y=z");
  EXPECT_EQ(request->query_value("missing"), "");
}

TEST(MessageTest, ATargetComesBackAsItWas) {
  const auto request = Request::create("GET", "/a%2Fb/%25?k%3D=v%26");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->segments[0], "a/b");
  EXPECT_EQ(request->target(), "/a%2Fb/%25?k%3D=v%26");
  EXPECT_EQ(Request::create("GET", "/").value().target(), "/");
}

TEST(MessageTest, MalformedTargetsAreRefused) {
  for (const std::string target :
       {"", "v1", "*", "http://host/", "/a%2", "/a%zz", "/a%00b", "/?a=%g1"}) {
    const auto request = Request::create("GET", target);
    ASSERT_FALSE(request) << target;
    EXPECT_EQ(request.error().kind(), ErrorKind::kInvalid);
  }
  std::string deep;
  for (int i = 0; i < 33; ++i) deep += "/x";
  EXPECT_FALSE(Request::create("GET", deep));
}

TEST(MessageTest, EveryErrorKindSurvivesTheWay) {
  for (const auto kind :
       {ErrorKind::kTransient, ErrorKind::kNotFound, ErrorKind::kConflict, ErrorKind::kCorrupt,
        ErrorKind::kInvalid, ErrorKind::kDenied, ErrorKind::kCancelled, ErrorKind::kInternal}) {
    const auto response = Response::of(Error(kind, "what").with_hint("do this"));
    EXPECT_FALSE(response.ok());
    EXPECT_EQ(response.error().kind(), kind);
    EXPECT_EQ(response.error().message(), "what");
    EXPECT_EQ(response.error().hint(), "do this");
  }
}

TEST(MessageTest, AForeignErrorIsReadByItsStatus) {
  Response response;
  response.status = 404;
  EXPECT_EQ(response.error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(response.error().message(), "the answer was HTTP status 404");
  response.status = 418;
  EXPECT_EQ(response.error().kind(), ErrorKind::kInvalid);
  response.status = 502;
  EXPECT_EQ(response.error().kind(), ErrorKind::kInternal);
}

class RouterTest : public testing::Test {
 protected:
  RouterTest() {
    const auto echo = [](const char* name) {
      return [name](const Request& request) {
        Response response;
        response.body = std::string(name) + ":" + request.parameter("cluster");
        return response;
      };
    };
    router_.add("GET", "/v1/status", echo("status"));
    router_.add("POST", "/v1/clusters/{cluster}/wal", echo("push"));
    router_.add("DELETE", "/v1/clusters/{cluster}/wal", echo("delete"));
    router_.add("GET", "/v1/throws",
                [](const Request&) -> Response { throw std::runtime_error("broken"); });
  }
  Response route(std::string_view method, std::string_view target) {
    return router_.route(Request::create(method, target).value());
  }
  Router router_;
};

TEST_F(RouterTest, MethodAndPathChooseTheHandler) {
  EXPECT_EQ(route("GET", "/v1/status").body, "status:");
  EXPECT_EQ(route("POST", "/v1/clusters/main/wal").body, "push:main");
  EXPECT_EQ(route("DELETE", "/v1/clusters/a%2Fb/wal").body, "delete:a/b");
}

TEST_F(RouterTest, UnknownPathsAndMethodsAreRefused) {
  EXPECT_EQ(route("GET", "/v1").status, 404);
  EXPECT_EQ(route("GET", "/v1/status/more").status, 404);
  EXPECT_EQ(route("POST", "/v1/clusters//wal").status, 404);
  const auto response = route("GET", "/v1/clusters/main/wal");
  EXPECT_EQ(response.status, 405);
  EXPECT_EQ(response.headers.at("allow"), "POST, DELETE");
}

TEST_F(RouterTest, AnExceptionBecomesAnInternalError) {
  const auto response = route("GET", "/v1/throws");
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.error().kind(), ErrorKind::kInternal);
}

}  // namespace
}  // namespace pitr::http
