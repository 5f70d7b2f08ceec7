// Steps the wall clock of servers started while it is in place: commit times then go back and
// forth. Uses tests/preload/stepped_clock.cc. One at a time; not thread-safe.
#pragma once

#include <fcntl.h>
#include <stdlib.h>

#include "common/bytes.h"
#include "common/clock.h"
#include "support/must.h"
#include "support/temporary_directory.h"

namespace pitr::test {

class SteppedClock {
 public:
  // Servers started until release() take this clock.
  explicit SteppedClock(const Path& library) : directory_(must(TemporaryDirectory::create())) {
    set(Microseconds(0));
    ::setenv("PITR_TEST_CLOCK_FILE", file().c_str(), 1);
    ::setenv("LD_PRELOAD", library.c_str(), 1);
  }
  ~SteppedClock() { release(); }
  void release() {
    ::unsetenv("LD_PRELOAD");
    ::unsetenv("PITR_TEST_CLOCK_FILE");
  }

  // From the real time, at once and for all processes.
  void set(Microseconds offset) {
    Bytes bytes(sizeof(std::int64_t));
    store<std::int64_t>(bytes.data(), offset.count());
    auto opened = must(File::open(file(), O_RDWR | O_CREAT));
    must(opened.write_at(bytes, 0));
  }

 private:
  Path file() const { return directory_ / "offset"; }
  TemporaryDirectory directory_;
};

}  // namespace pitr::test
