// A wall clock that a test steps, for servers that it starts: preloaded (LD_PRELOAD), it adds the
// microseconds in the file that PITR_TEST_CLOCK_FILE names to what gettimeofday() says, which is
// what PostgreSQL takes commit times from (GetCurrentTimestamp in timestamp.c). Depends on libc
// alone; safe in forked processes and threads.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace {

const std::atomic<std::int64_t>* offset_us = nullptr;

__attribute__((constructor)) void map_offset() {
  const char* path = ::getenv("PITR_TEST_CLOCK_FILE");
  if (!path) return;
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  void* page = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, fd, 0);
  ::close(fd);
  if (page != MAP_FAILED) offset_us = static_cast<const std::atomic<std::int64_t>*>(page);
}

}  // namespace

extern "C" int gettimeofday(struct timeval* now, void*) noexcept {
  struct timespec real{};
  if (::clock_gettime(CLOCK_REALTIME, &real) != 0) return -1;
  const std::int64_t offset = offset_us ? offset_us->load(std::memory_order_relaxed) : 0;
  const std::int64_t us = std::int64_t{real.tv_sec} * 1'000'000 + real.tv_nsec / 1000 + offset;
  now->tv_sec = us / 1'000'000;
  now->tv_usec = us % 1'000'000;
  return 0;
}
