#include "http/tls_stream.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>

namespace pitr::http {
namespace {

constexpr std::size_t kRecord = 16 * 1024;  // the most that TLS takes at once
constexpr Milliseconds kFarewell{200};      // for the last record of a connection
constexpr Milliseconds kShortestWrite{100};

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

class TlsStream final : public ByteStream {
 public:
  TlsStream(std::unique_ptr<ByteStream> below, std::shared_ptr<const TlsContext> context)
      : below_(std::move(below)), context_(std::move(context)) {}

  ~TlsStream() override {
    // So that the other side can tell an end from a cut.
    if (!is_open_) return;
    ERR_clear_error();
    if (SSL_shutdown(ssl_.get()) >= 0) (void)flush(kFarewell);
  }

  Result<void> shake_hands(SteadyTime deadline) {
    ssl_.reset(SSL_new(context_->get()));
    auto* in = BIO_new(BIO_s_mem());
    auto* out = BIO_new(BIO_s_mem());
    if (!ssl_ || in == nullptr || out == nullptr) {
      BIO_free(in);
      BIO_free(out);
      return Error::internal("no memory for a TLS connection");
    }
    SSL_set_bio(ssl_.get(), in, out);  // takes both
    for (;;) {
      ERR_clear_error();
      const int done = SSL_accept(ssl_.get());
      const int error = SSL_get_error(ssl_.get(), done);
      // Also what says why not.
      const auto flushed = flush(time_to(deadline));
      if (done == 1) {
        is_open_ = flushed.has_value();
        return flushed;
      }
      if (error != SSL_ERROR_WANT_READ) return refusal();
      TRY(std::move(flushed));
      if (TRY(fill(deadline)) == 0) return Error::transient("the client went away");
    }
  }

  Result<std::size_t> read_some(std::span<char> into, SteadyTime deadline) override {
    for (;;) {
      ERR_clear_error();
      const auto wanted = static_cast<int>(std::min<std::size_t>(into.size(), 1 << 30));
      const int count = SSL_read(ssl_.get(), into.data(), wanted);
      if (count > 0) return static_cast<std::size_t>(count);
      switch (SSL_get_error(ssl_.get(), count)) {
        case SSL_ERROR_WANT_READ:
          break;
        case SSL_ERROR_ZERO_RETURN:
          return std::size_t{0};
        default:
          is_open_ = false;
          return refusal();
      }
      TRY(flush(time_to(deadline)));  // an answer to a change of keys
      if (TRY(fill(deadline)) == 0) return std::size_t{0};
    }
  }

  Result<void> write_all(std::string_view bytes, Milliseconds timeout) override {
    while (!bytes.empty()) {
      const auto part = bytes.substr(0, kRecord);
      ERR_clear_error();
      // Into memory: it takes all of it, or the connection is broken.
      if (SSL_write(ssl_.get(), part.data(), static_cast<int>(part.size())) <= 0) {
        is_open_ = false;
        return refusal();
      }
      TRY(flush(timeout));
      bytes.remove_prefix(part.size());
    }
    return {};
  }

  bool peer_gone() override { return below_->peer_gone(); }
  std::string peer_address() const override { return below_->peer_address(); }

 private:
  static Milliseconds time_to(SteadyTime deadline) {
    const auto left = std::chrono::ceil<Milliseconds>(deadline - std::chrono::steady_clock::now());
    return std::max(left, kShortestWrite);
  }

  static Error refusal() {
    const auto code = ERR_peek_error();
    const char* text = code == 0 ? nullptr : ERR_reason_error_string(code);
    ERR_clear_error();
    return Error::denied(fmt::format("TLS: {}", text == nullptr ? "the client broke off" : text));
  }

  // What OpenSSL has for the other side.
  Result<void> flush(Milliseconds timeout) {
    std::array<char, kRecord> bytes;
    for (;;) {
      const int count = BIO_read(SSL_get_wbio(ssl_.get()), bytes.data(), bytes.size());
      if (count <= 0) return {};
      auto written = below_->write_all({bytes.data(), static_cast<std::size_t>(count)}, timeout);
      if (written) continue;
      is_open_ = false;
      return written;
    }
  }

  // Some of what the other side has for OpenSSL; 0 at the end.
  Result<std::size_t> fill(SteadyTime deadline) {
    std::array<char, kRecord> bytes;
    const auto count = TRY(below_->read_some(bytes, deadline));
    if (count > 0 && BIO_write(SSL_get_rbio(ssl_.get()), bytes.data(), static_cast<int>(count)) !=
                         static_cast<int>(count)) {
      return Error::internal("no memory for a TLS connection");
    }
    return count;
  }

  std::unique_ptr<ByteStream> below_;
  const std::shared_ptr<const TlsContext> context_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  bool is_open_ = false;
};

}  // namespace

Result<std::unique_ptr<ByteStream>> accept_tls(std::unique_ptr<ByteStream> below,
                                               std::shared_ptr<const TlsContext> context,
                                               SteadyTime deadline) {
  auto stream = std::make_unique<TlsStream>(std::move(below), std::move(context));
  TRY(stream->shake_hands(deadline));
  return std::unique_ptr<ByteStream>(std::move(stream));
}

}  // namespace pitr::http
