#include "agent/metrics/survey.h"

#include "agent/repository_access.h"
#include "repository/expire/incarnation_expire.h"
#include "repository/incarnations.h"

namespace pitr {
namespace {

constexpr std::array kTiers{RetentionTier::kLast,     RetentionTier::kDaily,
                            RetentionTier::kWeekly,   RetentionTier::kMonthly,
                            RetentionTier::kYearly,   RetentionTier::kWithin,
                            RetentionTier::kBase,     RetentionTier::kPin,
                            RetentionTier::kVerified, RetentionTier::kFuture};

std::string label_of(RetentionTier tier) {
  std::string label(to_string(tier));
  for (char& c : label) {
    if (c == ' ') c = '_';
  }
  return label;
}

void count(const StoredState& state, ClusterSurvey& survey) {
  const auto add = [&](const std::string& kind, const std::vector<ObjectInfo>& objects) {
    auto& counts = survey.stored[kind];
    for (const auto& object : objects) counts.add(object.size_bytes);
  };
  add("pack", state.packs);
  add("table", state.tables);
  add("wal", state.wal);
  add("facts", state.facts);
  add("watermark", state.watermarks);
  for (const auto& [id, objects] : state.backup_objects) add("backup", objects);
}

void note_verified(const IncarnationStore& store, const StoredState& state, ClusterSurvey& survey) {
  for (const auto& backup : state.published) {
    if (!backup.is_verified) continue;
    ++survey.verified;
    const auto objects = state.backup_objects.find(backup.manifest.id);
    if (objects == state.backup_objects.end()) continue;
    const auto prefix = store.names().backup_verified_prefix(backup.manifest.id);
    for (const auto& object : objects->second) {
      if (!object.key.text().starts_with(prefix)) continue;
      survey.last_verified = std::max(survey.last_verified, object.modified);
    }
  }
}

}  // namespace

Result<ClusterSurvey> survey_cluster(Repository& repository, const std::string& cluster,
                                     const RetentionConfig& retention, const Clock& clock) {
  ClusterSurvey survey;
  auto options = expire_options(retention);
  options.dry_run = true;
  RetentionInput input;
  std::vector<ExpireBackup> backups;
  const auto registered = TRY(registered_incarnations(repository, cluster));
  if (!registered.empty()) survey.registered = registered.back().registered;
  for (std::uint32_t i = 0; i < registered.size(); ++i) {
    const IncarnationStore store(repository, registered[i].id, registered[i].segment_size);
    IncarnationExpire incarnation(store, options, clock);
    TRY(incarnation.read());
    TRY(incarnation.describe(i, input, backups));
    count(incarnation.state(), survey);
    note_verified(store, incarnation.state(), survey);
  }
  for (const auto tier : kTiers) survey.by_tier[label_of(tier)] = 0;
  const auto plan = TRY(plan_retention(input, options.policy));
  for (const auto& decision : plan.decisions) {
    if (!decision.keep()) ++survey.not_kept;
    for (const auto& reason : decision.kept_by) ++survey.by_tier[label_of(reason.tier)];
  }
  return survey;
}

Result<KeySurvey> survey_keys(Repository& repository) {
  KeySurvey survey;
  const auto* key = repository.keyring().newest();
  if (key == nullptr) return survey;
  survey.epoch = key->epoch;
  if (key->made_day > 0) {
    survey.created = start_of_day(key->made_day);
    return survey;
  }
  // Made by a version that didn't note the day. One object for each key-encryption key that wraps
  // it; the first one was written with it.
  const auto prefix = layout::keyring_entry(key->epoch, "0").text();
  const auto folder = prefix.substr(0, prefix.size() - 1);
  const auto objects = TRY(list_all(repository.storage(), folder));
  for (const auto& object : objects) {
    if (survey.created == Timestamp() || object.modified < survey.created) {
      survey.created = object.modified;
    }
  }
  return survey;
}

}  // namespace pitr
