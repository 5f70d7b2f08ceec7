// The parameter names in a libpq connection string, in both forms ("host=… user=…" and
// "postgresql://…"), so that the configuration can refuse some of them without libpq. Syntax as
// conninfo_parse() and conninfo_uri_parse_options() in PostgreSQL's fe-connect.c take it. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace pitr {

// A password inside a URI counts as the parameter "password". kInvalid where the string is
// malformed.
Result<std::vector<std::string>> conninfo_keywords(std::string_view conninfo);

}  // namespace pitr
