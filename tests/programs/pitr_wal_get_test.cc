#include "programs/small_program_test.h"

namespace pitr {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kSegment = "000000010000000000000003";

class PitrWalGetTest : public SmallProgramTest {
 protected:
  PitrWalGetTest() : SmallProgramTest("pitr-wal-get") {
    write_plan("# for pitr-wal-get\n\nsocket=" + socket_.string() + "\nother=ignored\ntimeout_s=1");
  }

  void write_plan(const std::string& text) { std::ofstream(plan_) << text; }
  void put_segment() { std::ofstream(directory_ / "data/pg_wal/RECOVERYXLOG") << "bytes"; }
  RunningProgram start_get() {
    return start({"--plan", plan_.string(), kSegment, "pg_wal/RECOVERYXLOG"});
  }
  Finished run() { return start_get().wait(); }

  const Path plan_ = directory_ / "plan";
};

TEST_F(PitrWalGetTest, SucceedsOnceTheFileIsThere) {
  ScriptedServer prefetcher(socket_, answer("200 OK"));
  put_segment();
  const auto finished = run();
  EXPECT_EQ(finished.exit_code, 0) << finished.standard_error;
  EXPECT_EQ(finished.standard_error, "");
  EXPECT_THAT(prefetcher.requests().at(0),
              StartsWith(std::string("GET /v1/wal/") + kSegment + "?to=%2F"));
  EXPECT_THAT(prefetcher.requests().at(0), HasSubstr("data%2Fpg_wal%2FRECOVERYXLOG HTTP/1.1\r\n"));
}

TEST_F(PitrWalGetTest, DoesNotBelieveInAFileThatIsNotThere) {
  ScriptedServer prefetcher(socket_, answer("200 OK"));
  EXPECT_EQ(run().exit_code, 200);
}

TEST_F(PitrWalGetTest, OnlyProvenAbsenceIsReportedAsAbsence) {
  make_full_program();
  {
    ScriptedServer prefetcher(socket_, answer("404 Not Found", "", "x-pitr-ABSENT:  proven \r\n"));
    EXPECT_EQ(run().exit_code, 1);
  }
  for (const auto& bytes :
       {answer("404 Not Found", "no such route"),
        answer("404 Not Found", "", "X-Pitr-Absent: no\r\n"),
        answer("404 Not Found", "", "X-Pitr-Absent: proven?\r\n"),
        answer("404 Not Found", "X-Pitr-Absent: proven\r\n"),
        answer("404 Not Found", "", "Y: X-Pitr-Absent: proven\r\n"),
        answer("410 Gone", "", "X-Pitr-Absent: proven\r\n"),
        answer("500 Internal Server Error", "", "X-Pitr-Absent: proven\r\n"),
        std::string("HTTP/1.1 404 Not Found\r\nX-Pitr-Absent: proven\r\n\r\n")}) {
    ScriptedServer prefetcher(socket_, bytes);
    EXPECT_EQ(run().exit_code, 200) << bytes;
  }
  EXPECT_EQ(full_program_arguments(), "(not called)");
}

TEST_F(PitrWalGetTest, TroubleExitsAbove125WithTheReason) {
  make_full_program();
  put_segment();
  for (const auto& bytes :
       {answer("503 Service Unavailable", "storage is away"), answer("500 X", "storage is away"),
        answer("403 Forbidden", "storage is away"), answer("204 No Content", "storage is away"),
        answer("206 Partial Content", "storage is away")}) {
    ScriptedServer prefetcher(socket_, bytes);
    const auto finished = run();
    EXPECT_EQ(finished.exit_code, 200) << bytes;
    EXPECT_EQ(finished.standard_error, "pitr-wal-get: storage is away\n");
  }
  EXPECT_EQ(full_program_arguments(), "(not called)");
}

TEST_F(PitrWalGetTest, ALostAnswerExitsAbove125) {
  make_full_program();
  put_segment();
  for (const std::string& bytes :
       {std::string("garbage\r\n\r\n"), std::string("HTTP/1.1 200 OK\r\n\r\n"),
        std::string("HTTP/1.0 200 OK\r\n\r\n"), std::string(9000, '\n')}) {
    ScriptedServer prefetcher(socket_, bytes);
    EXPECT_EQ(run().exit_code, 200) << bytes;
  }
  // Who only takes long may put the file there later.
  ScriptedServer silent(socket_, "HTTP/1.1 200 OK\r\n", ScriptedServer::After::kHold);
  EXPECT_EQ(run().exit_code, 200);
  EXPECT_EQ(full_program_arguments(), "(not called)");
}

TEST_F(PitrWalGetTest, WhereThePrefetcherGoesInTheMiddleTheFullProgramIsRun) {
  make_full_program();
  put_segment();
  for (const std::string& bytes :
       {std::string(), std::string("HTTP/1.1 200 OK\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"),
        // Half an answer proves nothing.
        std::string("HTTP/1.1 404 Not Found\r\nX-Pitr-Absent: proven\r\n"),
        std::string(
            "HTTP/1.1 404 Not Found\r\nX-Pitr-Absent: proven\r\nContent-Length: 3\r\n\r\nx")}) {
    ScriptedServer prefetcher(socket_, bytes);
    const auto finished = run();
    EXPECT_EQ(finished.exit_code, 42) << bytes;
    EXPECT_THAT(finished.standard_error, HasSubstr("the prefetcher's answer was lost"));
  }
}

TEST_F(PitrWalGetTest, WhereNobodyListensTheFullProgramIsRun) {
  make_full_program();
  EXPECT_EQ(run().exit_code, 42);
  EXPECT_EQ(full_program_arguments(),
            "wal-get\n--plan\n" + plan_.string() + "\n" + kSegment + "\npg_wal/RECOVERYXLOG\n");
}

TEST_F(PitrWalGetTest, ThePlanMayNameTheFullProgramAndNoSocket) {
  make_full_program(directory_ / "elsewhere" / "other-name");
  write_plan("program=" + (directory_ / "elsewhere" / "other-name").string() + "\n");
  EXPECT_EQ(run().exit_code, 42);
}

TEST_F(PitrWalGetTest, WithoutAFullProgramItExitsAbove125) {
  const auto finished = run();
  EXPECT_EQ(finished.exit_code, 200);
  EXPECT_THAT(finished.standard_error, HasSubstr("the program pitr could not be run"));
}

TEST_F(PitrWalGetTest, APlanThatCannotBeReadOrUsedExitsAbove125) {
  make_full_program();
  const std::string socket = "socket=" + socket_.string() + "\n";
  for (const auto& text :
       {socket + "timeout_s=0\n", socket + "timeout_s=soon\n", "socket=" + std::string(5000, 'x'),
        socket + std::string(70'000, '#'), std::string("socket=/a\0b", 11)}) {
    write_plan(text);
    EXPECT_EQ(run().exit_code, 200) << text.substr(0, 100);
  }
  std::filesystem::remove(plan_);
  EXPECT_EQ(run().exit_code, 200);
  std::filesystem::create_directory(plan_);
  EXPECT_EQ(run().exit_code, 200);
  EXPECT_EQ(full_program_arguments(), "(not called)");
}

TEST_F(PitrWalGetTest, BadUsageExitsAbove125) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{},
        {"--plan", plan_.string()},
        {"--plan", plan_.string(), kSegment},
        {kSegment, "to"},
        {"--plan", plan_.string(), kSegment, "to", "more"},
        {"--help"},
        {"--plan=", kSegment, "to"},
        {"--plan", plan_.string(), kSegment, ""}}) {
    const auto finished = start(arguments).wait();
    EXPECT_EQ(finished.exit_code, 200);
    EXPECT_THAT(finished.standard_error, StartsWith("pitr-wal-get: usage: "));
  }
}

TEST_F(PitrWalGetTest, SigtermEndsItAsPostgresqlExpects) {
  write_plan("socket=" + socket_.string() + "\n");
  ScriptedServer silent(socket_, "", ScriptedServer::After::kHold);
  auto program = start_get();
  silent.wait_for_request();
  program.send_signal(SIGTERM);
  EXPECT_EQ(program.wait().signal, SIGTERM);
}

}  // namespace
}  // namespace pitr
