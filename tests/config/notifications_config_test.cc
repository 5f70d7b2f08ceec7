// The section "notifications".
#include <fstream>

#include "config/changes.h"
#include "config/parsed_config.h"

namespace pitr {
namespace {

using test::parsed;
using test::problems_of;

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string webhook_problems(const std::string& keys) {
  return problems_of("notifications: {a: {webhook: {" + keys + "}}}");
}
std::string email_problems(const std::string& keys) {
  return problems_of("notifications: {a: {email: {" + keys + "}}}");
}

TEST(NotificationsConfig, NobodyIsToldUnlessThatIsAskedFor) {
  EXPECT_TRUE(parsed("").notifications.empty());
  EXPECT_TRUE(parsed("notifications:\n").notifications.empty());
}

TEST(NotificationsConfig, EveryKeyIsRead) {
  const auto config = parsed(R"(
clusters: {shop: {connection: host=a}, main: {connection: host=b}}
notifications:
  team:
    webhook:
      url: https://user:hush@hooks.example.com:8443/pitr?token=hush
      secret_file: /etc/pitr/secret
      ca_file: /etc/pitr/ca.pem
      timeout: 5s
    events: [backup_failure, gap_detected]
    clusters: shop
    collapse: 0s
    retry_for: 2h
  dba-on-duty:
    email:
      host: mail.example.com
      port: 2525
      starttls: required
      from: pitr@example.com
      to: [dba@example.com, boss@example.com]
      user: pitr
      password_env: SMTP_PASSWORD
      timeout: 1min
    severity: critical
  other: {email: {host: "[::1]", smtps: true, from: a@b, to: c@d, user_command: u, password_command: p}}
  plain: {email: {host: localhost, starttls: "off", from: a@b, to: c@d}}
  hook: {command: {run: [/usr/local/bin/tell, --urgent], timeout: 2s}}
)");
  ASSERT_EQ(config.notifications.size(), 5u);
  const auto& team = config.notifications[0];
  EXPECT_EQ(team.name, "team");
  ASSERT_TRUE(team.webhook);
  EXPECT_EQ(team.webhook->url, "https://user:hush@hooks.example.com:8443/pitr?token=hush");
  EXPECT_EQ(team.webhook->secret, (SecretSource{SecretSource::Kind::kFile, "/etc/pitr/secret"}));
  EXPECT_EQ(team.webhook->ca_file, Path("/etc/pitr/ca.pem"));
  EXPECT_EQ(team.webhook->timeout, Seconds(5));
  EXPECT_THAT(team.filter.types, ElementsAre(EventType::kBackupFailure, EventType::kGapDetected));
  EXPECT_THAT(team.filter.clusters, ElementsAre("shop"));
  EXPECT_EQ(team.collapse, Seconds(0));
  EXPECT_EQ(team.give_up, std::chrono::hours(2));
  const auto& dba = config.notifications[1];
  ASSERT_TRUE(dba.email);
  EXPECT_EQ(dba.email->host, "mail.example.com");
  EXPECT_EQ(dba.email->port, 2525);
  EXPECT_EQ(dba.email->tls, EmailOptions::Tls::kRequired);
  EXPECT_EQ(dba.email->from, "pitr@example.com");
  EXPECT_THAT(dba.email->to, ElementsAre("dba@example.com", "boss@example.com"));
  EXPECT_EQ(dba.email->user, "pitr");
  EXPECT_EQ(dba.email->password.kind, SecretSource::Kind::kEnvironment);
  EXPECT_EQ(dba.email->timeout, std::chrono::minutes(1));
  EXPECT_EQ(dba.filter.least, EventSeverity::kCritical);
  EXPECT_EQ(dba.collapse, Destination().collapse);
  const auto& other = *config.notifications[2].email;
  EXPECT_EQ(other.tls, EmailOptions::Tls::kSmtps);
  EXPECT_EQ(other.port, 465);
  EXPECT_EQ(other.user_source.value, "u");
  EXPECT_EQ(config.notifications[3].email->tls, EmailOptions::Tls::kOff);
  EXPECT_THAT(config.notifications[4].command->arguments,
              ElementsAre("/usr/local/bin/tell", "--urgent"));
  EXPECT_EQ(config.notifications[4].command->timeout, Seconds(2));
}

TEST(NotificationsConfig, UnknownKeysAreRefusedEverywhere) {
  EXPECT_THAT(webhook_problems("url: 'http://a/', sekret_file: /x"),
              HasSubstr("did you mean \"secret_file\"?"));
  EXPECT_THAT(email_problems("host: a, from: a@b, to: c@d, start_tls: required"),
              HasSubstr("did you mean \"starttls\"?"));
  EXPECT_THAT(problems_of("notifications: {a: {command: {run: /bin/true}, colapse: 1h}}"),
              HasSubstr("did you mean \"collapse\"?"));
  EXPECT_THAT(problems_of("notifications: {a: {command: {run: /bin/true, shell: x}}}"),
              HasSubstr("unknown key \"shell\""));
}

TEST(NotificationsConfig, ADestinationIsOneOfThreeAndHasAName) {
  EXPECT_THAT(problems_of("notifications: {a: }"), HasSubstr("exactly one of webhook"));
  EXPECT_THAT(problems_of("notifications: {a: {command: {run: /x}, webhook: {url: 'http://a/'}}}"),
              HasSubstr("exactly one of webhook"));
  for (const std::string name : {"A", "-a", "a.b", "'a b'", "''", "größe"}) {
    EXPECT_THAT(problems_of("notifications: {" + name + ": {command: {run: /x}}}"),
                HasSubstr("a destination's name"))
        << name;
  }
  EXPECT_THAT(problems_of("notifications: [a]"), HasSubstr("a section for each destination"));
  EXPECT_THAT(problems_of("notifications: {a: {command: {run: tell}}}"),
              HasSubstr("absolute path"));
  EXPECT_THAT(problems_of("notifications: {a: {command: {run: []}}}"), HasSubstr("\"run\""));
  EXPECT_THAT(problems_of("notifications: {a: {command: {run: [/x, {}]}}}"), HasSubstr("\"run\""));
  EXPECT_THAT(problems_of("notifications: {a: {command: {timeout: 3s}}}"), HasSubstr("lacks"));
}

TEST(NotificationsConfig, WhatIsNoUrlIsRefusedAndNeverRepeated) {
  for (const std::string url :
       {"hooks.example.com", "ftp://hush/", "https://", "https:///hush", "file:///hush",
        "https://hush host/", "https://hush\\n.example.com/", "https://user@/hush",
        "https://a:/hush", "https://a:99999999/hush", "https://a:hush/", "https://größe/hush"}) {
    const auto problems = webhook_problems("url: \"" + url + "\"");
    EXPECT_THAT(problems, HasSubstr("\"url\" must be a URL")) << url;
    EXPECT_THAT(problems, Not(HasSubstr("hush"))) << url;
  }
  for (const std::string url : {"http://127.0.0.1:8080", "https://[::1]/x", "https://[::1]:1/x"}) {
    EXPECT_EQ(webhook_problems("url: \"" + url + "\""), "(accepted)") << url;
  }
  EXPECT_THAT(webhook_problems("secret_file: /x"), HasSubstr("exactly one of url"));
  EXPECT_THAT(webhook_problems("url: 'http://a/', url_env: URL"), HasSubstr("exactly one of url"));
  EXPECT_EQ(webhook_problems("url_file: /etc/pitr/url"), "(accepted)");
}

TEST(NotificationsConfig, SecretsAreNeverInTheFile) {
  const auto secret = webhook_problems("url: 'http://a/', secret: hush");
  EXPECT_THAT(secret, HasSubstr("use secret_file, secret_env or secret_command"));
  EXPECT_THAT(secret, Not(HasSubstr("hush")));
  EXPECT_THAT(email_problems("host: a, from: a@b, to: c@d, user: u, password: hush"),
              HasSubstr("use password_file"));
  const auto variable = webhook_problems("url: 'http://a/', secret_env: hush hush");
  EXPECT_THAT(variable, HasSubstr("name of an environment variable"));
  EXPECT_THAT(variable, Not(HasSubstr("hush")));
  EXPECT_THAT(webhook_problems("url: 'http://a/', secret_env: A, secret_file: /b"),
              HasSubstr("only one of secret_file"));
}

TEST(NotificationsConfig, AddressesThatCouldInjectHeadersAreRefused) {
  for (const std::string address :
       {"dba", "@example.com", "dba@", "a@b@c", "dba@example.com\\r\\nBcc: x@example.com",
        "dba@example.com\\nX: y", "a b@example.com", "DBA <dba@example.com>", "a@b,c@d", "a@b>",
        "dba@exa mple.com", "dbä@example.com", "a\\0b@c"}) {
    for (const std::string key : {"from", "to"}) {
      const std::string other = key == "from" ? "to" : "from";
      EXPECT_THAT(email_problems("host: h, " + other + ": x@y, " + key + ": \"" + address + "\""),
                  HasSubstr("\"" + key + "\""))
          << address;
    }
  }
  for (const std::string host :
       {"mail example", "mail:25", "mail\\r\\n", "-mail", "[mail]", "a/b"}) {
    EXPECT_THAT(email_problems("from: a@b, to: c@d, host: \"" + host + "\""), HasSubstr("\"host\""))
        << host;
  }
  EXPECT_THAT(email_problems("host: a"),
              testing::AllOf(HasSubstr("lacks \"from\""), HasSubstr("lacks \"to\"")));
}

TEST(NotificationsConfig, APasswordNeverGoesInPlainText) {
  const std::string base = "host: a, from: a@b, to: c@d, ";
  const std::string login = "user: u, password_file: /p, ";
  EXPECT_THAT(email_problems(base + login + "starttls: optional"), HasSubstr("in plain text"));
  EXPECT_THAT(email_problems(base + login + "starttls: 'off'"), HasSubstr("in plain text"));
  EXPECT_EQ(email_problems(base + "starttls: optional"), "(accepted)");
  EXPECT_EQ(email_problems(base + login + "smtps: true"), "(accepted)");
  EXPECT_EQ(email_problems(base + login), "(accepted)");
  EXPECT_THAT(email_problems(base + "user: u"), HasSubstr("belong together"));
  EXPECT_THAT(email_problems(base + "password_file: /p"), HasSubstr("belong together"));
  EXPECT_THAT(email_problems(base + "smtps: true, starttls: required"),
              HasSubstr("from the start"));
}

TEST(NotificationsConfig, FiltersNameWhatThereIs) {
  const auto filtered = [](const std::string& keys) {
    return problems_of("notifications: {a: {command: {run: /x}, " + keys + "}}");
  };
  EXPECT_THAT(filtered("events: backup_failur"), HasSubstr("did you mean \"backup_failure\"?"));
  EXPECT_THAT(filtered("events: []"), HasSubstr("\"events\""));
  EXPECT_THAT(filtered("severity: fatal"), HasSubstr("one of info, warning, critical"));
  EXPECT_THAT(filtered("severity: info, events: [backup_created]"), HasSubstr("don't go together"));
  EXPECT_THAT(filtered("clusters: [mian]"), HasSubstr("did you mean \"main\"?"));
  EXPECT_THAT(filtered("clusters: ['']"), HasSubstr("is no configured cluster"));
  EXPECT_THAT(filtered("collapse: 60"), HasSubstr("\"collapse\""));
  EXPECT_THAT(filtered("retry_for: 0s"), HasSubstr("\"retry_for\""));
  EXPECT_EQ(filtered("clusters: [main]"), "(accepted)");
}

// The packaged file's example is one that works, and what it calls a default is.
TEST(NotificationsConfig, ThePackagedExampleIsTaken) {
  std::ifstream input(Path(PITR_SOURCE_DIRECTORY) / "packaging/pitr.yaml");
  std::string yaml;
  for (std::string line; std::getline(input, line);) {
    if (line == "# notifications:" || (!yaml.empty() && line.starts_with("#"))) {
      yaml += line.substr(2) + "\n";
    } else if (!yaml.empty()) {
      break;
    }
  }
  const auto config = parsed(yaml);
  ASSERT_EQ(config.notifications.size(), 3u) << yaml;
  const Destination defaults;
  EXPECT_EQ(config.notifications[0].webhook->timeout, WebhookOptions().timeout);
  EXPECT_EQ(config.notifications[0].collapse, defaults.collapse);
  EXPECT_EQ(config.notifications[0].give_up, defaults.give_up);
  EXPECT_EQ(config.notifications[1].email->port, EmailOptions().port);
  EXPECT_EQ(config.notifications[1].email->tls, EmailOptions().tls);
  EXPECT_EQ(config.notifications[1].email->timeout, EmailOptions().timeout);
  EXPECT_EQ(config.notifications[2].command->timeout, CommandOptions().timeout);
}

TEST(NotificationsConfig, AChangeIsTakenOver) {
  const auto running = parsed("notifications: {a: {command: {run: /x}}}");
  EXPECT_THAT(compare_configs(running, running).taken_over, testing::IsEmpty());
  for (const std::string yaml :
       {"notifications: {a: {command: {run: /y}}}", "", "notifications: {b: {command: {run: /x}}}",
        "notifications: {a: {command: {run: /x}, severity: critical}}"}) {
    const auto changes = compare_configs(running, parsed(yaml));
    EXPECT_THAT(changes.taken_over, ElementsAre("notifications"));
    EXPECT_THAT(changes.need_restart, testing::IsEmpty());
  }
}

}  // namespace
}  // namespace pitr
