#include "programs/small/small_program.h"

#include <string.h>
#include <unistd.h>

namespace pitr {

void complain(const char* program, std::string_view message, std::string_view detail) {
  FixedText<4096> line;
  line.add(program).add(": ").add(message);
  if (!detail.empty()) line.add(": ").add(detail);
  // The last byte may have been taken by a message that is too long.
  FixedText<4098> whole;
  whole.add(line.view()).add('\n');
  [[maybe_unused]] const auto written =
      ::write(STDERR_FILENO, whole.c_str(), whole.view().size());  // nobody else to tell
}

const char* option_value(char** argv, int& i, std::string_view name) {
  const std::string_view argument = argv[i];
  if (!argument.starts_with(name)) return nullptr;
  if (argument.size() > name.size()) {
    return argument[name.size()] == '=' ? argv[i] + name.size() + 1 : nullptr;
  }
  return argv[i + 1] ? argv[++i] : "";
}

int parse_timeout_s(std::string_view text) {
  constexpr int kDay = 86'400;
  int value = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '9' || value > kDay) return 0;
    value = value * 10 + (digit - '0');
  }
  return value <= kDay ? value : 0;
}

bool make_absolute(const char* path, PathText& into) {
  if (path[0] != '/') {
    char directory[PATH_MAX];
    if (!::getcwd(directory, sizeof directory)) return false;
    into.add(directory).add('/');
  }
  into.add(path);
  return !into.overflowed();
}

void run_full_program(const char* program, const char** argv) {
  argv[0] = "pitr";
  char** const arguments = const_cast<char**>(argv);  // execv(3) does not change them
  if (program) {
    ::execv(program, arguments);
    return;
  }
  char own[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", own, sizeof own - 1);
  if (length > 0) {
    own[length] = '\0';
    PathText beside;
    const char* const slash = ::strrchr(own, '/');
    beside.add({own, static_cast<std::size_t>(slash - own)}).add("/pitr");
    if (!beside.overflowed() && ::access(beside.c_str(), X_OK) == 0) {
      ::execv(beside.c_str(), arguments);
      return;
    }
  }
  ::execvp("pitr", arguments);
}

}  // namespace pitr
