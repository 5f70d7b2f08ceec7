#include <dirent.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "agent/metrics/metric_page.h"
#include "agent/metrics/metrics.h"

namespace pitr {
namespace {

// Of /proc/self/stat, behind the command's name; proc(5) counts them from 3.
struct ProcessStat {
  double cpu_seconds = 0;
  double threads = 0;
  double started_ticks = 0;  // since boot
  double virtual_bytes = 0;
  double resident_bytes = 0;
};

ProcessStat read_stat() {
  std::ifstream file("/proc/self/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  ProcessStat stat;
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return stat;
  std::istringstream fields(text.substr(name_end + 1));
  const double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  std::string field;
  for (int number = 3; fields >> field; ++number) {
    const double value = std::strtod(field.c_str(), nullptr);
    if (number == 14 || number == 15) stat.cpu_seconds += value / ticks;
    if (number == 20) stat.threads = value;
    if (number == 22) stat.started_ticks = value;
    if (number == 23) stat.virtual_bytes = value;
    if (number == 24) stat.resident_bytes = value * static_cast<double>(::sysconf(_SC_PAGESIZE));
  }
  return stat;
}

double boot_time() {
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("btime ")) return std::strtod(line.c_str() + 6, nullptr);
  }
  return 0;
}

double open_files() {
  DIR* directory = ::opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  double count = -1;  // without the directory itself
  while (const dirent* entry = ::readdir(directory)) count += entry->d_name[0] != '.';
  ::closedir(directory);
  return count;
}

}  // namespace

void write_process(MetricPage& page) {
  static const double booted = boot_time();
  const auto stat = read_stat();
  const double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  page.gauge("pitr_build_info", "1; the labels tell which pitr this is.",
             {{"version", PITR_VERSION}}, 1);
  page.counter("process_cpu_seconds_total", "Processor time in user and system mode.", {},
               stat.cpu_seconds);
  page.gauge("process_start_time_seconds", "When the process started, in seconds since 1970.", {},
             booted + stat.started_ticks / ticks);
  page.gauge("process_resident_memory_bytes", "Memory in use.", {}, stat.resident_bytes);
  page.gauge("process_virtual_memory_bytes", "Address space in use.", {}, stat.virtual_bytes);
  page.gauge("process_threads", "Threads.", {}, stat.threads);
  page.gauge("process_open_fds", "Open file descriptors.", {}, open_files());
  page.gauge("process_max_fds", "How many file descriptors may be open.", {},
             static_cast<double>(files.rlim_cur));
}

}  // namespace pitr
