// The server with TLS, as curl and others see it.
#include <fmt/format.h>

#include <fstream>

#include "http/server.h"
#include "support/must.h"
#include "support/raw_socket.h"
#include "support/subprocess.h"
#include "support/temporary_directory.h"

namespace pitr::http {
namespace {

using test::must;
using testing::HasSubstr;

class TlsServerTest : public testing::Test {
 protected:
  TlsServerTest() {
    make_ca("ca");
    make_certificate("server", "ca");
    router_.add("GET", "/metrics", [](const Request& request) {
      Response response;
      response.body = "all is well, " + request.peer_address + "\n";
      return response;
    });
    router_.add("POST", "/echo", [](const Request& request) {
      Response response;
      response.body = request.body;
      return response;
    });
  }

  Path file(const std::string& name) const { return home_ / name; }
  void openssl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "openssl");
    must(test::run_successfully(arguments));
  }
  void make_ca(const std::string& name) {
    openssl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-days", "2", "-subj", "/CN=" + name, "-keyout", file(name + ".key"), "-out",
             file(name + ".pem")});
  }
  void make_certificate(const std::string& name, const std::string& ca) {
    openssl({"req",
             "-x509",
             "-newkey",
             "ec",
             "-pkeyopt",
             "ec_paramgen_curve:P-256",
             "-nodes",
             "-days",
             "2",
             "-subj",
             "/CN=" + name,
             "-addext",
             "subjectAltName=IP:127.0.0.1",
             "-addext",
             "basicConstraints=critical,CA:FALSE",
             "-CA",
             file(ca + ".pem"),
             "-CAkey",
             file(ca + ".key"),
             "-keyout",
             file(name + ".key"),
             "-out",
             file(name + ".pem")});
  }
  TlsFiles files() const { return {file("server.pem"), file("server.key"), {}}; }
  void start(const TlsFiles& files) {
    options_.tls = must(TlsContext::load(files));
    server_ = must(Server::start(options_, router_));
  }
  test::CommandOutput curl(std::vector<std::string> arguments,
                           const std::string& path = "/metrics") {
    arguments.insert(arguments.begin(),
                     {"curl", "-sS", "--max-time", "20", "--cacert", file("ca.pem").native()});
    arguments.push_back(fmt::format("https://127.0.0.1:{}{}", server_->port(), path));
    return must(test::run_command(arguments));
  }
  testing_support::RawConnection plain() {
    return testing_support::RawConnection(testing_support::connect_to_port(server_->port()));
  }

  test::TemporaryDirectory home_ = must(test::TemporaryDirectory::create());
  TcpServerOptions options_;
  Router router_;
  std::unique_ptr<Server> server_;
};

TEST_F(TlsServerTest, ServesThoseWhoTrustItsCertificate) {
  start(files());
  for (const std::vector<std::string>& version :
       {std::vector<std::string>{"--tlsv1.3"}, {"--tls-max", "1.2"}}) {
    const auto answer = curl(version);
    EXPECT_EQ(answer.out, "all is well, 127.0.0.1\n") << answer.err;
  }
  make_ca("other");
  const auto distrusted = curl({"--cacert", file("other.pem")});
  EXPECT_NE(distrusted.status.exit_code, 0);
  // Three requests over one connection, and a body that takes several records.
  const auto kept = curl({"-v", fmt::format("https://127.0.0.1:{}/metrics", server_->port())});
  EXPECT_THAT(kept.err, HasSubstr("Re-using existing connection"));
  const std::string body(300'000, 'x');
  std::ofstream(file("body")) << body;
  EXPECT_EQ(curl({"--data-binary", "@" + file("body").native()}, "/echo").out, body);
}

TEST_F(TlsServerTest, OldVersionsAreRefused) {
  start(files());
  const auto answer = must(test::run_command({"openssl", "s_client", "-connect",
                                              fmt::format("127.0.0.1:{}", server_->port()),
                                              "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"}));
  EXPECT_NE(answer.status.exit_code, 0) << answer.out;
  EXPECT_EQ(curl({}).out, "all is well, 127.0.0.1\n");
}

TEST_F(TlsServerTest, OnlyClientsWithACertificateWhereThatIsWanted) {
  make_certificate("client", "ca");
  make_ca("other");
  make_certificate("stranger", "other");
  auto wanted = files();
  wanted.client_ca = file("ca.pem");
  start(wanted);
  const auto with = [&](const std::string& name) {
    return curl({"--cert", file(name + ".pem"), "--key", file(name + ".key")});
  };
  EXPECT_EQ(with("client").out, "all is well, 127.0.0.1\n");
  EXPECT_EQ(curl({}).out, "");
  EXPECT_EQ(with("stranger").out, "");
}

TEST_F(TlsServerTest, WhatIsNoTlsHoldsUpNobody) {
  options_.limits.connections = 2;
  options_.limits.request_timeout = Milliseconds(500);
  start(files());
  auto silent = plain();
  auto half = plain();
  half.send(std::string_view("\x16\x03\x01\x02", 4));
  auto http = plain();
  http.send("GET /metrics HTTP/1.1\r\n\r\n");
  EXPECT_EQ(http.read_to_end().find("all is well"), std::string::npos);
  auto garbage = plain();
  garbage.send(std::string(100'000, '\xff'));
  EXPECT_EQ(curl({}).out, "all is well, 127.0.0.1\n");
}

TEST_F(TlsServerTest, StopsWhileAHandshakeWaits) {
  start(files());
  auto silent = plain();
  const auto began = std::chrono::steady_clock::now();
  server_->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - began, Seconds(4));
}

TEST_F(TlsServerTest, ARenewedCertificateCountsForNewConnections) {
  start(files());
  make_ca("next");
  make_certificate("renewed", "next");
  EXPECT_EQ(curl({}).out, "all is well, 127.0.0.1\n");
  server_->set_tls(must(TlsContext::load({file("renewed.pem"), file("renewed.key"), {}})));
  EXPECT_EQ(curl({}).out, "");
  EXPECT_EQ(curl({"--cacert", file("next.pem")}).out, "all is well, 127.0.0.1\n");
}

TEST_F(TlsServerTest, FilesThatCannotBeUsedAreNamed) {
  const auto problem = [](const TlsFiles& files) {
    const auto loaded = TlsContext::load(files);
    return loaded ? std::string("none") : loaded.error().message();
  };
  EXPECT_THAT(problem({file("missing.pem"), file("server.key"), {}}), HasSubstr("missing.pem"));
  EXPECT_THAT(problem({file("server.key"), file("server.key"), {}}),
              HasSubstr("server.key holds no certificate"));
  make_ca("other");
  EXPECT_THAT(problem({file("server.pem"), file("other.key"), {}}),
              HasSubstr("other.key holds no key for the certificate"));
  EXPECT_THAT(problem({file("server.pem"), file("server.key"), file("server.key")}),
              HasSubstr("server.key holds no certificate"));
  std::filesystem::permissions(file("server.key"), std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);
  EXPECT_THAT(problem(files()), HasSubstr("everybody may read the key"));
}

}  // namespace
}  // namespace pitr::http
