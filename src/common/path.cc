#include "common/path.h"

#include <algorithm>

namespace pitr {

bool is_inside(const std::filesystem::path& inner, const std::filesystem::path& outer) {
  const auto mismatch = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  // A path that ends in a slash has an empty last part.
  return mismatch.first == outer.end() || mismatch.first->empty();
}

}  // namespace pitr
