#include "http/connection.h"

#include "common/log.h"
#include "http/wire.h"

namespace pitr::http {
namespace {

class WireResponseStream final : public ResponseStream {
 public:
  WireResponseStream(Wire& wire, ByteStream& stream, bool chunked, Milliseconds timeout,
                     std::stop_token stop)
      : wire_(wire),
        stream_(stream),
        chunked_(chunked),
        timeout_(timeout),
        stop_(std::move(stop)) {}

  Result<void> write(std::string_view chunk) override {
    if (client_gone()) return Error::cancelled("the client is gone");
    if (chunk.empty()) return {};  // it would end the body
    auto written =
        chunked_ ? wire_.write_chunk(chunk, timeout_) : stream_.write_all(chunk, timeout_);
    if (written) return written;
    broken_ = true;
    return Error::cancelled("the client is gone: " + written.error().message());
  }

  bool client_gone() override { return broken_ || stop_.stop_requested() || stream_.peer_gone(); }

 private:
  Wire& wire_;
  ByteStream& stream_;
  const bool chunked_;
  const Milliseconds timeout_;
  const std::stop_token stop_;
  bool broken_ = false;
};

// An error of the producer leaves the body without its end, which the client notices.
Result<void> produce(const Response& response, ResponseStream& stream) {
  try {
    return response.stream(stream);
  } catch (const std::exception& e) {
    return Error::internal(e.what());
  }
}

// True where the connection can take another request.
bool answer(Wire& wire, ByteStream& stream, const Response& response, const IncomingRequest& to,
            bool keep_alive, Milliseconds timeout, const std::stop_token& stop) {
  if (!response.stream) {
    return wire.write_response(response, keep_alive, timeout).has_value() && keep_alive;
  }
  const bool chunked = to.chunked_allowed;
  keep_alive = keep_alive && chunked;
  if (!wire.write_stream_header(response, chunked, keep_alive, timeout)) return false;
  WireResponseStream body(wire, stream, chunked, timeout, stop);
  if (const auto produced = produce(response, body); !produced) {
    if (produced.error().kind() != ErrorKind::kCancelled) {
      log::warning("an answer was cut off: {}", produced.error().message());
    }
    return false;
  }
  return chunked && wire.write_chunk("", timeout) && keep_alive;
}

}  // namespace

void serve_connection(ByteStream& stream, const Router& router, const ServerLimits& limits,
                      const std::function<bool()>& may_keep_alive, std::stop_token stop) {
  Wire wire(stream);
  const auto peer_address = stream.peer_address();
  Milliseconds patience = limits.request_timeout;  // with a client that says nothing at all
  while (!stop.stop_requested()) {
    auto incoming =
        wire.read_request({.header_bytes = limits.header_bytes,
                           .body_bytes = limits.body_bytes,
                           .first_byte_deadline = std::chrono::steady_clock::now() + patience,
                           .request_timeout = limits.request_timeout,
                           .write_timeout = limits.write_timeout});
    if (incoming.refusal) {
      // The connection is closed all the same.
      (void)wire.write_response(*incoming.refusal, false, limits.write_timeout);
      return;
    }
    if (!incoming.request) return;
    incoming.request->stop = stop;
    incoming.request->peer_user = stream.peer_user();
    incoming.request->peer_address = peer_address;
    const auto response = router.route(std::move(*incoming.request));
    const bool keep_alive = incoming.keep_alive && may_keep_alive() && !stop.stop_requested();
    if (!answer(wire, stream, response, incoming, keep_alive, limits.write_timeout, stop)) return;
    patience = limits.idle_timeout;
  }
}

}  // namespace pitr::http
