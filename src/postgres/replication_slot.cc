#include <fmt/format.h>

#include "postgres/parse_number.h"
#include "postgres/replication.h"

namespace pitr {

static Result<SlotWalStatus> parse_wal_status(const std::optional<std::string>& text) {
  if (!text) return SlotWalStatus::kNothingReserved;
  if (*text == "reserved") return SlotWalStatus::kReserved;
  if (*text == "extended") return SlotWalStatus::kExtended;
  if (*text == "unreserved") return SlotWalStatus::kUnreserved;
  if (*text == "lost") return SlotWalStatus::kLost;
  return Error::internal(fmt::format("unknown wal_status \"{}\" of a replication slot", *text));
}

static Result<SlotState> slot_of_row(const QueryResult& rows) {
  const auto row = rows[0];
  SlotState slot;
  slot.name = TRY(row.text("slot_name"));
  const auto type = TRY(row.text("slot_type"));
  slot.physical = type == "physical";
  slot.temporary = TRY(row.boolean("temporary"));
  slot.active = TRY(row.boolean("active"));
  if (const auto pid = TRY(row.value("active_pid"))) {
    slot.active_pid = parse_number<std::int32_t>(*pid);
  }
  if (const auto restart = TRY(row.value("restart_lsn")))
    slot.restart_lsn = TRY(Lsn::parse(*restart));
  const auto status = TRY(row.value("wal_status"));
  slot.wal_status = TRY(parse_wal_status(status));
  if (const auto safe = TRY(row.value("safe_wal_size"))) {
    slot.safe_wal_size_bytes = parse_number<std::int64_t>(*safe);
  }
  if (rows.has_column("invalidation_reason")) {  // 17
    slot.invalidation_reason = TRY(row.value("invalidation_reason"));
  }
  return slot;
}

Result<SlotState> read_slot(Connection& connection, const std::string& name, std::stop_token stop) {
  const auto rows = TRY(connection.query(
      "SELECT * FROM pg_catalog.pg_replication_slots WHERE slot_name = $1", {name}, stop));
  if (rows.empty()) return Error::not_found(fmt::format("no replication slot {}", name));
  return slot_of_row(rows);
}

}  // namespace pitr
