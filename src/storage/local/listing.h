// Objects below a FileSystem in the order of their keys, a page at a time.
//
// Keys are ordered by their bytes, so "a-b" < "a/c" < "a0": a directory takes the place of its name
// with the slash. Only directories that can hold matching keys after the token are read, and of
// each only as many names are kept as the page can take: memory doesn't grow with the repository.
#pragma once

#include <string_view>

#include "storage/local/filesystem.h"
#include "storage/storage.h"

namespace pitr {

// token: the last key of the page before, or empty. Names that no object can have are left out.
Result<ListPage> list_files(FileSystem& files, std::string_view prefix, std::string_view token,
                            std::size_t page_size);

}  // namespace pitr
