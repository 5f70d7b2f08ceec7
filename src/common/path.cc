#include "common/path.h"

#include <algorithm>

namespace pitr {

bool is_inside(const std::filesystem::path& inner, const std::filesystem::path& outer) {
  const auto mismatch = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  // A path that ends in a slash has an empty last part.
  return mismatch.first == outer.end() || mismatch.first->empty();
}

bool contain_one_another(const std::filesystem::path& a, const std::filesystem::path& b) {
  return is_inside(a, b) || is_inside(b, a);
}

}  // namespace pitr
