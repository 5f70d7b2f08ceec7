// The description of the HTTP API, docs/openapi.json, as it was when this was built.
#pragma once

#include <string_view>

namespace pitr {

std::string_view openapi_text();

}  // namespace pitr
