#include "agent/api/token_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "codec/keyring.h"
#include "restore/plan/timestamp_text.h"

namespace pitr {
namespace {

constexpr std::string_view kPrefix = "pitr_";
constexpr std::size_t kLongestName = 63;
constexpr std::uint64_t kLargestFile = 4ull << 20;
constexpr std::string_view kHead =
    "# Tokens of pitr's HTTP API, made by \"pitr token add\":\n"
    "# name role sha256 created expires clusters\n";

std::string time_text(Timestamp time) {
  auto text = to_string(time).substr(0, 19);
  text[10] = 'T';
  return text + "Z";
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const auto part = text.substr(0, text.find(separator));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

Result<Timestamp> parse_time(const std::string& text) {
  const auto time = TRY(parse_timestamp(text, "UTC")).time;
  if (time_text(time) != text) return Error::invalid("\"" + text + "\" is not a time");
  return time;
}

Result<ApiToken> parse_line(std::string_view line) {
  const auto fields = split(line, ' ');
  if (fields.size() != 6) return Error::invalid("a token's line has six fields");
  ApiToken token;
  token.name = fields[0];
  if (!is_token_name(token.name)) return Error::invalid("\"" + token.name + "\" is not a name");
  token.role = TRY(parse_role(fields[1]));
  const auto digest = from_hex(fields[2]);
  if (!digest || digest->size() != token.digest.size()) {
    return Error::invalid("the third field is not a SHA-256 in hexadecimal");
  }
  std::ranges::copy(*digest, token.digest.begin());
  token.created = TRY(parse_time(fields[3]));
  if (fields[4] != "never") token.expires = TRY(parse_time(fields[4]));
  if (fields[5] == "*") return token;
  token.clusters = split(fields[5], ',');
  if (token.clusters.empty()) return Error::invalid("the last field names no cluster");
  return token;
}

}  // namespace

bool is_token_name(std::string_view name) {
  constexpr std::string_view kFirst = "abcdefghijklmnopqrstuvwxyz0123456789";
  return !name.empty() && name.size() <= kLongestName && kFirst.contains(name.front()) &&
         name.find_first_not_of(std::string(kFirst) + "_-") == std::string_view::npos;
}

Result<std::string> make_token_text() {
  const auto secret = TRY(Secret256::random());
  return std::string(kPrefix) + to_hex(secret.bytes());
}

Sha256Digest token_digest(std::string_view text) {
  return sha256(as_bytes(text));
}

Result<std::vector<ApiToken>> parse_tokens(std::string_view text, const std::string& shown_path) {
  std::vector<ApiToken> tokens;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.empty() || line.starts_with('#')) continue;
    const auto where = fmt::format("{}:{}", shown_path, number);
    auto token = TRY(with_context(parse_line(line), where));
    if (std::ranges::find(tokens, token.name, &ApiToken::name) != tokens.end()) {
      return Error::invalid(fmt::format("{}: there are two tokens {}", where, token.name));
    }
    tokens.push_back(std::move(token));
  }
  return tokens;
}

std::string tokens_text(const std::vector<ApiToken>& tokens) {
  std::string text(kHead);
  for (const auto& token : tokens) {
    std::string clusters;
    for (const auto& cluster : token.clusters) clusters += (clusters.empty() ? "" : ",") + cluster;
    text +=
        fmt::format("{} {} {} {} {} {}\n", token.name, to_string(token.role), to_hex(token.digest),
                    time_text(token.created), token.expires ? time_text(*token.expires) : "never",
                    clusters.empty() ? "*" : clusters);
  }
  return text;
}

Result<std::vector<ApiToken>> read_token_file(const Path& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    return Error::from_errno(errno, "reading the tokens in " + path.native());
  }
  if ((status.st_mode & S_IWOTH) != 0) {
    return Error::denied("everybody may write to " + path.native() + ", so its tokens don't count")
        .with_hint("chmod 0640 " + path.native());
  }
  const auto text = TRY(read_text_file(path, kLargestFile));
  return parse_tokens(text, path.native());
}

Result<void> change_token_file(
    const Path& path, const std::function<Result<void>(std::vector<ApiToken>& tokens)>& change) {
  auto lock = TRY(File::open(path.native() + ".lock", O_RDWR | O_CREAT));
  if (::flock(lock.fd(), LOCK_EX) != 0) {
    return Error::from_errno(errno, "locking " + lock.path().native());
  }
  auto tokens = read_token_file(path);
  const bool is_new = !tokens && tokens.error().kind() == ErrorKind::kNotFound;
  if (is_new) tokens = std::vector<ApiToken>();
  if (!tokens) return tokens.error();
  TRY(change(*tokens));
  struct stat before{};
  const Path& owner = is_new ? path.parent_path() : path;
  if (::stat(owner.c_str(), &before) != 0) return Error::from_errno(errno, owner.native());
  TRY(write_file_durably(path, as_bytes(tokens_text(*tokens)), 0640));
  // Made by root it is still for the agent's user to read.
  const auto user = is_new ? static_cast<uid_t>(-1) : before.st_uid;
  if (::geteuid() == 0 && ::chown(path.c_str(), user, before.st_gid) != 0) {
    return Error::from_errno(errno, "giving " + path.native() + " to the agent's group");
  }
  return {};
}

}  // namespace pitr
