#include "http/wire.h"

// Beast 1.74 uses std::exchange without including this.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <limits>
#include <utility>

namespace pitr::http {
namespace {

namespace beast = boost::beast::http;
using RequestParser = beast::request_parser<beast::string_body>;
using ResponseParser = beast::response_parser<beast::string_body>;

constexpr std::size_t kReadBytes = 16 * 1024;
constexpr std::size_t kResponseHeaderBytes = 16 * 1024;
// A field of 64 KiB or more makes Beast throw.
constexpr std::size_t kLongestUnparsed = 32 * 1024;
// boost::none would be no limit, but Beast 1.74 then refuses every body with a length.
constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

// Gives the parser what was received, as far as it takes it; returns early once the header is
// whole. Not by the parser's eager mode, in which Beast 1.74 forgets that the body limit was
// exceeded where header and body come together.
template <typename Parser>
boost::system::error_code feed(Parser& parser, std::string& received) {
  const bool had_header = parser.is_header_done();
  boost::system::error_code failure;
  while (!received.empty() && !parser.is_done() && parser.is_header_done() == had_header) {
    const std::size_t used =
        parser.put(boost::asio::const_buffer(received.data(), received.size()), failure);
    received.erase(0, used);
    if (failure == beast::error::need_more) {
      // Beast knows no limit for the lines before a chunk and for the fields behind the last one.
      return received.size() > kLongestUnparsed ? beast::error::header_limit
                                                : boost::system::error_code();
    }
    if (failure || used == 0) break;
  }
  return failure;
}

template <typename Fields>
Headers headers_of(const Fields& fields) {
  Headers headers;
  for (const auto& field : fields) {
    std::string name(field.name_string());
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
    headers.insert_or_assign(std::move(name), std::string(field.value()));
  }
  return headers;
}

// No value may end its line early.
std::string header_value(std::string_view value) {
  std::string result(value);
  std::replace_if(
      result.begin(), result.end(), [](unsigned char c) { return c < ' ' || c == 127; }, ' ');
  return result;
}

std::string head_of(const Response& response, bool keep_alive) {
  const auto reason = beast::obsolete_reason(static_cast<beast::status>(response.status));
  std::string head = fmt::format("HTTP/1.1 {} {}\r\nContent-Type: {}\r\n", response.status,
                                 std::string_view(reason.data(), reason.size()),
                                 header_value(response.content_type));
  for (const auto& [name, value] : response.headers) {
    head += fmt::format("{}: {}\r\n", name, header_value(value));
  }
  if (!keep_alive) head += "Connection: close\r\n";
  return head;
}

IncomingRequest refuse(int status, std::string message) {
  IncomingRequest result;
  result.refusal = Response::of(Error::invalid(std::move(message)));
  result.refusal->status = status;
  return result;
}

IncomingRequest refuse(const boost::system::error_code& failure) {
  if (failure == beast::error::header_limit) return refuse(431, "the request's header is too long");
  if (failure == beast::error::body_limit) return refuse(413, "the request's body is too long");
  return refuse(400, fmt::format("not an HTTP request: {}", failure.message()));
}

// What follows a body that ends otherwise than chunked or by its length would be taken for the next
// request, by this server or by one before it.
bool has_other_encoding(const RequestParser& parser) {
  return parser.get().count(beast::field::transfer_encoding) > 0 && !parser.chunked();
}

// headers: those before the body; fields behind it count for nothing.
IncomingRequest request_of(RequestParser& parser, Headers headers) {
  auto message = parser.release();
  const auto target = message.target();
  const auto method = message.method_string();
  auto request = Request::create({method.data(), method.size()}, {target.data(), target.size()},
                                 std::move(message.body()));
  if (!request) return refuse(400, request.error().message());
  request->headers = std::move(headers);
  IncomingRequest result;
  // Answers to HEAD have a body here, which its client would take for the next answer.
  result.keep_alive = message.keep_alive() && message.method() != beast::verb::head;
  result.request = std::move(*request);
  result.chunked_allowed = message.version() >= 11;
  return result;
}

bool expects_continue(const RequestParser& parser) {
  return parser.is_header_done() && !parser.is_done() &&
         boost::beast::iequals(parser.get()[beast::field::expect], "100-continue");
}

}  // namespace

Result<bool> Wire::fill(SteadyTime deadline) {
  std::array<char, kReadBytes> part;
  const auto count = TRY(stream_.read_some(part, deadline));
  received_.append(part.data(), count);
  return count > 0;
}

IncomingRequest Wire::read_request(const RequestLimits& limits) {
  RequestParser parser;
  parser.header_limit(static_cast<std::uint32_t>(limits.header_bytes));
  parser.body_limit(limits.body_bytes);
  parser.eager(false);
  bool waiting = received_.empty();
  bool continued = false;
  Headers headers;
  SteadyTime deadline = waiting ? limits.first_byte_deadline
                                : std::chrono::steady_clock::now() + limits.request_timeout;
  for (;;) {
    const bool had_header = parser.is_header_done();
    if (const auto failure = feed(parser, received_)) return refuse(failure);
    if (!had_header && parser.is_header_done()) {
      if (has_other_encoding(parser)) return refuse(400, "the body's transfer encoding is unknown");
      headers = headers_of(parser.get());
    }
    if (parser.is_done()) return request_of(parser, std::move(headers));
    if (!had_header && parser.is_header_done() && !received_.empty()) continue;
    if (!continued && expects_continue(parser)) {
      continued = true;
      if (!stream_.write_all("HTTP/1.1 100 Continue\r\n\r\n", limits.write_timeout)) return {};
    }
    const auto more = fill(deadline);
    if (!more && more.error().kind() == ErrorKind::kTransient && !waiting) {
      return refuse(408, "the request did not come whole in time");
    }
    if (!more || !*more) return {};
    if (waiting) deadline = std::chrono::steady_clock::now() + limits.request_timeout;
    waiting = false;
  }
}

Result<void> Wire::write_response(const Response& response, bool keep_alive, Milliseconds timeout) {
  std::string message = head_of(response, keep_alive);
  message += fmt::format("Content-Length: {}\r\n\r\n", response.body.size());
  message += response.body;
  return stream_.write_all(message, timeout);
}

Result<void> Wire::write_stream_header(const Response& response, bool chunked, bool keep_alive,
                                       Milliseconds timeout) {
  std::string head = head_of(response, keep_alive);
  head += chunked ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n";
  return stream_.write_all(head, timeout);
}

Result<void> Wire::write_chunk(std::string_view chunk, Milliseconds timeout) {
  return stream_.write_all(fmt::format("{:x}\r\n{}\r\n", chunk.size(), chunk), timeout);
}

Result<void> Wire::write_request(const Request& request, Milliseconds timeout) {
  std::string message = fmt::format("{} {} HTTP/1.1\r\nHost: pitr\r\nConnection: close\r\n",
                                    request.method, request.target());
  for (const auto& [name, value] : request.headers) {
    message += fmt::format("{}: {}\r\n", name, header_value(value));
  }
  message += fmt::format("Content-Length: {}\r\n\r\n{}", request.body.size(), request.body);
  return stream_.write_all(message, timeout);
}

Result<Response> Wire::read_response(const ResponseLimits& limits, const OnBody& on_body) {
  ResponseParser parser;
  parser.header_limit(kResponseHeaderBytes);
  parser.body_limit(limits.body_bytes);
  parser.eager(false);
  Response response;
  while (!parser.is_done()) {
    const bool had_header = parser.is_header_done();
    if (const auto failure = feed(parser, received_)) {
      return Error::corrupt(
          fmt::format("the answer is not what it should be: {}", failure.message()));
    }
    // Without a length a body that was cut off could not be told from a whole one.
    if (parser.is_header_done() && parser.need_eof()) {
      return Error::corrupt("the answer does not say how long it is");
    }
    const bool given_on =
        on_body && parser.is_header_done() && parser.get().result_int() / 100 == 2;
    if (given_on && !parser.get().body().empty()) {
      TRY(on_body(parser.get().body()));
      parser.get().body().clear();
    }
    if (!had_header && parser.is_header_done()) {
      // A stream has no length to limit, and its parts are not kept.
      if (given_on && parser.chunked()) parser.body_limit(kUnlimited);
      if (!received_.empty()) continue;
    }
    if (parser.is_done()) break;
    const bool more = TRY(fill(std::chrono::steady_clock::now() + limits.silence_timeout));
    if (!more) return Error::transient("the connection was closed before the answer was whole");
  }
  auto message = parser.release();
  response.status = static_cast<int>(message.result_int());
  response.headers = headers_of(message);
  response.content_type = response.headers["content-type"];
  response.body = std::move(message.body());
  return response;
}

}  // namespace pitr::http
