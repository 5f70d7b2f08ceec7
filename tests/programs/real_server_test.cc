#include "http/server.h"
#include "programs/small_program_test.h"

namespace pitr {
namespace {

// The hand-written client must understand what the project's own server sends.
class RealServerTest : public SmallProgramTest {
 protected:
  RealServerTest() : SmallProgramTest("pitr-wal-get") {
    http::Router router;
    router.add("GET", "/v1/wal/{file}", [](const http::Request& request) {
      http::Response response;
      if (request.parameter("file") == "present") {
        std::ofstream(request.query_value("to")) << "bytes";
      } else if (request.parameter("file") == "beyond") {
        response = http::Response::of(Error::not_found("beyond the plan"));
        response.headers["x-pitr-absent"] = "proven";
      } else {
        response = http::Response::of(Error::corrupt("damaged").with_hint("verify"));
      }
      return response;
    });
    server_ =
        http::Server::start({.socket_path = socket_, .group = {}, .limits = {}}, router).value();
    std::ofstream(directory_ / "plan") << "socket=" << socket_.string() << "\n";
  }
  Finished get(const std::string& file) {
    return start({"--plan", (directory_ / "plan").string(), file, "pg_wal/a %&="}).wait();
  }
  std::unique_ptr<http::Server> server_;
};

TEST_F(RealServerTest, DeliveryAbsenceAndTroubleAreTold) {
  EXPECT_EQ(get("present").exit_code, 0);
  EXPECT_EQ(read_text_file(directory_ / "data/pg_wal/a %&=").value(), "bytes");
  EXPECT_EQ(get("beyond").exit_code, 1);
  const auto damaged = get("damaged");
  EXPECT_EQ(damaged.exit_code, 200);
  EXPECT_EQ(damaged.standard_error, "pitr-wal-get: damaged: verify\n");
  EXPECT_EQ(get("un/known").exit_code, 200);
}

TEST_F(RealServerTest, ThePathToTheSocketMayNotBeAnythingElse) {
  server_->stop();
  std::ofstream(socket_) << "a file";
  EXPECT_EQ(get("present").exit_code, 200);
}

}  // namespace
}  // namespace pitr
