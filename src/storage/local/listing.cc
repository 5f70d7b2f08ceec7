#include "storage/local/listing.h"

#include <set>

namespace pitr {
namespace {

class Lister {
 public:
  Lister(FileSystem& files, std::string_view prefix, std::string_view token, std::size_t page_size)
      : files_(files), prefix_(prefix), token_(token), page_size_(page_size) {}

  Result<ListPage> run() {
    // Start in the deepest directory that the prefix names whole.
    const auto slash = prefix_.rfind('/');
    const std::string_view top = slash == std::string_view::npos ? "" : prefix_.substr(0, slash);
    const bool top_can_exist = slash == std::string_view::npos || ObjectKey::parse(top).has_value();
    if (top_can_exist) TRY(walk(std::string(top)));
    if (page_.objects.size() > page_size_) {
      page_.objects.pop_back();
      page_.next_token = page_.objects.back().key.text();
    }
    return std::move(page_);
  }

 private:
  // One more than the page holds, to know whether there's a next one.
  std::size_t still_wanted() const { return page_size_ + 1 - page_.objects.size(); }

  // Whether a key can be this path (of a directory: with its slash) or, for a directory, below it.
  bool is_wanted(std::string_view path) const {
    const bool is_directory = path.ends_with('/');
    if (!path.starts_with(prefix_) && !(is_directory && prefix_.starts_with(path))) return false;
    return path > token_ || (is_directory && token_.starts_with(path));
  }

  Result<void> walk(const std::string& directory) {
    std::string before;  // the last name that was dealt with
    while (const std::size_t limit = still_wanted()) {
      // The first names in order, of directories with their slash.
      const auto names = TRY(next_names(directory, before, limit));
      for (const auto& name : names) {
        if (still_wanted() == 0) return {};
        TRY(take(directory.empty() ? name : directory + "/" + name));
      }
      if (names.size() < limit) return {};
      before = *names.rbegin();
    }
    return {};
  }

  Result<std::set<std::string>> next_names(const std::string& directory, const std::string& before,
                                           std::size_t limit) {
    std::set<std::string> names;
    std::string path;
    const std::string parent = directory.empty() ? "" : directory + "/";
    const auto visit = [&](std::string_view name, EntryKind kind) {
      if (kind == EntryKind::kOther || name.starts_with('.')) return true;
      path = parent;
      path += name;
      if (kind == EntryKind::kDirectory) path += '/';
      const auto ordered_name = std::string_view(path).substr(parent.size());
      if (!is_wanted(path) || ordered_name <= before) return true;
      if (names.size() == limit && ordered_name >= *names.rbegin()) return true;
      names.emplace(ordered_name);
      if (names.size() > limit) names.erase(std::prev(names.end()));
      return true;
    };
    auto visited = files_.visit_entries(directory, visit);
    // A directory that isn't there holds no objects; one that cannot be read is an error.
    if (!visited && !(visited.error().kind() == ErrorKind::kNotFound && !directory.empty())) {
      return std::move(visited).error();
    }
    return names;
  }

  Result<void> take(const std::string& path) {
    const bool is_directory = path.ends_with('/');
    const auto key = ObjectKey::parse(path.substr(0, path.size() - (is_directory ? 1 : 0)));
    if (!key) return {};  // not ours, such as lost+found
    if (is_directory) return walk(key->text());
    const auto status = files_.status(path);
    if (!status && status.error().kind() == ErrorKind::kNotFound) return {};  // removed meanwhile
    if (!status) return status.error();
    page_.objects.push_back({*key, status->size_bytes, status->modified});
    return {};
  }

  FileSystem& files_;
  const std::string_view prefix_;
  const std::string_view token_;
  const std::size_t page_size_;
  ListPage page_;
};

}  // namespace

Result<ListPage> list_files(FileSystem& files, std::string_view prefix, std::string_view token,
                            std::size_t page_size) {
  return Lister(files, prefix, token, page_size).run();
}

}  // namespace pitr
