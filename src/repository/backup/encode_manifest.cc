// Writes manifests, their summaries and intents as JSON; backup_manifest.cc reads them.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "repository/backup/backup_manifest.h"
#include "repository/backup/backup_writer.h"

namespace pitr {

using Json = nlohmann::ordered_json;

static constexpr std::int64_t kSummaryFormat = 1;

// "2026-03-01T09:15:00.123456Z"
static std::string to_rfc3339(Timestamp time) {
  std::string text = to_string(time);
  text[text.find(' ')] = 'T';
  return text.substr(0, text.size() - 3) + "Z";
}

static bool is_utf8(const std::string& text) {
  try {
    static_cast<void>(Json(text).dump());
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

// Labels and paths come from PostgreSQL in any encoding, JSON is UTF-8.
static Json free_text(const std::string& text) {
  if (is_utf8(text)) return text;
  return Json{{"hex", to_hex(as_bytes(text))}};
}

static std::string pack_name(const PackInfo& pack) {
  const std::string& key = pack.key.text();
  return key.substr(key.rfind('/') + 1);
}

static Bytes to_bytes(const Json& json) {
  const std::string text = json.dump();
  return {text.begin(), text.end()};
}

static Json table_list(const std::vector<TableInfo>& tables) {
  Json list = Json::array();
  for (const auto& table : tables) {
    list.push_back({{"id", table.id}, {"stored_bytes", table.stored_bytes}});
  }
  return list;
}

std::string_view to_string(BackupReading reading) {
  switch (reading) {
    case BackupReading::kEverything:
      return "everything";
    case BackupReading::kCompared:
      return "compared";
    case BackupReading::kChangedBlocks:
      return "changed blocks";
  }
  return "?";
}

static Json reading_of(const BackupManifest& m) {
  Json unexplained = Json::array();
  for (const auto& block : m.promise.blocks) {
    unexplained.push_back({{"path", free_text(block.path)}, {"block", block.block}});
  }
  return {{"by", to_string(m.reading)},
          {"reason", free_text(m.reading_reason)},
          {"checked_against", m.promise.against ? Json(m.promise.against->text()) : Json()},
          {"checked_blocks", m.promise.checked_blocks},
          {"unexplained_count", m.promise.unexplained_count},
          {"unexplained", std::move(unexplained)}};
}

static void write_lists(Json& json, const BackupManifest& manifest) {
  for (const auto& tablespace : manifest.tablespaces) {
    json["tablespaces"].push_back(
        {{"oid", tablespace.oid}, {"location", free_text(tablespace.location)}});
  }
  for (const auto& pack : manifest.packs) {
    json["packs"].push_back({{"name", pack_name(pack)},
                             {"stored_bytes", pack.stored_bytes},
                             {"plain_bytes", pack.plain_bytes},
                             {"live_bytes", pack.live_bytes}});
  }
  for (const auto& failure : manifest.checksum_failures) {
    json["checksum_failures"].push_back(
        {{"path", free_text(failure.path)}, {"block", failure.block}});
  }
}

Bytes encode_manifest(const BackupManifest& m) {
  Json json = {
      {"format", kManifestFormat},
      {"id", m.id.text()},
      {"incarnation", to_string(m.incarnation)},
      {"segment_size_bytes", m.segment_size_bytes},
      {"method", m.method == BackupMethod::kLocal ? "local" : "remote"},
      {"label", free_text(m.label)},
      {"host", free_text(m.host)},
      {"parent", m.parent ? Json(m.parent->text()) : Json()},
      {"reading", reading_of(m)},
      {"server_version_num", m.server_version_num},
      {"catalog_version", m.catalog_version},
      {"timeline", m.timeline.value()},
      {"start_lsn", to_string(m.start_lsn)},
      {"stop_lsn", to_string(m.stop_lsn)},
      {"checkpoint_lsn", to_string(m.checkpoint_lsn)},
      {"start_time", to_rfc3339(m.start_time)},
      {"stop_time", to_rfc3339(m.stop_time)},
      {"from_standby", m.from_standby},
      {"data_checksum_version", m.data_checksum_version},
      {"wal_log_hints", m.wal_log_hints},
      {"backup_label", free_text(m.backup_label)},
      {"tablespace_map", free_text(m.tablespace_map)},
      {"tablespaces", Json::array()},
      {"file_table", m.file_table},
      {"block_tables", table_list(m.block_tables)},
      {"packs", Json::array()},
      {"digest_tables", table_list(m.digest_tables)},
      {"digest_epoch", m.digest_epoch},
      {"restore_read_bytes", m.restore_read_bytes},
      {"changed_since_moved_bytes", m.changed_since_moved_bytes},
      {"file_count", m.file_count},
      {"total_bytes", m.total_bytes},
      {"read_bytes", m.read_bytes},
      {"stored_bytes", m.stored_bytes},
      {"checksum_failures", Json::array()},
      {"checksum_failure_count", m.checksum_failure_count},
  };
  write_lists(json, m);
  return to_bytes(json);
}

std::string to_backup_json(const BackupManifest& m) {
  const Json json = {
      {"format", kSummaryFormat},
      {"id", m.id.text()},
      {"cluster", m.incarnation.cluster},
      {"system_identifier", std::to_string(m.incarnation.system_identifier)},
      {"major_version", m.incarnation.major_version},
      {"method", m.method == BackupMethod::kLocal ? "local" : "remote"},
      {"parent", m.parent ? Json(m.parent->text()) : Json()},
      {"read_by", to_string(m.reading)},
      {"reason", free_text(m.reading_reason)},
      {"timeline", m.timeline.value()},
      {"start_lsn", to_string(m.start_lsn)},
      {"stop_lsn", to_string(m.stop_lsn)},
      {"start_time", to_rfc3339(m.start_time)},
      {"stop_time", to_rfc3339(m.stop_time)},
      {"file_count", m.file_count},
      {"total_bytes", m.total_bytes},
      {"read_bytes", m.read_bytes},
      {"stored_bytes", m.stored_bytes},
      {"checksum_failure_count", m.checksum_failure_count},
      {"unexplained_block_count", m.promise.unexplained_count},
  };
  return json.dump(2) + "\n";
}

Bytes encode_intent(const BackupIntent& intent) {
  return to_bytes(Json{
      {"format", kIntentFormat},
      {"id", intent.id.text()},
      {"host", free_text(intent.host)},
      {"started", to_rfc3339(intent.started)},
      {"start_lsn", to_string(intent.start_lsn)},
      {"parent", intent.parent ? Json(intent.parent->text()) : Json()},
      {"good_for_seconds",
       static_cast<std::uint64_t>(std::chrono::duration_cast<Seconds>(intent.good_for).count())},
  });
}

}  // namespace pitr
