// Ends what is left of a PostgreSQL server whose postmaster is dead or about to be killed.
#pragma once

#include "common/file.h"

namespace pitr::test {

// SIGKILL to every process that works in the data directory (each process of a server does, and
// nothing else), waits until they are gone, and removes the shared memory that postmaster.pid
// names when nothing is attached to it: nobody else would before the next start.
void end_server_processes(const Path& data_directory);

}  // namespace pitr::test
