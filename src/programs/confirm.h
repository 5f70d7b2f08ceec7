// Asking before something is lost.
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"

namespace pitr {

// Prints the question on stderr and waits for "yes". kCancelled for any other answer. kInvalid
// without a terminal, which says with `what` that nobody could be asked: "retiring a key".
Result<void> confirm(std::string_view question, const std::string& what);

}  // namespace pitr
