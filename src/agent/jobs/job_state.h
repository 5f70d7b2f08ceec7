// The file in the local state directory in which a job runner keeps what it did last, as JSON.
// Losing it loses nothing: jobs whose last run isn't known are due at once, and backups are known
// from the repository. Functions only.
#pragma once

#include <map>

#include "agent/jobs/job_book.h"
#include "common/file.h"

namespace pitr {

using JobRecords = std::map<JobKind, JobRecord>;

// Nothing where there is no file. kCorrupt: it can't be read as what it should be.
Result<JobRecords> read_job_state(const Path& file);
// Durable; makes the directory.
Result<void> write_job_state(const Path& file, const JobRecords& records);

}  // namespace pitr
