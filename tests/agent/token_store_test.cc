// Whose a token is, by the file as it is now.
#include "agent/api/token_store.h"

#include "agent/api/api_gate.h"
#include "agent/pitr_site.h"

namespace pitr::test {
namespace {

using testing::HasSubstr;

class SteppedClock final : public Clock {
 public:
  Timestamp now() const override { return now_; }
  SteadyTime steady_now() const override { return SteadyTime(Microseconds(now_.unix_us())); }
  void step(Microseconds by) { now_ = now_ + by; }

 private:
  Timestamp now_ = Timestamp::from_unix_us(1'800'000'000'000'000);
};

class TokenStoreTest : public testing::Test {
 protected:
  std::string add(const std::string& name, Role role, std::optional<Microseconds> valid_for = {}) {
    auto text = must(make_token_text());
    must(change_token_file(file_, [&](auto& tokens) -> Result<void> {
      ApiToken token{name, role, token_digest(text), clock_.now(), {}, {}};
      if (valid_for) token.expires = clock_.now() + *valid_for;
      tokens.push_back(token);
      return {};
    }));
    return text;
  }
  void remove(const std::string& name) {
    must(change_token_file(file_, [&](auto& tokens) -> Result<void> {
      std::erase_if(tokens, [&](const auto& token) { return token.name == name; });
      return {};
    }));
  }
  http::Response ask(ApiGate& gate, Role least_role, const std::string& authorization) {
    const ApiRoute route{"GET", "/v1/status", least_role, Reach::kAnywhere,
                         [](const ApiCall&) { return http::Response(); }};
    http::Request request;
    request.peer_address = "192.0.2.1";
    if (!authorization.empty()) request.headers["authorization"] = authorization;
    return gate.serve(route, request);
  }

  SteppedClock clock_;
  TemporaryDirectory directory_ = must(TemporaryDirectory::create());
  Path file_ = directory_ / "tokens";
  TokenStore store_{file_, clock_};
  ApiCounters counters_;
};

TEST_F(TokenStoreTest, KnowsTokensUntilTheyAreRemovedOrExpire) {
  EXPECT_FALSE(store_.authenticate(""));
  const auto grafana = add("grafana", Role::kViewer);
  const auto deploy = add("deploy", Role::kOperator, Seconds(60));
  ASSERT_TRUE(store_.authenticate(grafana));
  EXPECT_EQ(store_.authenticate(grafana)->name, "token grafana");
  EXPECT_EQ(store_.authenticate(deploy)->role, Role::kOperator);
  EXPECT_FALSE(store_.authenticate(""));
  EXPECT_FALSE(store_.authenticate(grafana + "0"));
  EXPECT_FALSE(store_.authenticate(must(make_token_text())));
  clock_.step(Seconds(59));
  EXPECT_TRUE(store_.authenticate(deploy));
  clock_.step(Seconds(1));
  EXPECT_FALSE(store_.authenticate(deploy));
  remove("grafana");
  EXPECT_FALSE(store_.authenticate(grafana));
}

TEST_F(TokenStoreTest, ADigestIsComparedToItsLastByte) {
  const auto text = add("grafana", Role::kViewer);
  for (const std::size_t position : {0u, 15u, 31u}) {
    must(change_token_file(file_, [&](auto& tokens) -> Result<void> {
      tokens.front().digest = token_digest(text);
      tokens.front().digest[position] ^= 1;
      return {};
    }));
    EXPECT_FALSE(store_.authenticate(text)) << position;
  }
}

TEST_F(TokenStoreTest, TheFileHasNoTokenInIt) {
  const auto text = add("grafana", Role::kViewer);
  EXPECT_THAT(must(read_text_file(file_)), testing::Not(HasSubstr(text.substr(5))));
  EXPECT_EQ(std::filesystem::status(file_).permissions(), std::filesystem::perms(0640));
}

TEST_F(TokenStoreTest, AFileThatIsWrongLetsNobodyIn) {
  const auto text = add("grafana", Role::kViewer);
  const auto good = must(read_text_file(file_));
  ASSERT_TRUE(store_.authenticate(text));
  write_text(file_, good + "deploy operator abc never *\n");
  EXPECT_FALSE(store_.authenticate(text));
  EXPECT_THAT(read_token_file(file_).error().message(), HasSubstr("tokens:4: "));
  write_text(file_, good);
  EXPECT_TRUE(store_.authenticate(text));
  std::filesystem::permissions(file_, std::filesystem::perms(0666));
  EXPECT_FALSE(store_.authenticate(text));
}

TEST_F(TokenStoreTest, EveryMistakeInALineIsRefused) {
  const std::string digest(64, 'a');
  const std::string good = "a viewer " + digest + " 2026-03-01T09:15:00Z never *\n";
  EXPECT_TRUE(parse_tokens(good, "t"));
  for (const auto& line : {"A viewer " + digest + " 2026-03-01T09:15:00Z never *",
                           "a root " + digest + " 2026-03-01T09:15:00Z never *",
                           "a viewer " + digest.substr(1) + " 2026-03-01T09:15:00Z never *",
                           "a viewer " + digest + " yesterday never *",
                           "a viewer " + digest + " 2026-03-01T09:15:00Z soon *",
                           "a viewer " + digest + " 2026-03-01T09:15:00Z never ,",
                           "a viewer " + digest + " 2026-03-01T09:15:00Z never", good + good}) {
    EXPECT_FALSE(parse_tokens(line, "t")) << line;
  }
}

TEST_F(TokenStoreTest, TheGateWantsTheRoleAndSaysTheSameOfEveryOtherToken) {
  ApiGate gate({.tokens = file_}, clock_, counters_);
  const auto none = ask(gate, Role::kViewer, "");
  EXPECT_EQ(none.status, 401);
  EXPECT_THAT(none.headers.at("www-authenticate"), HasSubstr("Bearer"));
  EXPECT_THAT(none.error().hint(), HasSubstr("pitr token add"));
  const auto viewer = "Bearer " + add("grafana", Role::kViewer);
  const auto brief = "Bearer " + add("brief", Role::kAdmin, Seconds(1));
  EXPECT_EQ(ask(gate, Role::kAdmin, brief).status, 200);
  clock_.step(Seconds(1));
  for (const auto& wrong : {brief, viewer + "0", viewer.substr(7), std::string("Basic eDp5")}) {
    const auto refused = ask(gate, Role::kViewer, wrong);
    EXPECT_EQ(refused.status, 401);
    EXPECT_EQ(refused.body, none.body);
    EXPECT_EQ(refused.headers, none.headers);
  }
  EXPECT_EQ(ask(gate, Role::kViewer, viewer).status, 200);
  for (const auto role : {Role::kOperator, Role::kAdmin}) {
    const auto refused = ask(gate, role, viewer);
    EXPECT_EQ(refused.status, 403);
    EXPECT_THAT(refused.body, HasSubstr(std::string("role ") + std::string(to_string(role))));
  }
}

TEST_F(TokenStoreTest, WhoTriesTokensOutHasToWait) {
  ApiGate gate({.tokens = file_}, clock_, counters_);
  const auto right = "Bearer " + add("grafana", Role::kViewer);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(ask(gate, Role::kViewer, "Bearer x").status, 401);
  const auto limited = ask(gate, Role::kViewer, "Bearer x");
  EXPECT_EQ(limited.status, 429);
  EXPECT_EQ(limited.headers.at("retry-after"), "2");
  EXPECT_EQ(ask(gate, Role::kViewer, right).status, 429);
  clock_.step(Seconds(2));
  EXPECT_EQ(ask(gate, Role::kViewer, right).status, 200);
  EXPECT_EQ(counters_.of(2), 10u);
}

TEST_F(TokenStoreTest, WhereOtherMachinesReachNoTokenHelps) {
  ApiGate gate({.tokens = file_, .is_remote = true}, clock_, counters_);
  const auto refused = ask(gate, Role::kViewer, "Bearer " + add("grafana", Role::kAdmin));
  EXPECT_EQ(refused.status, 403);
  EXPECT_THAT(refused.body, HasSubstr("in plain text"));
}

TEST_F(TokenStoreTest, OnlySomeMayWaitAtATime) {
  ApiGate gate({.tokens = file_}, clock_, counters_);
  http::Request request;
  request.peer_address = "192.0.2.1";
  request.headers["authorization"] = "Bearer " + add("grafana", Role::kViewer);
  request.query["wait"] = "30";
  std::vector<bool> waits;
  // Each calls the next one while it waits itself.
  ApiRoute route{"GET", "/v1/events", Role::kViewer, Reach::kAnywhere, {}};
  route.handler = [&](const ApiCall& call) {
    waits.push_back(call.may_wait);
    if (waits.size() < 6) gate.serve(route, request);
    return http::Response();
  };
  EXPECT_EQ(gate.serve(route, request).status, 200);
  EXPECT_THAT(waits, testing::ElementsAre(true, true, true, true, false, false));
  waits.clear();
  gate.serve(route, request);
  EXPECT_TRUE(waits.front()) << "the places came back";
}

TEST_F(TokenStoreTest, TheGateStopsAFlood) {
  ApiGate gate({.tokens = file_}, clock_, counters_);
  http::Request request;
  request.peer_address = "192.0.2.1";
  int allowed = 0;
  for (int i = 0; i < 1000; ++i) allowed += !gate.guard(request).has_value();
  EXPECT_EQ(allowed, 100);
  request.peer_address = "192.0.2.2";
  EXPECT_FALSE(gate.guard(request));
}

}  // namespace
}  // namespace pitr::test
