// The configuration as plain values, loaded and validated by load.h. Programs pass the parts on:
// no layer below agent/ reads the configuration. Values only; copy freely between threads.
//
// Defaults here are those of the file format, which packaging/pitr.yaml explains to users. Fields
// whose default depends on others (marked "filled in") are set by the loader.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/log_format.h"
#include "notify/destination.h"
#include "schedule/schedule.h"

namespace pitr {

struct CompressionConfig {
  enum class Method { kLz4, kZstd, kNone };
  Method method = Method::kLz4;
  int level = 1;  // zstd only: 1 to 19
  friend bool operator==(const CompressionConfig&, const CompressionConfig&) = default;
};

struct WalConfig {
  // Without durable progress for so long the receiver disconnects and the slot holds the WAL.
  Milliseconds stall_timeout{10'000};
  CompressionConfig compression;
  friend bool operator==(const WalConfig&, const WalConfig&) = default;
};

struct BackupConfig {
  enum class Method { kAuto, kLocal, kRemote };  // auto: local where data_directory is set
  enum class Checkpoint { kFast, kSpread };
  Method method = Method::kAuto;
  CompressionConfig compression;
  unsigned workers = 1;  // filled in: min(cores, 4)
  std::optional<std::uint64_t> max_rate_bytes_per_second;
  Checkpoint checkpoint = Checkpoint::kFast;
  bool verify_checksums = true;
  friend bool operator==(const BackupConfig&, const BackupConfig&) = default;
};

// The WAL that a restore fetches ahead of the server, which is kept in its data directory.
struct SpoolConfig {
  std::uint64_t size_limit_bytes = 256ull << 20;
};

// What expire keeps.
struct RetentionConfig {
  unsigned keep_last = 3;
  unsigned keep_daily = 7;
  unsigned keep_weekly = 4;
  unsigned keep_monthly = 12;
  unsigned keep_yearly = 5;
  Milliseconds keep_within = std::chrono::hours(14 * 24);
  unsigned keep_verified = 1;
  std::optional<std::uint64_t> max_size_bytes;
  std::string time_zone = "UTC";
  // No backup and no restore takes longer.
  Milliseconds grace = std::chrono::hours(72);
  friend bool operator==(const RetentionConfig&, const RetentionConfig&) = default;
};

// What the agent does by itself, and when. Backups start only within the window.
struct ScheduleConfig {
  Schedule backup = Schedule::cron("0 1 * * *").value();
  Schedule independent = Schedule::cron("0 1 1 * *").value();
  Schedule expire = Schedule::cron("0 4 * * *").value();
  Schedule verify = Schedule::cron("0 5 * * *").value();
  Schedule check = Schedule::every(std::chrono::minutes(5));
  std::string time_zone = "UTC";
  Milliseconds jitter = std::chrono::minutes(30);
  std::optional<DayWindow> window;
  // In so long all packs and WAL are verified once, a part in each run.
  Milliseconds verify_period = std::chrono::hours(14 * 24);
  friend bool operator==(const ScheduleConfig&, const ScheduleConfig&) = default;
};

// What the operator promises, for alert rules to hold the metrics against; pitr doesn't act on it.
struct ObjectivesConfig {
  Milliseconds rpo = std::chrono::hours(1);          // at most so much may be lost
  Milliseconds rto = std::chrono::minutes(30);       // a restore takes no longer
  Milliseconds backup_age = std::chrono::hours(26);  // the newest backup is no older
  Milliseconds verification_age = std::chrono::hours(24 * 30);
  Milliseconds key_age = std::chrono::hours(24 * 365);
  // How fast a restore goes here, for the estimate that is held against rto.
  std::uint64_t restore_bytes_per_second = 100ull << 20;
  std::uint64_t replay_bytes_per_second = 32ull << 20;
  friend bool operator==(const ObjectivesConfig&, const ObjectivesConfig&) = default;
};

struct ClusterConfig {
  std::string name;  // [a-z0-9][a-z0-9_-]{0,62}
  // As libpq takes it; never with a password (PGPASSFILE and ~/.pgpass are for that).
  std::string connection = "host=/var/run/postgresql";
  std::optional<Path> data_directory;  // set: files are read locally
  std::string slot;                    // filled in: pitr_<cluster>, '-' becoming '_'
  std::string application_name;        // filled in: pitr_<cluster>, the same
  WalConfig wal;
  BackupConfig backup;
  SpoolConfig spool;
  RetentionConfig retention;    // filled in: what the section "retention" at the top says
  ScheduleConfig schedule;      // filled in: the same, "schedule"
  ObjectivesConfig objectives;  // filled in: the same, "objectives"
};

struct RepositoryConfig {
  Path path = "/var/lib/pitr/repository";  // a local directory
};

// Where the key-encryption key comes from; `value` is the file, the variable's name or the command.
struct EncryptionConfig {
  enum class Source { kKeyFile, kKeyEnvironment, kKeyCommand, kNone };
  Source source = Source::kKeyFile;
  std::string value = "/etc/pitr/key";
  friend bool operator==(const EncryptionConfig&, const EncryptionConfig&) = default;
};

// A numeric address and a port.
struct ListenAddress {
  std::string address;
  std::uint16_t port = 0;
  friend bool operator==(const ListenAddress&, const ListenAddress&) = default;
};

// What the agent serves over TCP, in plain text: the API to those who have a token, and to this
// machine alone; with allow_remote the metrics to others.
struct HttpConfig {
  std::optional<ListenAddress> listen;  // none: nothing
  bool allow_remote = false;
  Path tokens = "/etc/pitr/tokens";  // agent/api/token_file.h
  bool metrics_need_token = false;
  Path tls_certificate;  // PEM, as are those below; empty: plain text
  Path tls_key;
  Path tls_client_ca;  // empty: clients need no certificate
  bool has_tls() const { return !tls_certificate.empty(); }
  friend bool operator==(const HttpConfig&, const HttpConfig&) = default;
};

struct AgentConfig {
  Path socket = "/run/pitr/agent.sock";
  HttpConfig http;
  log::Level log_level = log::Level::kInfo;
  log::Format log_format = log::Format::kText;
  Path state_directory = "/var/lib/pitr/agent";  // what it may lose
  unsigned parallel_jobs = 4;                    // scheduled ones, of all clusters together
};

struct Config {
  std::vector<ClusterConfig> clusters;  // never empty; one cluster "main" where the file names none
  RepositoryConfig repository;
  EncryptionConfig encryption;
  AgentConfig agent;
  RetentionConfig retention;    // of clusters that say nothing else
  ScheduleConfig schedule;      // the same
  ObjectivesConfig objectives;  // the same
  std::vector<Destination> notifications;

  // The cluster called `name`, or the only one where `name` is empty; else nullptr.
  const ClusterConfig* find_cluster(std::string_view name) const {
    if (name.empty()) return clusters.size() == 1 ? &clusters.front() : nullptr;
    for (const auto& cluster : clusters) {
      if (cluster.name == name) return &cluster;
    }
    return nullptr;
  }
};

}  // namespace pitr
