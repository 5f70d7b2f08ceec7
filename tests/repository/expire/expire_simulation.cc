#include "repository/expire/expire_simulation.h"

#include <fmt/format.h>

#include <algorithm>

#include "repository/expire/pins.h"
#include "repository/incarnations.h"
#include "repository/verify/wal_holes.h"

namespace pitr::test {

using backup_test::file_row;
using std::chrono::hours;

static constexpr Microseconds kGrace = hours(24);
static constexpr Microseconds kRestoreLease = Seconds(60);
static const IncarnationId kIncarnation{"main", 7'301'234'567'890'123'456, 15};
static const Timestamp kStart = Timestamp::from_unix_us(1'772'356'500'000'000);

ExpireSimulation::ExpireSimulation(std::uint64_t seed)
    : random_(seed), clock_(kStart), memory_(clock_) {
  segment_size_ = must(SegmentSize::from_bytes(1 << 20));
  repository_ = must(Repository::init(memory_, std::nullopt));
  must(register_incarnation(*repository_, kIncarnation, segment_size_, clock_));
  policy_.keep_last = static_cast<unsigned>(pick(1, 2));
  policy_.keep_daily = happens(0.3) ? 2 : 0;
  const double rates[] = {0.02, 0.1, 0.3, 1.0};
  switch_rate_ = rates[pick(0, 3)];
  policy_.keep_weekly = policy_.keep_monthly = policy_.keep_yearly = 0;
  policy_.keep_verified = 0;
  policy_.keep_within = hours(happens(0.7) ? 0 : pick(0, 12));
}

IncarnationStore ExpireSimulation::store() {
  return {*repository_, kIncarnation, segment_size_};
}

void ExpireSimulation::take_backup(Storage& storage, std::uint64_t number) {
  const auto repository = Repository::open(storage, std::nullopt);
  if (!repository) return;
  const IncarnationStore store(**repository, kIncarnation, segment_size_);
  const auto now = clock_.now();
  const auto first = segment_;
  BackupIntent intent{.id = BackupId::make(now, number), .host = "db1", .started = now};
  intent.start_lsn = segment_size_.start_of(first) + 40;
  intent.good_for = kGrace;
  std::optional<ParentBackup> parent;
  auto manifests = BackupCatalog(store).manifests();
  if (!manifests) return;
  if (!manifests->empty() && number % 4 != 0) {
    intent.parent = manifests->back().id;
    parent = ParentBackup{manifests->back(), {}};
  }
  const bool has_parent = parent.has_value();
  auto writer = BackupWriter::start(store, intent, {}, std::move(parent), clock_);
  if (!writer) {
    counts_.refused += writer.error().kind() == ErrorKind::kConflict ? 1 : 0;
    return;
  }
  auto packs = (*writer)->new_pack_writer();
  if (!packs) return;
  const Bytes content(kBlockSize, static_cast<std::uint8_t>(number));
  for (std::uint32_t file = 0; file < 3; ++file) {
    const auto path = fmt::format("base/5/{}", file);
    const bool is_stored = !has_parent || file == number % 3;
    if (is_stored && !(*packs)->add(path, 0, content)) return;
    (*writer)->add_file(file_row(path, kBlockSize), is_stored ? Keep::kNothing : Keep::kRest);
  }
  if (!(*packs)->finish()) return;
  auto described = backup_test::manifest_of(store, intent.id);
  described.start_lsn = intent.start_lsn;
  described.stop_lsn = intent.start_lsn + 100;
  described.start_time = now;
  described.stop_time = clock_.now();
  auto manifest = (*writer)->store_manifest(std::move(described));
  if (!manifest) return;
  const auto segment = store.names().segment({TimelineId(1), first});
  if (!storage.put(segment, as_bytes("wal"))) return;
  std::set<std::string> contents;
  add_contents(store, *manifest, contents);
  contents_[intent.id] = std::move(contents);
  wal_of_[intent.id] = {first, first};
  const auto published = (*writer)->publish(*manifest);
  counts_.published += published ? 1 : 0;
  const bool is_refused = !published && published.error().kind() == ErrorKind::kConflict;
  counts_.refused += is_refused ? 1 : 0;
  // Expire leaves alone what is under way: only who is late is refused.
  EXPECT_TRUE(!is_refused || clock_.now() - now >= kGrace) << published.error().message();
}

void ExpireSimulation::restore(Storage& storage, std::uint64_t number) {
  const auto repository = Repository::open(storage, std::nullopt);
  if (!repository) return;
  const IncarnationStore store(**repository, kIncarnation, segment_size_);
  const auto backups = BackupCatalog(store).manifests();
  if (!backups || backups->empty()) return;
  const auto& chosen = (*backups)[number % backups->size()];
  const auto first = segment_size_.number_of(chosen.start_lsn);
  LeaseNeeds needs{{chosen.id}, {{TimelineId(1), first, first + number % 4}}, "a restore"};
  auto asked = clock_.now();
  auto lease = Lease::take(store, needs, kRestoreLease);
  if (!lease) {
    counts_.refused += lease.error().kind() == ErrorKind::kConflict ? 1 : 0;
    return;
  }
  // What is there now stays.
  auto there = needs;
  there.wal.clear();
  for (auto segment = first; segment <= first + number % 4; ++segment) {
    if (exists(store.names().segment({TimelineId(1), segment}))) {
      there.wal.push_back({TimelineId(1), segment, segment});
    }
  }
  granted_[number] = {there, asked + kRestoreLease};
  const auto manifest = BackupCatalog(store).manifest(chosen.id);
  EXPECT_TRUE(manifest || manifest.error().kind() == ErrorKind::kCancelled ||
              clock_.now() > granted_[number].until)
      << manifest.error().message();
  if (manifest) {
    std::set<std::string> contents;
    add_contents(store, *manifest, contents);
    for (const auto& name : contents) {
      if (clock_.now() - asked > kRestoreLease / 6) {
        asked = clock_.now();
        if (!(*lease)->renew()) break;
        granted_[number].until = asked + kRestoreLease;
      }
      const auto read = storage.get(ObjectKey::from_parts(name), 1 << 20);
      const bool was_killed = !read && read.error().kind() == ErrorKind::kCancelled;
      // Others had so many turns that the lease ran out meanwhile.
      const bool is_late = clock_.now() > granted_[number].until;
      EXPECT_TRUE(read || was_killed || is_late) << name;
      if (!read) break;
      ++counts_.restored;
    }
  }
  granted_.erase(number);
  (void)(*lease)->release().has_value();
}

void ExpireSimulation::pin(Storage& storage, std::uint64_t number) {
  const auto repository = Repository::open(storage, std::nullopt);
  if (!repository) return;
  const IncarnationStore store(**repository, kIncarnation, segment_size_);
  const auto ids = BackupCatalog(store).list();
  if (!ids || ids->empty()) return;
  const auto& id = (*ids)[number % ids->size()];
  const auto expires = clock_.now() + hours(pick(1, 20));
  const auto label = fmt::format("pin {}", number);
  if (pin_backup(store, id, label, expires)) pinned_.emplace_back(id, expires);
}

void ExpireSimulation::write_wal(Storage& storage, std::uint64_t segment) {
  (void)storage.put_if_absent(store().names().segment({TimelineId(1), segment}), as_bytes("wal"))
      .has_value();
}

void ExpireSimulation::expire(Storage& storage) {
  const auto repository = Repository::open(storage, std::nullopt);
  if (!repository) return;
  // At times somebody tries another policy: what it lets go is needed again by the next one.
  auto policy = policy_;
  if (happens(0.3)) policy.keep_within = hours(pick(0, 12));
  const auto report = expire_cluster(**repository, "main", {policy, kGrace, false}, clock_);
  if (!report) {
    const auto kind = report.error().kind();
    EXPECT_TRUE(kind == ErrorKind::kCancelled || kind == ErrorKind::kTransient ||
                kind == ErrorKind::kNotFound || kind == ErrorKind::kInvalid)
        << report.error().message();
    return;
  }
  counts_.expired += report->dropped_backups;
  counts_.deleted += report->deleted.objects;
}

void ExpireSimulation::start_somebody() {
  const auto number = ++started_;
  const auto what = pick(0, 10);
  const bool is_restore = what == 4 || what == 5;
  const auto start = [&](std::string name, Actor::Work work) {
    auto actor = std::make_unique<Actor>(memory_, fmt::format("{} {}", name, number), work);
    running_.push_back({std::move(actor), is_restore, true});
  };
  if (what <= 3) {
    ++segment_;
    start("backup", [this, number](Storage& storage) { take_backup(storage, number); });
  } else if (is_restore) {
    start("restore", [this, number](Storage& storage) { restore(storage, number); });
  } else if (what == 6) {
    const auto late = pick(0, 1) == 0 ? ++segment_ : pick(10, segment_);
    start("wal", [this, late](Storage& storage) { write_wal(storage, late); });
  } else if (what == 7) {
    start("pin", [this, number](Storage& storage) { pin(storage, number); });
  } else {
    start("expire", [this](Storage& storage) { expire(storage); });
  }
}

// Small steps always. Days only where nobody has to renew a lease, once everybody has moved since
// the last time, and not into a removal: what was announced as dropped is removed within half an
// hour, or not at all. Other requests take as long as the grace allows.
void ExpireSimulation::pass_time() {
  clock_.advance(Milliseconds(pick(0, 500)));
  const bool may_jump = std::ranges::all_of(running_, [](const Running& one) {
    const bool removes = one.actor->wants().starts_with("remove");
    return !one.is_restore && one.was_stepped && !removes;
  });
  if (!may_jump || !happens(0.03)) return;
  clock_.advance(Microseconds(happens(0.7) ? hours(pick(1, 8)) : hours(pick(8, 23))));
  for (auto& one : running_) one.was_stepped = false;
  for (const auto& late : late_) late();
  late_.clear();
}

void ExpireSimulation::kill_somebody() {
  auto& victim = running_[pick(0, running_.size() - 1)];
  const bool removes = victim.actor->wants().starts_with("remove");
  const auto late = victim.actor->kill();
  ++counts_.killed;
  for (auto granted = granted_.begin(); granted != granted_.end();) {
    const bool is_its = victim.actor->name() == fmt::format("restore {}", granted->first);
    granted = is_its ? granted_.erase(granted) : std::next(granted);
  }
  if (late && happens(0.3)) {
    late();
  } else if (late && !removes && happens(0.5)) {
    late_.push_back(late);
  }
  std::erase_if(running_, [&](const Running& one) { return &one == &victim; });
}

void ExpireSimulation::check() {
  const auto store = this->store();
  const auto objects = must(list_all(memory_, ""));
  std::set<std::string> names;
  for (const auto& object : objects) {
    names.insert(object.key.text());
    const auto segment = store.names().segment_of(object.key);
    if (segment) seen_wal_.insert(*segment);
  }
  const auto expect = [&](const ObjectKey& key, const std::string& what) {
    ASSERT_TRUE(names.contains(key.text()))
        << key.text() << " is gone, and " << what << " needs it";
  };
  const auto expect_backup = [&](const BackupId& id, const std::string& what) {
    expect(store.names().backup_json(id), what);
    expect(store.names().backup_manifest(id), what);
    for (const auto& name : contents_.at(id)) expect(ObjectKey::from_parts(name), what);
    const auto [first, last] = wal_of_.at(id);
    for (auto segment = first; segment <= last; ++segment) {
      expect(store.names().segment({TimelineId(1), segment}), what);
    }
  };
  for (const auto& [id, contents] : contents_) {
    if (names.contains(store.names().backup_json(id).text())) expect_backup(id, id.text());
  }
  for (const auto& [id, expires] : pinned_) {
    if (expires > clock_.now()) expect_backup(id, "a pin");
  }
  for (const auto& [number, grant] : granted_) {
    if (clock_.now() > grant.until) continue;
    const auto& needs = grant.needs;
    const auto what = fmt::format("restore {}", number);
    expect_backup(needs.backups.front(), what);
    for (const auto& wal : needs.wal)
      expect(store.names().segment({TimelineId(1), wal.first}), what);
  }
}

void ExpireSimulation::run(int steps) {
  std::size_t turn = 0;
  for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
    if (running_.empty() || (running_.size() < 5 && happens(0.05))) start_somebody();
    // Some calls of one, then of another: in even turns nobody gets through.
    if (turn >= running_.size() || happens(switch_rate_)) turn = pick(0, running_.size() - 1);
    auto& next = running_[turn];
    const auto call = next.actor->wants();
    const auto what = next.actor->name() + ": " + call;
    next.actor->step();
    next.was_stepped = true;
    if (call.starts_with("remove") || call.ends_with("backup.json")) {
      SCOPED_TRACE("after " + what);
      check();
    }
    std::erase_if(running_, [](const Running& one) { return one.actor->is_done(); });
    pass_time();
    if (!running_.empty() && happens(0.001)) kill_somebody();
  }
  check();
  for (auto& one : running_) (void)one.actor->kill();
  running_.clear();
  granted_.clear();
}

// A policy that keeps more than the one before it needs what that one has just put into trash: who
// asks for it can have it, unless it is about to be looked at once more.
void ExpireSimulation::expect_nothing_needed_in_trash() {
  auto policy = policy_;
  policy.keep_within = Microseconds(0);
  (void)expire_cluster(*repository_, "main", {policy, kGrace, false}, clock_).has_value();
  policy.keep_within = 100 * kGrace;
  const auto expired = expire_cluster(*repository_, "main", {policy, kGrace, false}, clock_);
  ASSERT_TRUE(expired) << expired.error().message();
  auto records = must(read_trash(store()));
  std::erase_if(records, [&](const TrashRecord& record) {
    return record.since + kGrace <= clock_.now() + TrashRecord::kDropLasts;
  });
  const auto trash = trash_at(store(), records, clock_.now()).objects;
  for (const auto& manifest : must(BackupCatalog(store()).manifests())) {
    for (const auto& name : contents_.at(manifest.id)) EXPECT_FALSE(trash.contains(name)) << name;
  }
  for (const auto& [timeline, number] : seen_wal_) {
    const auto key = store().names().segment({timeline, number});
    const bool is_kept =
        expired->plan.keeps_wal(0, timeline.value(), segment_size_.start_of(number).value(),
                                segment_size_.start_of(number + 1).value());
    EXPECT_FALSE(is_kept && trash.contains(key.text())) << key.text();
  }
}

// Verification takes nothing that expire did for a loss.
void ExpireSimulation::expect_no_wal_is_missed() {
  std::vector<SegmentId> gone;
  for (const auto& segment : seen_wal_) {
    if (!exists(store().names().segment(segment))) gone.push_back(segment);
  }
  for (const auto& segment : must(lost_segments(store(), gone, clock_.now()))) {
    ADD_FAILURE() << segment_file_name(segment, segment_size_) << " would be missed";
  }
}

void ExpireSimulation::expect_clean_in_the_end() {
  for (const auto& late : late_) late();
  late_.clear();
  expect_nothing_needed_in_trash();
  // Dead attempts and leases run out; then trash is filled, and emptied.
  ExpireReport report;
  for (int i = 0; i < 4; ++i) {
    clock_.advance(3 * kGrace);
    const auto expired = expire_cluster(*repository_, "main", {policy_, kGrace, false}, clock_);
    ASSERT_TRUE(expired) << expired.error().message();
    report = *expired;
    expect_no_wal_is_missed();
  }
  EXPECT_EQ(report.leaked.objects, 0u);
  EXPECT_EQ(report.waiting.objects, 0u);
  const auto store = this->store();
  std::set<std::string> needed;
  for (const auto& manifest : must(BackupCatalog(store).manifests())) {
    add_contents(store, manifest, needed);
    for (const auto& object : must(list_all(memory_, store.names().backup_prefix(manifest.id)))) {
      needed.insert(object.key.text());
    }
  }
  for (const auto& object : must(list_all(memory_, store.names().prefix()))) {
    const auto& name = object.key.text();
    if (name.starts_with(store.names().wal_prefix()) || object.key == store.names().identity()) {
      continue;
    }
    EXPECT_TRUE(needed.contains(name)) << name << " was never collected";
  }
  check();
}

}  // namespace pitr::test
