#include "http/tls_context.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

namespace pitr::http {
namespace {

// Only ones with forward secrecy and authenticated encryption; TLS 1.3 has no others.
constexpr const char* kCiphersOfTls12 = "ECDHE+AESGCM:ECDHE+CHACHA20";

// What OpenSSL has to say of its last error; forgets it.
std::string reason() {
  const auto code = ERR_get_error();
  ERR_clear_error();
  const char* text = code == 0 ? nullptr : ERR_reason_error_string(code);
  return text == nullptr ? "unknown error" : text;
}

Error unusable(const Path& file, const char* what, const char* hint) {
  return Error::invalid(fmt::format("{} holds no {}: {}", file.native(), what, reason()))
      .with_hint(hint);
}

Result<void> require_readable(const Path& file, const char* what) {
  auto opened = File::open(file, O_RDONLY | O_CLOEXEC);
  if (opened) return {};
  return Error::denied(
             fmt::format("the {} for TLS can't be read: {}", what, opened.error().message()))
      .with_hint("correct agent.http.tls in the configuration, or let the agent's user read it");
}

Result<void> require_private(const Path& key) {
  struct stat status{};
  if (::stat(key.c_str(), &status) != 0) return Error::from_errno(errno, key.native());
  if ((status.st_mode & (S_IROTH | S_IWOTH)) == 0) return {};
  return Error::denied("everybody may read the key for TLS in " + key.native())
      .with_hint("chmod 640 it, with the agent's group");
}

int no_passphrase(char*, int, int, void*) {
  return -1;
}

Result<void> use_own(SSL_CTX* context, const TlsFiles& files) {
  TRY(require_readable(files.certificate, "certificate"));
  TRY(require_readable(files.key, "key"));
  TRY(require_private(files.key));
  if (SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) != 1) {
    return unusable(files.certificate, "certificate", "it must be PEM, the server's own first");
  }
  if (SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return unusable(files.key, "key for the certificate",
                    "it must be the certificate's key, PEM, without a passphrase");
  }
  return {};
}

Result<void> require_clients_of(SSL_CTX* context, const Path& client_ca) {
  TRY(require_readable(client_ca, "client_ca"));
  const auto free_names = [](STACK_OF(X509_NAME) * names) {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
  };
  std::unique_ptr<STACK_OF(X509_NAME), decltype(free_names)> names(
      SSL_load_client_CA_file(client_ca.c_str()), free_names);
  if (!names || SSL_CTX_load_verify_file(context, client_ca.c_str()) != 1) {
    return unusable(client_ca, "certificate", "it must be PEM");
  }
  SSL_CTX_set_client_CA_list(context, names.release());
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return {};
}

}  // namespace

void TlsContext::Free::operator()(ssl_ctx_st* context) const {
  SSL_CTX_free(context);
}

Result<std::shared_ptr<const TlsContext>> TlsContext::load(const TlsFiles& files) {
  std::unique_ptr<SSL_CTX, Free> context(SSL_CTX_new(TLS_server_method()));
  if (!context) return Error::internal("TLS can't be set up: " + reason());
  SSL_CTX_set_default_passwd_cb(context.get(), no_passphrase);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_TICKET);
  // Each connection proves anew who it is.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  if (SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(context.get(), kCiphersOfTls12) != 1) {
    return Error::internal("TLS can't be set up: " + reason());
  }
  TRY(use_own(context.get(), files));
  if (!files.client_ca.empty()) TRY(require_clients_of(context.get(), files.client_ca));
  return std::shared_ptr<const TlsContext>(new TlsContext(std::move(context)));
}

}  // namespace pitr::http
