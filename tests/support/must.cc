#include "support/must.h"

#include <fmt/format.h>

namespace pitr::test {

void fail_test(const Error& error, const std::source_location& where) {
  throw std::runtime_error(fmt::format("{}:{}: [{}] {}{}{}", where.file_name(), where.line(),
                                       to_string(error.kind()), error.message(),
                                       error.hint().empty() ? "" : "; ", error.hint()));
}

}  // namespace pitr::test
