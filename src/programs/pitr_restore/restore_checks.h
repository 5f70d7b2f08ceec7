// What can be known of a request before anything is written: a dry run and a real one refuse the
// same, here. Functions only.
#pragma once

#include "programs/pitr_restore/restore_run.h"

namespace pitr {

// Of the command line alone: settings, tablespace mappings, archive mode and port; with --start
// whether somebody listens there. kInvalid, kConflict.
Result<void> check_arguments(const RestoreArguments& arguments);

// With --start: whether the server's programs are there. kNotFound with the places.
Result<void> check_programs(const RestoreArguments& arguments, const RestorePlan& plan);

}  // namespace pitr
