// The two programs behind pitr-wal-get, as functions that both pitr and pitr-restore call:
//   wal-serve --plan FILE        the prefetcher of a restore, on the plan's Unix socket
//   wal-get --plan FILE %f %p    one file, without prefetcher; a running server that asks so gets
//                                one for what follows
// FILE is pitr_restore/plan in the restored data directory; what they need stands beside it in
// plan.json. Exit codes of wal-get are those of pitr-wal-get: 0 delivered, 1 proven absent, 200.
#pragma once

#include <string>
#include <vector>

#include "common/clock.h"
#include "common/file.h"
#include "common/result.h"

namespace pitr {

struct WalServeOptions {
  Path plan;                         // pitr_restore/plan
  Seconds idle_limit{3600};          // ends without a request for so long
  Seconds start_limit{60};           // and where no server has started by then
  Milliseconds watch_interval{500};  // how often it looks whether recovery is over
};

// Serves until recovery is over (the server is in production), the server that was there is gone,
// none has started by start_limit, or idle_limit. kConflict where another one serves this restore.
Result<void> serve_wal(const WalServeOptions& options);

int get_wal_file(const Path& plan, const std::string& file_name, const Path& to);

// "wal-serve" and "wal-get" with their arguments, as they stand behind the program's name; the exit
// code.
int run_wal_command(const std::vector<std::string>& arguments);

// Starts `program wal-serve --plan FILE` in the background, in a session of its own, and waits
// until it answers. Its log is beside the plan.
Result<void> start_wal_serve(const Path& program, const Path& plan, Seconds timeout = Seconds(10));

}  // namespace pitr
