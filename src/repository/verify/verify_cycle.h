// Which part of the packs and WAL a run of the cycle verifies, so that everything is verified once
// in a period, and the memory of that: small objects, each of which says all that is known, so that
// a run that is killed loses what it had not yet stored. docs/repository-format.md, "Verification".
//
// A unit is a pack or the complete segments of one log (4 GiB of WAL). units_due() is a pure
// function; the others are thread-safe.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "repository/verify/verify.h"

namespace pitr {

struct CheckedUnit {
  Timestamp time;
  bool is_right = true;
  // When the newest of its objects that were read was stored, by the store's clock.
  Timestamp newest;
};

struct CycleState {
  std::optional<Timestamp> began;              // none: no run yet
  std::optional<Timestamp> last_run;           // that chose units
  std::map<std::string, CheckedUnit> checked;  // in full, by unit
};

// What is stored, put together. What can't be read is left out: its units are verified again.
Result<CycleState> read_cycle_state(const IncarnationStore& store);
// Durable on return; replaces what was read.
Result<void> put_cycle_state(const IncarnationStore& store, const CycleState& state);

struct CycleUnit {
  std::string name;
  std::uint64_t size_bytes = 0;
  Timestamp since;  // checked last, or there to be checked
};

// Numbers of units, those that wait longest first. At least one, where there are any.
// elapsed: since the run before.
std::vector<std::size_t> units_due(std::span<const CycleUnit> units, const VerifyCycle& cycle,
                                   Microseconds elapsed, Timestamp now);

}  // namespace pitr
