// Webhooks against our own HTTP server, e-mail against a real SMTP server, commands for real.
#include "notify/transport.h"

#include <fmt/format.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "common/retry.h"
#include "http/server.h"
#include "notify/mail_text.h"
#include "notify/notifier.h"
#include "support/must.h"
#include "support/port_lease.h"
#include "support/subprocess.h"
#include "support/temporary_directory.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;

Delivery sample() {
  Delivery delivery;
  delivery.event.type = EventType::kBackupFailure;
  delivery.event.cluster = "main";
  delivery.event.message = "a backup failed: größer\r\nBcc: x@example.com";
  delivery.event.details = {{"fix", "start the server"}};
  delivery.id = "0123456789abcdef";
  return delivery;
}

void write_private(const Path& path, std::string_view text) {
  std::ofstream(path) << text;
  std::filesystem::permissions(path, std::filesystem::perms(0600));
}

// OpenSSL: printf '1700000000.{"event":"test"}' | openssl dgst -sha256 -hmac 'open sesame'
TEST(Webhook, SignatureIsThatOfOtherPrograms) {
  const auto output = must(run_command(
      {"sh", "-c",
       R"(printf '1700000000.{"event":"test"}' | openssl dgst -sha256 -hmac 'open sesame' -r)"},
      {}));
  EXPECT_EQ(webhook_signature("open sesame", 1'700'000'000, R"({"event":"test"})"),
            "t=1700000000,v1=" + output.out.substr(0, 64));
}

class WebhookTest : public testing::Test {
 protected:
  void serve(http::Handler handler) {
    http::Router router;
    router.add("POST", "/hook", std::move(handler));
    server_ = must(http::Server::start(
        http::TcpServerOptions{.port = static_cast<std::uint16_t>(port_.port())}, router));
  }
  Result<void> send(Milliseconds timeout = Milliseconds(5'000), std::stop_token stop = {}) {
    WebhookOptions options;
    options.url = fmt::format("http://user:hush@127.0.0.1:{}/hook?token=hush", port_.port());
    options.secret = {SecretSource::Kind::kFile, (home_ / "secret").string()};
    options.timeout = timeout;
    return make_webhook(options, clock_)->send(sample(), stop);
  }
  TemporaryDirectory home_ = must(TemporaryDirectory::create());
  PortLease port_ = must(PortLease::take());
  SystemClock clock_;
  std::unique_ptr<http::Server> server_;
};

TEST_F(WebhookTest, SendsSignedJsonAndHidesWhatIsSecret) {
  write_private(home_ / "secret", "open sesame\n");
  http::Request got;
  serve([&](const http::Request& request) {
    got = request;
    return http::Response();
  });
  must(send());
  EXPECT_EQ(got.header("x-pitr-event"), "backup_failure");
  EXPECT_EQ(got.header("x-pitr-delivery"), sample().id);
  EXPECT_EQ(nlohmann::json::parse(got.body)["cluster"], "main");
  const auto signature = got.header("x-pitr-signature");
  const auto time = std::stoll(signature.substr(2));
  EXPECT_EQ(signature, webhook_signature("open sesame", time, got.body));
  EXPECT_LT(std::abs(time - clock_.now().unix_us() / 1'000'000), 600);

  std::filesystem::remove(home_ / "secret");
  EXPECT_EQ(send().error().kind(), ErrorKind::kDenied);  // never unsigned instead
}

TEST_F(WebhookTest, OnlySuccessCountsAndRedirectsAreNotFollowed) {
  write_private(home_ / "secret", "open sesame");
  int status = 500, asked = 0;
  serve([&](const http::Request&) {
    ++asked;
    http::Response response;
    response.status = status;
    response.headers["location"] = fmt::format("http://127.0.0.1:{}/hook", port_.port());
    response.body = std::string(600'000, 'x');  // more than is read
    return response;
  });
  EXPECT_EQ(send().error().kind(), ErrorKind::kTransient);
  status = 307;
  const auto redirected = send();
  EXPECT_THAT(redirected.error().message(), HasSubstr("redirect"));
  EXPECT_EQ(asked, 2);
  status = 422;
  EXPECT_EQ(send().error().kind(), ErrorKind::kInvalid);
  status = 200;
  EXPECT_TRUE(send());
  server_.reset();
  const auto away = send();
  EXPECT_EQ(away.error().kind(), ErrorKind::kTransient);
  EXPECT_EQ(away.error().message().find("hush"), std::string::npos);
}

TEST_F(WebhookTest, AHangingReceiverEndsWithTheTimeoutOrAStop) {
  write_private(home_ / "secret", "open sesame");
  serve([&](const http::Request& request) {
    while (sleep_for(Milliseconds(20), request.stop)) {
    }
    return http::Response();
  });
  EXPECT_EQ(send(Milliseconds(100)).error().kind(), ErrorKind::kTransient);
  std::stop_source stop;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(Milliseconds(50));
    stop.request_stop();
  });
  EXPECT_EQ(send(Milliseconds(600'000), stop.get_token()).error().kind(), ErrorKind::kCancelled);
}

TEST_F(WebhookTest, TheNotifierTriesAgainAndItsEndWaitsForNobody) {
  write_private(home_ / "secret", "open sesame");
  std::atomic<int> asked = 0;
  serve([&](const http::Request& request) {
    if (++asked == 1) return http::Response::of(Error::transient("not yet"));
    while (asked > 2 && sleep_for(Milliseconds(20), request.stop)) {
    }
    return http::Response();
  });
  Destination destination;
  destination.name = "ops";
  destination.webhook.emplace();
  destination.webhook->url = fmt::format("http://127.0.0.1:{}/hook", port_.port());
  destination.webhook->timeout = Milliseconds(600'000);
  EventLog log;
  Notifier notifier(clock_, "here");
  notifier.configure({destination});
  log.add_listener(notifier);
  log.publish(sample().event);
  EXPECT_TRUE(notifier.wait_until_told(Milliseconds(60'000)));
  EXPECT_EQ(notifier.status().front().counts.sent, 1u);
  const auto told = notifier.status().front().last_success;
  EXPECT_GT(told, Timestamp());
  destination.collapse = Milliseconds(0);
  notifier.configure({destination});  // which goes on counting
  EXPECT_EQ(notifier.status().front().counts.sent, 1u);
  EXPECT_EQ(notifier.status().front().last_success, told);
  log.publish(Event());
  EXPECT_FALSE(notifier.wait_until_told(Milliseconds(50)));
  const auto before = std::chrono::steady_clock::now();
  notifier.stop();
  EXPECT_LT(std::chrono::steady_clock::now() - before, Seconds(60));
  EXPECT_EQ(notifier.status().front().counts.dropped, 1u);
}

TEST(MailText, NobodyInjectsHeaders) {
  auto delivery = sample();
  delivery.event.cluster = "größe\r\nBcc: x@example.com";
  const auto text = mail_text(delivery, "pitr@example.com", {"a@example.com", "b@example.com"},
                              "host", Timestamp::from_unix_us(1'700'000'000'000'000));
  const auto head = text.substr(0, text.find("\r\n\r\n"));
  EXPECT_THAT(head, HasSubstr("Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"));
  EXPECT_THAT(head, HasSubstr("Message-ID: <0123456789abcdef@example.com>\r\n"));
  EXPECT_THAT(head, HasSubstr("Subject: =?UTF-8?Q?"));
  EXPECT_EQ(head.find("\r\nBcc"), std::string::npos);
  EXPECT_THAT(text, HasSubstr("What to do: start the server\r\n"));
}

class EmailTest : public testing::Test {
 protected:
  void serve(bool with_tls) {
    must(run_successfully({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                           "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                           "-keyout", (home_ / "key").string(), "-out",
                           (home_ / "certificate").string()}));
    server_.emplace(must(Subprocess::start(
        {"/usr/bin/python3", PITR_SOURCE_DIRECTORY "/tests/notify/smtp_server.py",
         std::to_string(port_.port()), with_tls ? (home_ / "certificate").string() : "-",
         (home_ / "key").string(), (home_ / "mailbox").string()})));
    const auto deadline = std::chrono::steady_clock::now() + Seconds(60);
    while (server_->out().find("ready") == std::string::npos) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << server_->err();
      std::this_thread::sleep_for(Milliseconds(20));
    }
  }
  Result<void> send(bool trusted) {
    EmailOptions options;
    options.host = "localhost";
    options.port = static_cast<std::uint16_t>(port_.port());
    options.from = "pitr@example.com";
    options.to = {"a@example.com", "b@example.com"};
    if (trusted) options.ca_file = home_ / "certificate";
    return make_email(options, clock_, "host")->send(sample(), {});
  }
  std::string mailbox() { return must(read_text_file(home_ / "mailbox")); }

  TemporaryDirectory home_ = must(TemporaryDirectory::create());
  PortLease port_ = must(PortLease::take());
  SystemClock clock_;
  std::optional<Subprocess> server_;
};

TEST_F(EmailTest, ArrivesEncryptedAndAWrongCertificateIsRefused) {
  serve(true);
  EXPECT_FALSE(send(false));
  EXPECT_FALSE(std::filesystem::exists(home_ / "mailbox"));
  must(send(true));
  EXPECT_THAT(mailbox(), HasSubstr("pitr@example.com -> a@example.com,b@example.com tls=True\n"));
  EXPECT_THAT(mailbox(), HasSubstr("Subject: [pitr critical] main: backup_failure"));
}

TEST_F(EmailTest, WithoutStartTlsNothingIsSent) {
  serve(false);
  EXPECT_FALSE(send(true));
  EXPECT_FALSE(std::filesystem::exists(home_ / "mailbox"));
}

TEST(CommandHook, GetsTheEventAndItsTroubleIsTold) {
  const auto home = must(TemporaryDirectory::create());
  const auto run = [&](const std::string& script, Milliseconds timeout = Seconds(60)) {
    return make_command({{"/bin/sh", "-c", script}, timeout})->send(sample(), {});
  };
  must(
      run(fmt::format("cat > {0}/in; echo \"$PITR_EVENT $PITR_CLUSTER $PITR_SEVERITY "
                      "$PITR_MESSAGE\" > {0}/env",
                      home.path().string())));
  EXPECT_EQ(nlohmann::json::parse(must(read_text_file(home / "in")))["event"], "backup_failure");
  EXPECT_THAT(must(read_text_file(home / "env")),
              testing::StartsWith("backup_failure main critical a backup failed"));
  const auto failed = run("yes no | head -c 100000; exit 3");
  EXPECT_THAT(failed.error().message(), HasSubstr("exits with 3: no\n"));
  EXPECT_LT(failed.error().message().size(), 3000u);
  const auto endless = run("exec yes", Milliseconds(300));
  EXPECT_THAT(endless.error().message(), HasSubstr("takes longer"));
  // With all that it started.
  const auto late = run(fmt::format("sleep 1000 & echo $! > {}/pid; wait", home.path().string()),
                        Milliseconds(500));
  EXPECT_THAT(late.error().message(), HasSubstr("takes longer"));
  const auto pid = std::stoi(must(read_text_file(home / "pid")));
  const auto deadline = std::chrono::steady_clock::now() + Seconds(30);
  const auto state = [&] {
    std::string number, name, letter = "gone";
    std::ifstream(fmt::format("/proc/{}/stat", pid)) >> number >> name >> letter;
    return letter;
  };
  while (state() != "gone" && state() != "Z" && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(Milliseconds(20));
  }
  EXPECT_THAT(state(), testing::AnyOf("gone", "Z"));
}

}  // namespace
}  // namespace pitr::test
