#include "repository/expire/expire.h"

#include <fmt/format.h>

#include "repository/expire/incarnation_expire.h"
#include "repository/incarnations.h"

namespace pitr {

namespace {

class ClusterExpire {
 public:
  ClusterExpire(const ExpireOptions& options, const Clock& clock, std::stop_token stop)
      : options_(options), clock_(clock), stop_(std::move(stop)) {}

  Result<ExpireReport> run(Repository& repository, const std::string& cluster);

 private:
  Result<void> decide();
  Result<void> drop();

  const ExpireOptions& options_;
  const Clock& clock_;
  const std::stop_token stop_;
  std::vector<std::unique_ptr<IncarnationExpire>> incarnations_;
  ExpireReport report_;
};

Result<void> ClusterExpire::decide() {
  RetentionInput input;
  for (std::uint32_t i = 0; i < incarnations_.size(); ++i) {
    TRY(incarnations_[i]->read());
    TRY(incarnations_[i]->describe(i, input, report_.backups));
    report_.incarnations.push_back(incarnations_[i]->store().id());
  }
  report_.plan = TRY(plan_retention(input, options_.policy));
  report_.warnings = report_.plan.warnings;
  return {};
}

Result<void> ClusterExpire::drop() {
  for (const auto& incarnation : incarnations_) {
    std::set<BackupId> unwanted;
    for (const auto& decision : report_.plan.decisions) {
      const auto& backup = report_.backups[decision.backup];
      const bool is_here = backup.incarnation == incarnation->store().id();
      if (is_here && !decision.keep()) unwanted.insert(backup.id);
    }
    std::map<BackupId, std::string> held;
    TRY(incarnation->drop(unwanted, held));
    for (auto& backup : report_.backups) {
      if (!unwanted.contains(backup.id)) continue;
      const auto holder = held.find(backup.id);
      if (holder == held.end()) {
        ++report_.dropped_backups;
      } else {
        backup.held = holder->second;
      }
    }
  }
  return {};
}

Result<ExpireReport> ClusterExpire::run(Repository& repository, const std::string& cluster) {
  const auto registered = TRY(registered_incarnations(repository, cluster));
  if (registered.empty()) {
    return Error::not_found(fmt::format("the repository in {} holds nothing of cluster {}",
                                        repository.storage().description(), cluster));
  }
  for (const auto& one : registered) {
    const IncarnationStore store(repository, one.id, one.segment_size);
    incarnations_.push_back(std::make_unique<IncarnationExpire>(store, options_, clock_, stop_));
  }
  TRY(decide());
  TRY(drop());
  for (std::uint32_t i = 0; i < incarnations_.size(); ++i) {
    TRY(incarnations_[i]->collect(report_.plan, i, report_));
  }
  for (const auto& incarnation : incarnations_) TRY(incarnation->finish());
  return std::move(report_);
}

}  // namespace

Result<ExpireReport> expire_cluster(Repository& repository, const std::string& cluster,
                                    const ExpireOptions& options, const Clock& clock,
                                    std::stop_token stop) {
  auto report = ClusterExpire(options, clock, std::move(stop)).run(repository, cluster);
  return with_context(std::move(report), "expiring backups of " + cluster);
}

}  // namespace pitr
