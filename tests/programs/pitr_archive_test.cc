#include "programs/small_program_test.h"

namespace pitr {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class PitrArchiveTest : public SmallProgramTest {
 protected:
  PitrArchiveTest() : SmallProgramTest("pitr-archive") {}

  Finished run(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"--socket", socket_.string(), "--cluster=main"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.push_back("pg_wal/0001 %");
    return start(arguments).wait();
  }
};

TEST_F(PitrArchiveTest, SucceedsOnceTheAgentHasStoredTheSegment) {
  ScriptedServer agent(socket_, answer("200 OK"));
  make_full_program();
  const auto finished = run();
  EXPECT_EQ(finished.exit_code, 0) << finished.standard_error;
  EXPECT_EQ(finished.standard_error, "");
  EXPECT_EQ(full_program_arguments(), "(not called)");
  std::string path;
  for (const char c : (directory_ / "data/pg_wal").string()) {
    path += c == '/' ? std::string("%2F") : std::string(1, c);
  }
  EXPECT_THAT(agent.requests().at(0),
              StartsWith("POST /v1/clusters/main/wal?path=" + path + "%2F0001%20%25 HTTP/1.1\r\n"));
}

TEST_F(PitrArchiveTest, WithoutAClusterTheOnlyOneIsMeant) {
  ScriptedServer agent(socket_, answer("200 OK"));
  EXPECT_EQ(start({"--socket=" + socket_.string(), "/w"}).wait().exit_code, 0);
  EXPECT_THAT(agent.requests().at(0), StartsWith("POST /v1/clusters/-/wal?path=%2Fw HTTP/1.1\r\n"));
}

TEST_F(PitrArchiveTest, TheSocketMayComeFromTheEnvironment) {
  ScriptedServer agent(socket_, answer("200 OK"));
  EXPECT_EQ(start({"/w"}, {"PITR_SOCKET=" + socket_.string()}).wait().exit_code, 0);
}

TEST_F(PitrArchiveTest, ARefusalFailsWithItsReason) {
  make_full_program();
  for (const char* status : {"400 Bad Request", "403 Forbidden", "409 Conflict",
                             "500 Internal Server Error", "204 No Content", "302 Found"}) {
    ScriptedServer agent(socket_, answer(status, "other content is stored under this name",
                                         "X-Pitr-Hint: look at it\r\n"));
    const auto finished = run();
    EXPECT_EQ(finished.exit_code, 1) << status;
    EXPECT_EQ(finished.standard_error,
              "pitr-archive: other content is stored under this name: look at it\n");
    EXPECT_EQ(full_program_arguments(), "(not called)");
  }
}

TEST_F(PitrArchiveTest, WhereNobodyListensTheFullProgramIsRun) {
  make_full_program();
  EXPECT_EQ(run({"--config", "/c.yaml"}).exit_code, 42);
  EXPECT_EQ(full_program_arguments(), "archive-wal\n--config\n/c.yaml\n--cluster\nmain\n" +
                                          (directory_ / "data/pg_wal/0001 %").string() + "\n");
}

TEST_F(PitrArchiveTest, AStaleSocketCountsAsNobody) {
  UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
  const auto address = testing_support::unix_address(socket_);
  ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  make_full_program();
  const auto finished = run();
  EXPECT_EQ(finished.exit_code, 42);
  EXPECT_EQ(finished.standard_error, "");
}

TEST_F(PitrArchiveTest, ASocketThatCannotBeOpenedIsReportedAndTheFullProgramIsRun) {
  make_full_program();
  socket_ = directory_ / std::string(120, 'x');
  const auto finished = run();
  EXPECT_EQ(finished.exit_code, 42);
  EXPECT_THAT(finished.standard_error, HasSubstr("the socket's path is too long"));
}

TEST_F(PitrArchiveTest, AnAgentThatCannotOrDoesNotKnowLeavesItToTheFullProgram) {
  make_full_program();
  for (const char* status : {"503 Service Unavailable", "404 Not Found"}) {
    ScriptedServer agent(socket_, answer(status, "no"));
    EXPECT_EQ(run().exit_code, 42) << status;
  }
}

TEST_F(PitrArchiveTest, TheFullProgramIsLookedForInThePath) {
  make_full_program(directory_ / "elsewhere" / "pitr");
  const auto finished =
      start({"--socket", socket_.string(), "w"}, {"PATH=" + (directory_ / "elsewhere").string()})
          .wait();
  EXPECT_EQ(finished.exit_code, 42);
}

TEST_F(PitrArchiveTest, WithoutAFullProgramItFailsWithinTheCodesThatPostgresqlCounts) {
  const auto finished = run();
  EXPECT_EQ(finished.exit_code, 1);
  EXPECT_THAT(finished.standard_error, HasSubstr("the program pitr could not be run"));
}

TEST_F(PitrArchiveTest, ALostAnswerFailsAndTheSegmentIsTriedAgain) {
  make_full_program();
  for (const std::string& bytes :
       {std::string(), std::string("HTTP/1.1 200 OK\r\n"), std::string("HTTP/1.1 200 OK\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
        std::string("HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n"), std::string("200\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nX: ") + std::string(100'000, 'x'),
        std::string(100'000, '\0')}) {
    ScriptedServer agent(socket_, bytes);
    const auto finished = run();
    EXPECT_EQ(finished.exit_code, 1) << bytes.substr(0, 100);
    EXPECT_THAT(finished.standard_error, HasSubstr("answer was lost"));
  }
  ScriptedServer silent(socket_, "", ScriptedServer::After::kHold);
  EXPECT_EQ(run({"--timeout", "1"}).exit_code, 1);
  EXPECT_EQ(full_program_arguments(), "(not called)");
}

TEST_F(PitrArchiveTest, BadUsageIsRefusedWithOneLine) {
  const std::string socket = socket_.string();
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{},
                                                    {""},
                                                    {"a", "b"},
                                                    {"--help"},
                                                    {"--frobnicate", "a"},
                                                    {"a", "--cluster"},
                                                    {"a", "--socket="},
                                                    {"a", "--timeout=0"},
                                                    {"a", "--timeout=1x"},
                                                    {"a", "--timeout=99999999999"},
                                                    {"--clusters=x", "a"}}) {
    const auto finished = start(arguments).wait();
    EXPECT_EQ(finished.exit_code, 2);
    EXPECT_THAT(finished.standard_error, StartsWith("pitr-archive: usage: "));
    EXPECT_EQ(std::count(finished.standard_error.begin(), finished.standard_error.end(), '\n'), 1);
  }
}

TEST_F(PitrArchiveTest, APathTooLongIsRefused) {
  ScriptedServer agent(socket_, answer("200 OK"));
  EXPECT_EQ(start({"--socket", socket_.string(), std::string(5000, 'x')}).wait().exit_code, 1);
  EXPECT_TRUE(agent.requests().empty());
}

TEST_F(PitrArchiveTest, TheSmallProgramsLinkLibcOnly) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers bring libraries of their own";
#endif
  for (const std::string program : {"pitr-archive", "pitr-wal-get"}) {
    const Path file = Path(PITR_PROGRAM_DIRECTORY) / program;
    const std::string command = "ldd " + file.string() + " > " + (directory_ / "ldd").string();
    ASSERT_EQ(std::system(command.c_str()), 0);
    const auto libraries = read_text_file(directory_ / "ldd").value();
    EXPECT_THAT(libraries, HasSubstr("libc.so.6"));
    EXPECT_EQ(std::count(libraries.begin(), libraries.end(), '\n'), 3) << libraries;
  }
}

}  // namespace
}  // namespace pitr
