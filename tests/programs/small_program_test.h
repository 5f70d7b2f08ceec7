// A directory with copies of the small programs, a stand-in for the full program beside them, and
// room for a scripted server's socket.
#pragma once

#include <fstream>
#include <sstream>

#include "programs/run_program.h"
#include "support/raw_socket.h"

namespace pitr {

using testing_support::ScriptedServer;

class SmallProgramTest : public testing::Test {
 protected:
  explicit SmallProgramTest(const std::string& program) {
    std::string name = testing::TempDir() + "pitr-programs-XXXXXX";
    directory_ = std::filesystem::canonical(::mkdtemp(name.data()));
    std::filesystem::create_directories(directory_ / "bin");
    std::filesystem::create_directories(directory_ / "data" / "pg_wal");
    program_ = directory_ / "bin" / program;
    std::filesystem::copy_file(Path(PITR_PROGRAM_DIRECTORY) / program, program_);
    socket_ = directory_ / "s";
  }
  ~SmallProgramTest() override { std::filesystem::remove_all(directory_); }

  // A program that notes its arguments, one a line, and exits with 42.
  void make_full_program(const Path& path) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << "#!/bin/sh\nprintf '%s\\n' \"$@\" > " << directory_ / "called"
                        << "\nexit 42\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }
  void make_full_program() { make_full_program(directory_ / "bin" / "pitr"); }
  std::string full_program_arguments() {
    return read_text_file(directory_ / "called").value_or("(not called)");
  }

  RunningProgram start(std::vector<std::string> arguments,
                       std::vector<std::string> environment = {"PATH=/nonexistent"}) {
    arguments.insert(arguments.begin(), program_.string());
    return RunningProgram(std::move(arguments), directory_ / "data", std::move(environment));
  }

  static std::string answer(std::string_view status, std::string_view body = "",
                            std::string_view headers = "") {
    std::ostringstream text;
    text << "HTTP/1.1 " << status << "\r\n"
         << headers << "Content-Length: " << body.size() << "\r\n\r\n"
         << body;
    return text.str();
  }

  Path directory_;
  Path program_;
  Path socket_;
};

}  // namespace pitr
