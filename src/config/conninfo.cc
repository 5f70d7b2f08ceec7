#include "config/conninfo.h"

#include <fmt/format.h>

#include <cctype>

namespace pitr {
namespace {

bool is_blank(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

// Reads "keyword = value" pairs from left to right.
class PairScanner {
 public:
  explicit PairScanner(std::string_view text) : text_(text) {}

  Result<std::vector<std::string>> keywords() {
    std::vector<std::string> result;
    for (skip_blanks(); !at_end(); skip_blanks()) {
      auto keyword = TRY(scan_keyword());
      result.push_back(std::move(keyword));
      TRY(skip_value());
    }
    return result;
  }

 private:
  bool at_end() const { return at_ >= text_.size(); }
  void skip_blanks() {
    while (!at_end() && is_blank(text_[at_])) ++at_;
  }

  Result<std::string> scan_keyword() {
    const std::size_t start = at_;
    while (!at_end() && text_[at_] != '=' && !is_blank(text_[at_])) ++at_;
    const auto keyword = text_.substr(start, at_ - start);
    skip_blanks();
    if (at_end() || text_[at_] != '=') {
      return Error::invalid(fmt::format("\"=\" is missing after \"{}\"", keyword));
    }
    ++at_;
    return std::string(keyword);
  }

  Result<void> skip_value() {
    skip_blanks();
    const bool quoted = !at_end() && text_[at_] == '\'';
    if (quoted) ++at_;
    for (; !at_end(); ++at_) {
      if (text_[at_] == '\\') {
        ++at_;
      } else if (quoted ? text_[at_] == '\'' : is_blank(text_[at_])) {
        ++at_;
        return {};
      }
    }
    if (quoted) return Error::invalid("a ' is missing at the end of a value");
    return {};
  }

  const std::string_view text_;
  std::size_t at_ = 0;
};

std::vector<std::string> uri_keywords(std::string_view rest) {
  std::vector<std::string> result;
  const auto authority = rest.substr(0, rest.find_first_of("/?"));
  const auto credentials = authority.substr(0, authority.find('@'));
  if (credentials.size() < authority.size() && credentials.find(':') != std::string_view::npos) {
    result.emplace_back("password");
  }
  auto parameters = rest.substr(std::min(rest.find('?'), rest.size()));
  while (!parameters.empty()) {
    parameters.remove_prefix(1);  // '?' or '&'
    const auto parameter = parameters.substr(0, parameters.find('&'));
    result.emplace_back(parameter.substr(0, parameter.find('=')));
    parameters.remove_prefix(parameter.size());
  }
  return result;
}

}  // namespace

Result<std::vector<std::string>> conninfo_keywords(std::string_view conninfo) {
  for (const std::string_view scheme : {"postgresql://", "postgres://"}) {
    if (conninfo.starts_with(scheme)) return uri_keywords(conninfo.substr(scheme.size()));
  }
  return PairScanner(conninfo).keywords();
}

}  // namespace pitr
