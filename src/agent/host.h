// The name of this machine, for records that people read.
#pragma once

#include <string>

namespace pitr {

std::string host_name();

}  // namespace pitr
