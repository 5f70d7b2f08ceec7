#include "http/message.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

namespace pitr::http {
namespace {

constexpr std::size_t kMostSegments = 32;
constexpr std::size_t kMostQueryValues = 64;

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

std::string find_in(const std::map<std::string, std::string, std::less<>>& values,
                    std::string_view name) {
  const auto found = values.find(name);
  return found == values.end() ? std::string() : found->second;
}

Result<std::vector<std::string>> split_path(std::string_view path) {
  if (!path.starts_with('/')) return Error::invalid("the request's target must begin with \"/\"");
  std::vector<std::string> segments;
  while (!path.empty()) {
    path.remove_prefix(1);  // '/'
    const auto segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    if (segment.empty() && path.empty()) break;  // a slash at the end
    if (segments.size() == kMostSegments) return Error::invalid("the request's path is too deep");
    auto decoded = TRY(percent_decode(segment));
    segments.push_back(std::move(decoded));
  }
  return segments;
}

Result<Query> split_query(std::string_view text) {
  Query query;
  while (!text.empty()) {
    const auto pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    if (pair.empty()) continue;
    const auto equals = std::min(pair.find('='), pair.size());
    auto name = TRY(percent_decode(pair.substr(0, equals)));
    auto value = TRY(percent_decode(pair.substr(std::min(equals + 1, pair.size()))));
    query.insert_or_assign(std::move(name), std::move(value));
    if (query.size() > kMostQueryValues) return Error::invalid("the request's query is too long");
  }
  return query;
}

struct StatusOfKind {
  ErrorKind kind;
  int status;
};
// The first of a status is what it is read as where X-Pitr-Error is missing.
constexpr std::array<StatusOfKind, 8> kStatuses{{{ErrorKind::kInvalid, 400},
                                                 {ErrorKind::kDenied, 403},
                                                 {ErrorKind::kNotFound, 404},
                                                 {ErrorKind::kConflict, 409},
                                                 {ErrorKind::kTransient, 503},
                                                 {ErrorKind::kCancelled, 503},
                                                 {ErrorKind::kInternal, 500},
                                                 {ErrorKind::kCorrupt, 500}}};

ErrorKind kind_of(const Response& response) {
  const auto named = response.headers.find("x-pitr-error");
  for (const auto& [kind, status] : kStatuses) {
    if (named != response.headers.end() && named->second == to_string(kind)) return kind;
  }
  for (const auto& [kind, status] : kStatuses) {
    if (status == response.status) return kind;
  }
  return response.status >= 500 ? ErrorKind::kInternal : ErrorKind::kInvalid;
}

}  // namespace

Result<Request> Request::create(std::string_view method, std::string_view target,
                                std::string body) {
  const auto question = std::min(target.find('?'), target.size());
  Request request;
  request.method = method;
  request.segments = TRY(split_path(target.substr(0, question)));
  request.query = TRY(split_query(target.substr(std::min(question + 1, target.size()))));
  request.body = std::move(body);
  return request;
}

std::string Request::target() const {
  std::string result;
  for (const auto& segment : segments) result += "/" + percent_encode(segment);
  if (segments.empty()) result = "/";
  char separator = '?';
  for (const auto& [name, value] : query) {
    result += separator + percent_encode(name) + "=" + percent_encode(value);
    separator = '&';
  }
  return result;
}

std::string Request::parameter(std::string_view name) const {
  return find_in(parameters, name);
}
std::string Request::query_value(std::string_view name) const {
  return find_in(query, name);
}
std::string Request::header(std::string_view name) const {
  return find_in(headers, name);
}

Response Response::json(std::string body, int status) {
  Response response;
  response.status = status;
  response.content_type = "application/json";
  response.body = std::move(body);
  return response;
}

Response Response::ndjson(std::function<Result<void>(ResponseStream&)> stream) {
  Response response;
  response.content_type = "application/x-ndjson";
  response.stream = std::move(stream);
  return response;
}

Response Response::of(const pitr::Error& error) {
  Response response;
  response.status = status_of(error.kind());
  response.headers["x-pitr-error"] = to_string(error.kind());
  if (!error.hint().empty()) response.headers["x-pitr-hint"] = error.hint();
  response.body = error.message();
  return response;
}

Error Response::error() const {
  std::string message = body;
  while (!message.empty() && message.back() == '\n') message.pop_back();
  if (message.empty()) message = fmt::format("the answer was HTTP status {}", status);
  auto error = Error(kind_of(*this), std::move(message));
  const auto hint = headers.find("x-pitr-hint");
  if (hint == headers.end()) return error;
  return std::move(error).with_hint(hint->second);
}

int status_of(ErrorKind kind) {
  for (const auto& [known, status] : kStatuses) {
    if (known == kind) return status;
  }
  return 500;
}

ErrorKind parse_error_kind(std::string_view name) {
  for (const auto& [kind, status] : kStatuses) {
    if (to_string(kind) == name) return kind;
  }
  return ErrorKind::kInternal;
}

std::string percent_encode(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (is_unreserved(c)) {
      result += c;
    } else {
      result += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return result;
}

Result<std::string> percent_decode(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      result += text[i];
      continue;
    }
    unsigned value = 0;
    const auto digits = text.substr(i + 1, 2);
    const auto* const last = digits.data() + digits.size();
    const auto [end, failure] = std::from_chars(digits.data(), last, value, 16);
    if (digits.size() != 2 || failure != std::errc() || end != last || value == 0) {
      return Error::invalid(
          fmt::format("\"{}\" is not percent-encoded as it should be", text.substr(0, 200)));
    }
    result += static_cast<char>(value);
    i += 2;
  }
  return result;
}

}  // namespace pitr::http
