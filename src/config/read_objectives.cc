#include "config/read_objectives.h"

#include "config/section.h"

namespace pitr {

void read_objectives(const YamlNode& node, Problems& problems, ObjectivesConfig& into) {
  constexpr auto kShortest = Seconds(1);
  constexpr auto kLongest = std::chrono::hours(24 * 3'650);
  constexpr std::uint64_t kSlowest = 1 << 20;
  Section section(node, "objectives", problems);
  section.read_duration("rpo", into.rpo, kShortest, kLongest);
  section.read_duration("rto", into.rto, kShortest, kLongest);
  section.read_duration("backup_age", into.backup_age, kShortest, kLongest);
  section.read_duration("verification_age", into.verification_age, kShortest, kLongest);
  section.read_duration("key_age", into.key_age, kShortest, kLongest);
  section.read_rate("restore_rate", into.restore_bytes_per_second, kSlowest);
  section.read_rate("replay_rate", into.replay_bytes_per_second, kSlowest);
}

}  // namespace pitr
