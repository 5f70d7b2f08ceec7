#include "programs/pitr/cmd_token.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/api/token_file.h"
#include "agent/audit/audit_trail.h"
#include "agent/repository_access.h"
#include "config/units.h"
#include "programs/exit_codes.h"
#include "programs/pitr/text_table.h"

namespace pitr {
namespace {

std::string joined(const std::vector<std::string>& clusters) {
  return clusters.empty() ? "all" : fmt::format("{}", fmt::join(clusters, " "));
}

Result<ApiToken> token_of(const CommandContext& context, const TokenArguments& arguments,
                          Timestamp now) {
  ApiToken token;
  token.name = arguments.name;
  if (!is_token_name(token.name)) {
    return Error::invalid(fmt::format("\"{}\" cannot name a token", token.name))
        .with_hint("a name has a-z, 0-9, \"_\" and \"-\", and at most 63 of them");
  }
  token.role = TRY(parse_role(arguments.role));
  token.created = now;
  if (!arguments.expires.empty()) {
    token.expires = now + TRY(with_context(parse_duration(arguments.expires), "--expires"));
  }
  for (const auto& cluster : arguments.clusters) {
    if (context.config().find_cluster(cluster)) continue;
    return Error::invalid("there is no cluster " + cluster + " in the configuration");
  }
  token.clusters = arguments.clusters;
  return token;
}

// With a line in the audit trail, which never has the token's text.
Result<void> change_audited(const CommandContext& context, const std::string& change,
                            const std::string& name, const std::string& role,
                            const std::function<Result<void>(std::vector<ApiToken>&)>& work) {
  SystemClock clock;
  auto access = TRY(RepositoryAccess::open(context.config(), clock));
  auto entry = audit_entry(AuditedOperation::kToken, "", {context.reason(), {}});
  entry.details = {{"change", change}, {"token", name}};
  if (!role.empty()) entry.details["role"] = role;
  return AuditTrail(access->repository(), clock).run(std::move(entry), [&](auto&) {
    return change_token_file(context.config().agent.http.tokens, work);
  });
}

}  // namespace

Result<int> run_token_add(const CommandContext& context, const TokenArguments& arguments) {
  auto token = TRY(token_of(context, arguments, SystemClock().now()));
  const auto text = TRY(make_token_text());
  token.digest = token_digest(text);
  TRY(change_audited(context, "add", token.name, arguments.role, [&](auto& tokens) -> Result<void> {
    if (std::ranges::find(tokens, token.name, &ApiToken::name) != tokens.end()) {
      return Error::conflict("there is a token " + token.name + " already")
          .with_hint("choose another name, or remove it first: pitr token remove " + token.name);
    }
    tokens.push_back(token);
    return {};
  }));
  fmt::print(stderr, "Keep this token; it is not shown again.\n");
  print(text);
  return kExitSuccess;
}

Result<int> run_token_list(const CommandContext& context) {
  auto tokens = read_token_file(context.config().agent.http.tokens);
  if (!tokens && tokens.error().kind() == ErrorKind::kNotFound) tokens = std::vector<ApiToken>();
  if (!tokens) return tokens.error();
  const auto now = SystemClock().now();
  TextTable table;
  for (const char* title : {"NAME", "ROLE", "CREATED (UTC)", "EXPIRES (UTC)", "CLUSTERS"}) {
    table.add_column(title);
  }
  auto json = nlohmann::json::array();
  for (const auto& token : *tokens) {
    const auto expires = token.expires ? to_string(*token.expires).substr(0, 19) : "never";
    table.add_row({token.name, std::string(to_string(token.role)),
                   to_string(token.created).substr(0, 19),
                   expires + (token.is_expired(now) ? ", over" : ""), joined(token.clusters)});
    json.push_back({{"name", token.name},
                    {"role", to_string(token.role)},
                    {"created", to_string(token.created)},
                    {"expires", nullptr},
                    {"clusters", token.clusters}});
    if (token.expires) json.back()["expires"] = to_string(*token.expires);
  }
  if (context.json()) {
    print(nlohmann::json{{"tokens", std::move(json)}}.dump(2));
  } else {
    print(tokens->empty() ? "No tokens yet; \"pitr token add\" makes one." : table.to_text());
  }
  return kExitSuccess;
}

Result<int> run_token_remove(const CommandContext& context, const TokenArguments& arguments) {
  TRY(change_audited(context, "remove", arguments.name, "", [&](auto& tokens) -> Result<void> {
    if (std::erase_if(tokens, [&](const auto& token) { return token.name == arguments.name; }) > 0)
      return {};
    return Error::not_found("there is no token " + arguments.name)
        .with_hint("\"pitr token list\" shows those there are");
  }));
  print("Token " + arguments.name + " is removed, and counts no more.");
  return kExitSuccess;
}

}  // namespace pitr
