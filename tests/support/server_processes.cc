#include "support/server_processes.h"

#include <poll.h>
#include <signal.h>
#include <sys/shm.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <sstream>
#include <string>

// glibc 2.36 forgot this header's own extern "C".
extern "C" {
#include <sys/pidfd.h>
}

namespace pitr::test {
namespace {

constexpr int kWaitForExitMs = 10'000;

// Kills the process if it works in the directory; true when it was one.
bool kill_if_server(int pid, const Path& data_directory) {
  // The descriptor first: it cannot come to mean another process after the look at its directory.
  const UniqueFd process(pidfd_open(pid, 0));
  if (!process) return false;
  std::error_code error;
  const Path works_in =
      std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/cwd", error);
  if (error || works_in != data_directory) return false;
  pidfd_send_signal(process.get(), SIGKILL, nullptr, 0);
  pollfd event{.fd = process.get(), .events = POLLIN, .revents = 0};
  poll(&event, 1, kWaitForExitMs);
  return true;
}

bool kill_round(const Path& data_directory) {
  bool found = false;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    if (!std::ranges::all_of(name, [](unsigned char c) { return std::isdigit(c) != 0; })) continue;
    found |= kill_if_server(std::stoi(name), data_directory);
  }
  return found;
}

// The seventh line of postmaster.pid: shared memory key and id.
void remove_shared_memory(const Path& data_directory) {
  std::ifstream file(data_directory / "postmaster.pid");
  std::string line;
  for (int number = 1; number <= 7; ++number) {
    if (!std::getline(file, line)) return;
  }
  std::istringstream fields(line);
  unsigned long key = 0;
  int id = 0;
  shmid_ds segment{};
  if (!(fields >> key >> id) || shmctl(id, IPC_STAT, &segment) != 0) return;
  if (segment.shm_nattch == 0 && static_cast<unsigned>(segment.shm_perm.__key) == key) {
    shmctl(id, IPC_RMID, nullptr);
  }
}

}  // namespace

void end_server_processes(const Path& data_directory) {
  std::error_code error;
  const Path canonical = std::filesystem::canonical(data_directory, error);
  if (error) return;
  // Again until none is found: a process may have been forked while the round went.
  while (kill_round(canonical)) {
  }
  remove_shared_memory(canonical);
}

}  // namespace pitr::test
