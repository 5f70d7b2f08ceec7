#include "repository/backup/backup_manifest.h"

#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "repository/backup/backup_writer.h"
#include "repository/backup/file_table.h"

namespace pitr {

using Json = nlohmann::ordered_json;

// One block table, and nothing known of how much of each pack is live.
static constexpr std::uint32_t kFormatWithoutLayers = 1;

static std::optional<std::int64_t> parse_digits(std::string_view text) {
  std::int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

// Only as encode_manifest() writes it.
static std::optional<Timestamp> parse_rfc3339(std::string_view text) {
  static constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd.ddddddZ";
  if (text.size() != kShape.size()) return std::nullopt;
  for (std::size_t i = 0; i < kShape.size(); ++i) {
    if (kShape[i] != 'd' && kShape[i] != text[i]) return std::nullopt;
  }
  const auto year = parse_digits(text.substr(0, 4)), month = parse_digits(text.substr(5, 2)),
             day = parse_digits(text.substr(8, 2)), hour = parse_digits(text.substr(11, 2)),
             minute = parse_digits(text.substr(14, 2)), second = parse_digits(text.substr(17, 2)),
             microsecond = parse_digits(text.substr(20, 6));
  if (!year || !month || !day || !hour || !minute || !second || !microsecond) return std::nullopt;
  const std::chrono::year_month_day date(std::chrono::year(static_cast<int>(*year)),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day)));
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  const auto seconds = std::int64_t{days} * 86'400 + *hour * 3'600 + *minute * 60 + *second;
  return Timestamp::from_unix_us(seconds * 1'000'000 + *microsecond);
}

namespace {

// Takes the fields of one JSON object; everything that isn't as it should be is kCorrupt and named.
class Fields {
 public:
  Fields(const Json& json, std::string name) : json_(json), name_(std::move(name)) {}

  Result<void> read(const char* field, bool& into) const {
    const Json* value = TRY(find(field));
    if (!value->is_boolean()) return bad(field, "true or false is expected");
    into = value->get<bool>();
    return {};
  }
  template <std::unsigned_integral T>
  Result<void> read(const char* field, T& into) const {
    const Json* value = TRY(find(field));
    if (!value->is_number_unsigned()) return bad(field, "a number is expected");
    const auto number = value->get<std::uint64_t>();
    if (number > std::numeric_limits<T>::max()) return bad(field, "the number is too large");
    into = static_cast<T>(number);
    return {};
  }
  Result<void> read(const char* field, std::string& into) const {
    const Json* value = TRY(find(field));
    if (!value->is_string()) return bad(field, "a text is expected");
    into = value->get<std::string>();
    return {};
  }
  Result<void> read(const char* field, Lsn& into) const {
    const auto value = TRY(text(field));
    const auto lsn = Lsn::parse(value);
    if (!lsn) return bad(field, "an LSN is expected");
    into = *lsn;
    return {};
  }
  Result<void> read(const char* field, TimelineId& into) const {
    std::uint32_t number = 0;
    TRY(read(field, number));
    into = TimelineId(number);
    return {};
  }
  Result<void> read(const char* field, Timestamp& into) const {
    const auto value = TRY(text(field));
    const auto time = parse_rfc3339(value);
    if (!time) return bad(field, "a time like 2026-03-01T09:15:00.123456Z is expected");
    into = *time;
    return {};
  }
  Result<void> read(const char* field, std::optional<BackupId>& into) const {
    const Json* value = TRY(find(field));
    into.reset();
    if (value->is_null()) return {};
    into = TRY(backup_id(field));
    return {};
  }
  Result<void> read_free_text(const char* field, std::string& into) const {
    const Json* value = TRY(find(field));
    if (!value->is_object()) return read(field, into);
    std::string hex;
    TRY(Fields(*value, where(field)).read("hex", hex));
    const auto bytes = from_hex(hex);
    if (!bytes) return bad(field, "hexadecimal digits are expected");
    into = as_text(*bytes);
    return {};
  }
  Result<BackupId> backup_id(const char* field) const {
    const auto value = TRY(text(field));
    auto id = BackupId::parse(value);
    if (!id) return bad(field, "a backup id is expected");
    return id;
  }
  Result<std::string> text(const char* field) const {
    std::string value;
    TRY(read(field, value));
    return value;
  }

  // Calls visit with the fields of each object of a list.
  template <typename Visit>
  Result<void> each(const char* field, const Visit& visit) const {
    const Json* list = TRY(find(field));
    if (!list->is_array()) return bad(field, "a list is expected");
    for (const Json& item : *list) {
      if (!item.is_object()) return bad(field, "a list of objects is expected");
      TRY(visit(Fields(item, where(field))));
    }
    return {};
  }
  Result<void> read(const char* field, std::vector<std::string>& into) const {
    const Json* list = TRY(find(field));
    if (!list->is_array()) return bad(field, "a list is expected");
    for (const Json& item : *list) {
      if (!item.is_string()) return bad(field, "a list of texts is expected");
      into.push_back(item.get<std::string>());
    }
    return {};
  }

  // Calls visit with the fields of an object.
  template <typename Visit>
  Result<void> inside(const char* field, const Visit& visit) const {
    const Json* object = TRY(find(field));
    if (!object->is_object()) return bad(field, "an object is expected");
    return visit(Fields(*object, where(field)));
  }

  Error bad(const char* field, std::string_view problem) const {
    return Error::corrupt(fmt::format("{}: {}", where(field), problem));
  }

 private:
  std::string where(const char* field) const { return fmt::format("{}, field {}", name_, field); }
  Result<const Json*> find(const char* field) const {
    const auto found = json_.find(field);
    if (found == json_.end()) return bad(field, "it is missing");
    return &*found;
  }

  const Json& json_;
  std::string name_;
};

}  // namespace

static Result<Json> parse_object(ByteView bytes, const char* what, std::int64_t format) {
  Json json = Json::parse(bytes.begin(), bytes.end(), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded() || !json.is_object()) {
    return Error::corrupt(fmt::format("{} is not a JSON object", what));
  }
  std::uint32_t found = 0;
  const Fields fields(json, what);
  TRY(fields.read("format", found));
  if (found == 0) return fields.bad("format", "there is no version 0");
  if (found > format) {
    return Error::invalid(fmt::format("{} has format version {}; this pitr reads up to {}", what,
                                      found, format))
        .with_hint("it was written by a newer pitr: upgrade this one");
  }
  return json;
}

static Result<void> read_server(const Fields& fields, BackupManifest& m) {
  const auto method = TRY(fields.text("method"));
  if (method != "local" && method != "remote")
    return fields.bad("method", "local or remote is expected");
  m.method = method == "local" ? BackupMethod::kLocal : BackupMethod::kRemote;
  TRY(fields.read_free_text("label", m.label));
  TRY(fields.read_free_text("host", m.host));
  TRY(fields.read("parent", m.parent));
  TRY(fields.read("server_version_num", m.server_version_num));
  TRY(fields.read("catalog_version", m.catalog_version));
  TRY(fields.read("timeline", m.timeline));
  TRY(fields.read("start_lsn", m.start_lsn));
  TRY(fields.read("stop_lsn", m.stop_lsn));
  TRY(fields.read("checkpoint_lsn", m.checkpoint_lsn));
  TRY(fields.read("start_time", m.start_time));
  TRY(fields.read("stop_time", m.stop_time));
  TRY(fields.read("from_standby", m.from_standby));
  TRY(fields.read("data_checksum_version", m.data_checksum_version));
  TRY(fields.read("wal_log_hints", m.wal_log_hints));
  TRY(fields.read_free_text("backup_label", m.backup_label));
  TRY(fields.read_free_text("tablespace_map", m.tablespace_map));
  return fields.each("tablespaces", [&](const Fields& item) -> Result<void> {
    TablespaceInfo tablespace;
    TRY(item.read("oid", tablespace.oid));
    TRY(item.read_free_text("location", tablespace.location));
    m.tablespaces.push_back(std::move(tablespace));
    return {};
  });
}

static Result<void> read_reading(const Fields& fields, BackupManifest& m) {
  const auto by = TRY(fields.text("by"));
  bool is_known = false;
  for (const auto reading :
       {BackupReading::kEverything, BackupReading::kCompared, BackupReading::kChangedBlocks}) {
    if (by != to_string(reading)) continue;
    m.reading = reading;
    is_known = true;
  }
  if (!is_known) return fields.bad("by", "no way of reading is named so");
  TRY(fields.read_free_text("reason", m.reading_reason));
  TRY(fields.read("checked_against", m.promise.against));
  TRY(fields.read("checked_blocks", m.promise.checked_blocks));
  TRY(fields.read("unexplained_count", m.promise.unexplained_count));
  return fields.each("unexplained", [&](const Fields& item) -> Result<void> {
    UnexplainedBlock block;
    TRY(item.read_free_text("path", block.path));
    TRY(item.read("block", block.block));
    m.promise.blocks.push_back(std::move(block));
    return {};
  });
}

static bool is_object_name_part(const std::string& name) {
  return name.find('/') == std::string::npos && ObjectKey::parse(name).has_value();
}

static Result<PackInfo> read_pack(const Fields& item, const layout::Incarnation& names,
                                  std::uint32_t format) {
  const auto name = TRY(item.text("name"));
  const auto pack = parse_pack_name(name);
  if (!pack) return item.bad("name", "<backup id>-<six digits> is expected");
  PackInfo info{names.pack(pack->backup, pack->number)};
  TRY(item.read("stored_bytes", info.stored_bytes));
  if (format == kFormatWithoutLayers) return info;
  TRY(item.read("plain_bytes", info.plain_bytes));
  TRY(item.read("live_bytes", info.live_bytes));
  return info;
}

static Result<void> read_tables(const Fields& fields, const char* field,
                                std::vector<TableInfo>& into) {
  return fields.each(field, [&](const Fields& item) -> Result<void> {
    TableInfo table;
    TRY(item.read("id", table.id));
    TRY(item.read("stored_bytes", table.stored_bytes));
    into.push_back(std::move(table));
    return {};
  });
}

static Result<void> read_block_tables(const Fields& fields, BackupManifest& m,
                                      std::uint32_t format) {
  if (format == kFormatWithoutLayers) {
    std::vector<std::string> ids;
    TRY(fields.read("block_tables", ids));
    for (auto& id : ids) m.block_tables.push_back({std::move(id)});
    return {};
  }
  TRY(read_tables(fields, "block_tables", m.block_tables));
  TRY(read_tables(fields, "digest_tables", m.digest_tables));
  TRY(fields.read("digest_epoch", m.digest_epoch));
  TRY(fields.read("restore_read_bytes", m.restore_read_bytes));
  return fields.read("changed_since_moved_bytes", m.changed_since_moved_bytes);
}

static Result<void> read_contents(const Fields& fields, BackupManifest& m, SegmentSize segment_size,
                                  std::uint32_t format) {
  TRY(fields.read("file_table", m.file_table));
  TRY(read_block_tables(fields, m, format));
  // These become parts of object names.
  if (!is_object_name_part(m.file_table)) return fields.bad("file_table", "no table is named so");
  for (const auto& table : m.block_tables) {
    if (!is_object_name_part(table.id)) return fields.bad("block_tables", "no table is named so");
  }
  for (const auto& table : m.digest_tables) {
    if (!is_object_name_part(table.id)) return fields.bad("digest_tables", "no table is named so");
  }
  const layout::Incarnation names(m.incarnation, segment_size);
  const auto add_pack = [&](const Fields& item) -> Result<void> {
    auto pack = TRY(read_pack(item, names, format));
    m.packs.push_back(std::move(pack));
    return {};
  };
  TRY(fields.each("packs", add_pack));
  TRY(fields.read("file_count", m.file_count));
  TRY(fields.read("total_bytes", m.total_bytes));
  TRY(fields.read("read_bytes", m.read_bytes));
  TRY(fields.read("stored_bytes", m.stored_bytes));
  TRY(fields.read("checksum_failure_count", m.checksum_failure_count));
  return fields.each("checksum_failures", [&](const Fields& item) -> Result<void> {
    ChecksumFailure failure;
    TRY(item.read_free_text("path", failure.path));
    TRY(item.read("block", failure.block));
    m.checksum_failures.push_back(std::move(failure));
    return {};
  });
}

Result<BackupManifest> decode_manifest(ByteView bytes) {
  const auto json = TRY(parse_object(bytes, "backup manifest", kManifestFormat));
  const Fields fields(json, "backup manifest");
  auto id = TRY(fields.backup_id("id"));
  BackupManifest manifest(std::move(id));
  const auto incarnation_text = TRY(fields.text("incarnation"));
  auto incarnation = parse_incarnation(incarnation_text);
  if (!incarnation) return fields.bad("incarnation", "no incarnation is named so");
  manifest.incarnation = std::move(*incarnation);
  TRY(fields.read("segment_size_bytes", manifest.segment_size_bytes));
  const auto segment_size = SegmentSize::from_bytes(manifest.segment_size_bytes);
  if (!segment_size) return fields.bad("segment_size_bytes", "no server has this segment size");
  TRY(read_server(fields, manifest));
  std::uint32_t format = 0;
  TRY(fields.read("format", format));
  if (format != kFormatWithoutLayers) {
    TRY(fields.inside("reading",
                      [&](const Fields& reading) { return read_reading(reading, manifest); }));
  }
  TRY(read_contents(fields, manifest, *segment_size, format));
  return manifest;
}

Result<BackupIntent> decode_intent(ByteView bytes) {
  const auto json = TRY(parse_object(bytes, "backup intent", kIntentFormat));
  const Fields fields(json, "backup intent");
  auto id = TRY(fields.backup_id("id"));
  BackupIntent intent{.id = std::move(id)};
  TRY(fields.read_free_text("host", intent.host));
  TRY(fields.read("started", intent.started));
  TRY(fields.read("start_lsn", intent.start_lsn));
  TRY(fields.read("parent", intent.parent));
  if (!json.contains("good_for_seconds")) return intent;  // by a version that didn't say
  std::uint32_t good_for = 0;
  TRY(fields.read("good_for_seconds", good_for));
  intent.good_for = Seconds(good_for);
  return intent;
}

}  // namespace pitr
