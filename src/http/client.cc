#include "http/client.h"

#include <fmt/format.h>

#include "http/unix_socket.h"
#include "http/wire.h"

namespace pitr::http {
namespace {

Result<Response> exchange(const Path& socket_path, const ClientOptions& options,
                          const Request& request, const OnBody& on_body, std::stop_token stop) {
  const auto wake = TRY(Wake::create());
  auto socket = TRY(connect_unix(socket_path, options.timeout, stop));
  const auto stream = make_stream(std::move(socket), wake);
  std::stop_callback on_stop(stop, [&wake] { wake.set(); });

  Wire wire(*stream);
  auto written = wire.write_request(request, options.timeout);
  // A server that refuses a request may answer and close before it has read everything.
  auto response = wire.read_response({options.body_limit_bytes, options.timeout}, on_body);
  if (response || stop.stop_requested()) return response;
  if (!written) return written.error();
  return response;
}

// Puts lines together from the parts in which a body comes.
class LineSplitter {
 public:
  LineSplitter(const std::function<Result<void>(std::string_view)>& on_line,
               std::size_t limit_bytes)
      : on_line_(on_line), limit_bytes_(limit_bytes) {}

  Result<void> add(std::string_view part) {
    for (;;) {
      const auto newline = part.find('\n');
      if (newline == std::string_view::npos) break;
      line_.append(part.substr(0, newline));
      part.remove_prefix(newline + 1);
      const std::string line = std::exchange(line_, "");
      if (line.size() > limit_bytes_) return too_long();
      TRY(on_line_(line));
    }
    line_.append(part);
    if (line_.size() > limit_bytes_) return too_long();
    return {};
  }

  Result<void> finish() {
    if (line_.empty()) return {};
    return on_line_(line_);
  }

 private:
  static Error too_long() { return Error::corrupt("a line of the answer is too long"); }

  const std::function<Result<void>(std::string_view)>& on_line_;
  const std::size_t limit_bytes_;
  std::string line_;
};

}  // namespace

Client::Client(Path socket_path, ClientOptions options)
    : socket_path_(std::move(socket_path)), options_(options) {}

Result<Response> Client::send(const Request& request, std::stop_token stop) const {
  return with_context(exchange(socket_path_, options_, request, nullptr, stop),
                      fmt::format("asking {}", socket_path_.string()));
}

Result<Response> Client::for_each_line(const Request& request,
                                       const std::function<Result<void>(std::string_view)>& on_line,
                                       std::stop_token stop) const {
  LineSplitter lines(on_line, options_.line_limit_bytes);
  // Errors of on_line are the caller's own and get no context.
  std::optional<Error> refused;
  const auto on_body = [&](std::string_view part) -> Result<void> {
    auto added = lines.add(part);
    if (!added) refused = added.error();
    return added;
  };
  auto response = exchange(socket_path_, options_, request, on_body, stop);
  if (refused) return *refused;
  if (response && response->ok()) TRY(lines.finish());
  return with_context(std::move(response), fmt::format("asking {}", socket_path_.string()));
}

}  // namespace pitr::http
