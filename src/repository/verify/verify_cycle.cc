#include "repository/verify/verify_cycle.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "repository/layout.h"

namespace pitr {

static constexpr std::uint8_t kVersion = 2;
static constexpr std::uint8_t kVersionWithoutNewest = 1;
static constexpr std::uint64_t kLongestState = 1ull << 28;
static constexpr std::size_t kLongestUnit = 512;

static std::string state_prefix(const IncarnationStore& store) {
  return store.names().prefix() + "verify/";
}

static Result<CycleState> decode(ByteView bytes) {
  ByteReader in(bytes);
  const auto version = TRY(in.u8());
  if (version != kVersion && version != kVersionWithoutNewest) {
    return Error::invalid(fmt::format("version {} of verification states is not known", version));
  }
  const auto time = [&]() -> Result<Timestamp> {
    return Timestamp::from_unix_us(static_cast<std::int64_t>(TRY(in.u64())));
  };
  CycleState state;
  state.began = TRY(time());
  state.last_run = TRY(time());
  for (auto count = TRY(in.varint()); count > 0; --count) {
    auto unit = TRY(in.string(kLongestUnit));
    CheckedUnit checked;
    checked.time = TRY(time());
    checked.is_right = TRY(in.u8()) != 0;
    checked.newest = version == kVersion ? TRY(time()) : checked.time;
    state.checked.emplace(std::move(unit), checked);
  }
  return state;
}

static void join(CycleState& all, CycleState one) {
  all.began = std::min(all.began.value_or(*one.began), *one.began);
  all.last_run = std::max(all.last_run.value_or(*one.last_run), *one.last_run);
  for (const auto& [unit, checked] : one.checked) {
    const auto [known, is_new] = all.checked.emplace(unit, checked);
    if (!is_new && known->second.time < checked.time) known->second = checked;
  }
}

Result<CycleState> read_cycle_state(const IncarnationStore& store) {
  const auto stored = TRY(list_all(store.storage(), state_prefix(store)));
  CycleState all;
  for (const auto& object : stored) {
    const auto bytes = store.get_sealed(ContainerKind::kVerifications, object.key, kLongestState);
    if (!bytes && bytes.error().kind() == ErrorKind::kTransient) return bytes.error();
    if (!bytes) continue;
    auto state = decode(*bytes);
    if (state) join(all, std::move(*state));
  }
  return all;
}

Result<void> put_cycle_state(const IncarnationStore& store, const CycleState& state) {
  const auto before = TRY(list_all(store.storage(), state_prefix(store)));
  ByteWriter out;
  const auto add_time = [&](Timestamp time) {
    out.u64(static_cast<std::uint64_t>(time.unix_us()));
  };
  out.u8(kVersion);
  add_time(state.began.value_or(Timestamp()));
  add_time(state.last_run.value_or(Timestamp()));
  out.varint(state.checked.size());
  for (const auto& [unit, checked] : state.checked) {
    out.string(unit);
    add_time(checked.time);
    out.u8(checked.is_right ? 1 : 0);
    add_time(checked.newest);
  }
  const auto key =
      ObjectKey::from_parts(fmt::format("{}{:016x}", state_prefix(store), random_name()));
  TRY(store.put_sealed(ContainerKind::kVerifications, key, out.bytes()));
  for (const auto& object : before) TRY(store.storage().remove(object.key));
  return {};
}

std::vector<std::size_t> units_due(std::span<const CycleUnit> units, const VerifyCycle& cycle,
                                   Microseconds elapsed, Timestamp now) {
  std::vector<std::size_t> order(units.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return units[i].since; });
  std::uint64_t total_bytes = 0;
  for (const auto& unit : units) total_bytes += unit.size_bytes;
  // The share of this run, where all are alike.
  const auto share = std::min(
      1.0, static_cast<double>(elapsed.count()) / static_cast<double>(cycle.period.count()));
  const auto share_bytes = share * static_cast<double>(total_bytes);
  std::vector<std::size_t> due;
  std::uint64_t bytes = 0;
  for (const auto i : order) {
    const auto& unit = units[i];
    if (cycle.budget_bytes > 0) {
      if (!due.empty() && bytes + unit.size_bytes > cycle.budget_bytes) break;
    } else {
      // By the next run it would be too late.
      const bool is_late = unit.since + cycle.period < now + elapsed;
      if (!due.empty() && static_cast<double>(bytes) >= share_bytes && !is_late) break;
    }
    due.push_back(i);
    bytes += unit.size_bytes;
  }
  return due;
}

}  // namespace pitr
