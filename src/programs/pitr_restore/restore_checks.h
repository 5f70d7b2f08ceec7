// What can be known of a request before anything is written: a dry run and a real one refuse the
// same, here. Functions only.
#pragma once

#include "programs/pitr_restore/restore_run.h"

namespace pitr {

// Of the command line alone: settings, tablespace mappings, archive mode and port; with --start
// whether somebody listens there. kInvalid, kConflict.
Result<void> check_arguments(const RestoreArguments& arguments);

// Of a directory to restore to, links followed: whether it and the repository contain one another.
// Files would get among the repository's, or the repository would be cleared away. kInvalid.
Result<void> check_apart(const Path& place, const Path& repository);

// With --start: whether the server's programs are there. kNotFound with the places.
Result<void> check_programs(const RestoreArguments& arguments, const RestorePlan& plan);

}  // namespace pitr
