#include "repository/keys/key_proof.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "codec/container_format.h"
#include "repository/sealed_object.h"

namespace pitr {
namespace {

// Of a long list only its ends are looked at: epochs follow one another in time.
constexpr std::size_t kMostAtEachEnd = 100;

struct Candidate {
  ObjectKey key;
  ContainerKind kind;
  std::string incarnation;
};

class ProofSearch {
 public:
  ProofSearch(Repository& repository, const Keyring& keys) : repository_(repository), keys_(keys) {
    for (const auto epoch : keys.epochs()) open_.emplace(epoch, std::nullopt);
  }
  Result<std::vector<KeyProof>> run();

 private:
  bool done() const { return open_.empty(); }
  Result<void> look_at_incarnations();
  Result<void> look_at_manifests();
  Result<void> look_at_audit_trail();
  Result<void> try_ends_of(std::vector<Candidate> candidates);
  Result<void> try_one(const Candidate& candidate);
  Result<void> open(const Candidate& candidate);

  Repository& repository_;
  const Keyring& keys_;
  std::map<std::uint32_t, std::optional<Error>> open_;  // epochs without proof; what was damaged
  std::vector<KeyProof> proofs_;
};

// nullopt where it is none, or gone.
Result<std::optional<std::uint32_t>> epoch_of(Storage& storage, const ObjectKey& key) {
  Bytes bytes(container::kHeaderSize);
  auto read = storage.get_range(key, 0, bytes);
  if (!read.has_value()) {
    const auto kind = read.error().kind();
    if (kind != ErrorKind::kNotFound && kind != ErrorKind::kCorrupt) {
      return std::move(read).error();
    }
    return std::optional<std::uint32_t>();
  }
  const auto header = container::parse_header(bytes);
  return header ? std::optional(header->epoch) : std::nullopt;
}

Result<void> ProofSearch::open(const Candidate& candidate) {
  const auto source = TRY(ObjectSource::open(repository_.storage(), candidate.key));
  const ContainerIdentity identity{repository_.id(), candidate.incarnation, candidate.kind,
                                   candidate.key.text()};
  const auto reader = TRY(ContainerReader::open(*source, identity, keys_));
  Bytes plain;
  return reader.frame_count() == 0 ? Result<void>() : reader.read_frame(0, plain);
}

Result<void> ProofSearch::try_one(const Candidate& candidate) {
  const auto epoch = TRY(epoch_of(repository_.storage(), candidate.key));
  const auto wanted = epoch ? open_.find(*epoch) : open_.end();
  if (wanted == open_.end()) return {};
  auto opened = open(candidate);
  if (opened.has_value()) {
    proofs_.push_back({*epoch, candidate.key});
    open_.erase(wanted);
    return {};
  }
  if (opened.error().kind() == ErrorKind::kNotFound) return {};  // expired meanwhile
  if (opened.error().kind() != ErrorKind::kCorrupt) return opened;
  wanted->second = std::move(opened).error();
  return {};
}

Result<void> ProofSearch::try_ends_of(std::vector<Candidate> candidates) {
  for (std::size_t i = 0; i < candidates.size() && !done(); ++i) {
    const auto from_end = candidates.size() - 1 - i;
    if (i >= kMostAtEachEnd && from_end >= kMostAtEachEnd) continue;
    TRY(try_one(candidates[from_end]));
  }
  return {};
}

Result<void> ProofSearch::look_at_incarnations() {
  const auto ids = TRY(repository_.incarnations());
  std::vector<Candidate> candidates;
  for (const auto& id : ids) {
    const layout::Incarnation names(id, SegmentSize());
    candidates.push_back({names.identity(), ContainerKind::kIncarnation, to_string(id)});
  }
  return try_ends_of(std::move(candidates));
}

Result<void> ProofSearch::look_at_manifests() {
  const auto ids = TRY(repository_.incarnations());
  for (const auto& id : ids) {
    if (done()) return {};
    const layout::Incarnation names(id, SegmentSize());
    const auto objects = TRY(list_all(repository_.storage(), names.backup_prefix()));
    std::vector<Candidate> candidates;
    for (const auto& object : objects) {
      if (!object.key.text().ends_with("/manifest")) continue;
      candidates.push_back({object.key, ContainerKind::kManifest, to_string(id)});
    }
    TRY(try_ends_of(std::move(candidates)));
  }
  return {};
}

Result<void> ProofSearch::look_at_audit_trail() {
  auto months = TRY(repository_.storage().list_folders(layout::kAuditPrefix));
  std::ranges::reverse(months);
  for (const auto& month : months) {
    if (done()) return {};
    const auto prefix = std::string(layout::kAuditPrefix) + month + "/";
    const auto objects = TRY(list_all(repository_.storage(), prefix));
    std::vector<Candidate> candidates;
    for (const auto& object : objects) {
      candidates.push_back({object.key, ContainerKind::kAudit, ""});
    }
    TRY(try_ends_of(std::move(candidates)));
  }
  return {};
}

Result<std::vector<KeyProof>> ProofSearch::run() {
  TRY(look_at_incarnations());
  if (!done()) TRY(look_at_manifests());
  if (!done()) TRY(look_at_audit_trail());
  for (auto& [epoch, damage] : open_) {
    if (damage) {
      return std::move(*damage).with_context(
          fmt::format("nothing sealed with the data key of epoch {} can be opened", epoch));
    }
    proofs_.push_back({epoch, std::nullopt});
  }
  std::ranges::sort(proofs_, {}, &KeyProof::epoch);
  return std::move(proofs_);
}

}  // namespace

Result<std::vector<KeyProof>> prove_keys(Repository& repository, const Keyring& keys) {
  return ProofSearch(repository, keys).run();
}

}  // namespace pitr
