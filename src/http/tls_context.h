// What a server needs for TLS: its certificate and key, and whose client certificates it takes.
// TLS 1.2 and newer, forward secrecy only. Immutable and thread-safe; connections keep it alive, so
// that a renewed certificate can take its place at any time.
#pragma once

#include <memory>

#include "common/file.h"
#include "common/result.h"

struct ssl_ctx_st;

namespace pitr::http {

struct TlsFiles {
  Path certificate;  // PEM: the server's, then those between it and the root
  Path key;          // PEM, without a passphrase, and not for everybody to read
  Path client_ca;    // PEM; set: only clients with a certificate of one of these are served
};

class TlsContext {
 public:
  // kDenied where a file can't be read, or everybody may read the key; kInvalid where what is in it
  // isn't what it should be, or key and certificate don't belong together. Errors name the file.
  static Result<std::shared_ptr<const TlsContext>> load(const TlsFiles& files);

  ssl_ctx_st* get() const { return context_.get(); }

 private:
  struct Free {
    void operator()(ssl_ctx_st* context) const;
  };
  explicit TlsContext(std::unique_ptr<ssl_ctx_st, Free> context) : context_(std::move(context)) {}
  std::unique_ptr<ssl_ctx_st, Free> context_;
};

}  // namespace pitr::http
