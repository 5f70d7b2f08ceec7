#include "repository/verify/verify_fixture.h"

#include <fmt/format.h>

#include "repository/expire/lease.h"
#include "repository/expire/pins.h"
#include "repository/incarnations.h"
#include "repository/wal/lineage.h"
#include "repository/wal/timelines.h"

namespace pitr::test {

using backup_test::FileContents;

static const Timestamp kStart = Timestamp::from_unix_us(1'772'356'500'000'000);

VerifiedRepository::VerifiedRepository(bool encrypted, std::uint64_t between) : between_(between) {
  const auto key = encrypted ? std::optional(must(KeyEncryptionKey::generate())) : std::nullopt;
  repository_ = must(Repository::init(memory_, key));
  const IncarnationId id{"main", wal_.options().system_identifier, 15};
  must(register_incarnation(*repository_, id, wal_.options().segment_size, clock_));
  store_.emplace(*repository_, id, wal_.options().segment_size);
  put_wal();
  put_backup(0);
  put_backup(1);
  put_small_objects();
}

SegmentId VerifiedRepository::segment(std::uint64_t index) const {
  return {TimelineId(1), wal_.first_segment() + index};
}

void VerifiedRepository::put_wal() {
  const auto complete = 4 + between_;
  while (wal_.last_segment() < wal_.first_segment() + complete) {
    wal_.heap_insert(7, 16384, 1, 7000);
    wal_.commit(7, kStart);
    wal_.filler(70'000);
  }
  WalArchive archive(*store_);
  FactsStore facts(*store_);
  const auto options = must(decoder_options(archive, TimelineId(1)));
  std::optional<wal::Carry> carry;
  for (std::uint64_t i = 0; i < complete; ++i) {
    const auto bytes = wal_.segment(segment(i).number);
    must(archive.put_segment(segment(i), bytes));
    wal::Carry out;
    must(facts.put(
        must(wal::build_segment_facts(segment(i), options, std::move(carry), bytes, &out))));
    carry = std::move(out);
  }
  const auto newest = segment(complete);
  const auto last = wal_.segment(newest.number);
  const auto size = wal_.position() - wal_.options().segment_size.start_of(newest.number);
  auto tail = must(archive.start_tail(newest, 0));
  must(tail->append(ByteView(last).first(size / 2)));
  must(tail->append(ByteView(last).subspan(size / 2, size - size / 2)));
  must(facts.put_watermark({TimelineId(1), wal_.records().back().end, kStart}));
}

FileContents VerifiedRepository::files(int backup) {
  std::mt19937_64 random(1);
  FileContents files;
  for (int i = 0; i < 4; ++i) {
    files[fmt::format("base/5/{}", 16384 + i)] = backup_test::random_content(random, 300'000);
  }
  files["PG_VERSION"] = {'1', '5', '\n'};
  if (backup == 1) {
    for (std::size_t i = 0; i < 100'000; ++i) files["base/5/16385"][i] ^= 1;
  }
  return files;
}

void VerifiedRepository::put_backup(int number) {
  BackupIntent intent{.id = BackupId::make(kStart + std::chrono::hours(number), 1),
                      .started = kStart};
  const auto& records = wal_.records();
  const auto size = wal_.options().segment_size;
  const auto starts_in = segment(number == 0 ? 0 : 2 + between_).number;
  const auto start = std::ranges::find_if(records, [&](const BuiltRecord& record) {
    return record.start > size.start_of(starts_in) + 100'000;
  });
  const auto stop = std::ranges::find_if(records, [&](const BuiltRecord& record) {
    return record.start > size.start_of(starts_in + 1) + 100'000;
  });
  intent.start_lsn = start->start;
  std::optional<ParentBackup> parent;
  if (number == 1) {
    intent.parent = first().id;
    parent = ParentBackup{first(), {}};
  }
  PackOptions options;
  options.pack_size_bytes = 400'000;
  auto writer = must(BackupWriter::start(*store_, intent, options, parent));
  auto packs = must(writer->new_pack_writer());
  for (const auto& [path, content] : files(number)) {
    if (number == 0) {
      must(packs->add(path, 0, content));
    } else {
      must(packs->add_if_changed(path, 0, content));
    }
    writer->add_file(backup_test::file_row(path, content.size()),
                     number == 0 ? Keep::kNothing : Keep::kRest);
  }
  must(packs->finish());
  auto manifest = backup_test::manifest_of(*store_, intent.id);
  manifest.start_lsn = start->start;
  manifest.stop_lsn = stop->start;
  manifest = must(writer->store_manifest(std::move(manifest)));
  must(writer->publish(manifest));
  backups_.push_back(std::move(manifest));
}

void VerifiedRepository::put_small_objects() {
  const SystemClock clock;
  WalArchive archive(*store_);
  must(archive.put_file(segment_file_name(segment(0), store_->segment_size()) + ".00000028.backup",
                        as_bytes("START WAL LOCATION: 0/100028\n")));
  must(archive.put_file("00000002.history", as_bytes("1\t0/300000\tno recovery target\n")));
  must(reserve_timeline(*store_, TimelineId(1), TimelineId(3), "db1", "a test", clock));
  must(pin_backup(*store_, first().id, "release", std::nullopt));
  must(put_trash(*store_, clock, {}, {}, 0));
  LeaseNeeds needs{{first().id}, {}, "a test"};
  must(Lease::take(*store_, needs));  // its object stays
}

VerifyReport VerifiedRepository::verify(VerifyDepth depth, VerifyOptions options,
                                        std::stop_token stop) {
  options.depth = depth;
  NullObserver observer;
  return must(verify_cluster(*repository_, "main", options, observer, clock_, stop));
}

std::vector<ObjectKey> VerifiedRepository::objects() {
  std::vector<ObjectKey> keys;
  for (const auto& object : must(list_all(memory_, store_->names().prefix()))) {
    if (object.key != store_->names().identity()) keys.push_back(object.key);
  }
  return keys;
}

void VerifiedRepository::put_back(const ObjectKey& key, const Bytes& bytes) {
  must(memory_.remove(key));
  must(memory_.put(key, bytes));
}

std::set<std::string> findings_of(const VerifyReport& report) {
  std::set<std::string> found;
  for (const auto& finding : report.findings) {
    const auto prefix = to_string(finding.incarnation) + "/";
    found.insert(
        fmt::format("{} {}", to_string(finding.kind), finding.object.substr(prefix.size())));
  }
  return found;
}

}  // namespace pitr::test
