#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "storage/storage.h"

namespace pitr {

static constexpr std::size_t kLongestKey = 512;
static constexpr std::size_t kLongestPart = 255;  // Linux: NAME_MAX

static bool is_key_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

static bool is_key_part(std::string_view part) {
  if (part.empty() || part.size() > kLongestPart || part.front() == '.') return false;
  for (const char c : part) {
    if (!is_key_character(c)) return false;
  }
  return true;
}

Result<ObjectKey> ObjectKey::parse(std::string_view text) {
  std::string_view rest = text;
  bool valid = !text.empty() && text.size() <= kLongestKey;
  while (valid) {
    const auto slash = rest.find('/');
    valid = is_key_part(rest.substr(0, slash));
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  if (!valid) return Error::invalid(fmt::format("\"{}\" is not an object name", text));
  return ObjectKey(std::string(text));
}

ObjectKey ObjectKey::from_parts(std::string_view text) {
  auto key = parse(text);
  if (!key) {
    std::fprintf(stderr, "pitr: bug: malformed object name \"%.*s\"\n",
                 static_cast<int>(text.size()), text.data());
    std::abort();
  }
  return std::move(key).value();
}

Result<void> Storage::ensure_durable(const ObjectKey& key) {
  TRY(stat(key));
  return {};
}

Result<std::unique_ptr<Appender>> Storage::start_append(const ObjectKey& key) {
  return Error::invalid(fmt::format("{} cannot append to {}", description(), key.text()));
}

Result<std::vector<std::string>> Storage::list_folders(std::string_view prefix) {
  std::vector<std::string> folders;
  std::string token;
  do {
    auto page = TRY(list(prefix, token));
    for (const auto& object : page.objects) {
      const auto rest = std::string_view(object.key.text()).substr(prefix.size());
      const auto slash = rest.find('/');
      if (slash == std::string_view::npos) continue;
      folders.emplace_back(rest.substr(0, slash));
    }
    // Keys sort by byte, so "a-b/x" comes between "a" and "a/x": equal folders need not be
    // adjacent.
    std::ranges::sort(folders);
    folders.erase(std::ranges::unique(folders).begin(), folders.end());
    token = std::move(page.next_token);
  } while (!token.empty());
  return folders;
}

Result<std::vector<ObjectInfo>> list_all(Storage& storage, std::string_view prefix,
                                         std::size_t limit) {
  std::vector<ObjectInfo> objects;
  std::string token;
  do {
    auto page = TRY(storage.list(prefix, token));
    for (auto& object : page.objects) objects.push_back(std::move(object));
    if (objects.size() > limit) {
      return Error::invalid(fmt::format("more than {} objects below {}", limit, prefix));
    }
    token = std::move(page.next_token);
  } while (!token.empty());
  return objects;
}

}  // namespace pitr
