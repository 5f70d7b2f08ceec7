// What paths say by their names alone. Pure.
#pragma once

#include <filesystem>

namespace pitr {

// Of normal paths. A directory lies inside itself.
bool is_inside(const std::filesystem::path& inner, const std::filesystem::path& outer);
// Whether one lies inside the other.
bool contain_one_another(const std::filesystem::path& a, const std::filesystem::path& b);

}  // namespace pitr
