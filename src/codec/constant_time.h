// Comparing secrets.
#pragma once

#include "common/bytes.h"

namespace pitr {

// Takes as long wherever they differ.
bool equal_in_constant_time(ByteView a, ByteView b);

}  // namespace pitr
