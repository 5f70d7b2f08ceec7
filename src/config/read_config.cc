#include "config/read_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "common/path.h"
#include "config/conninfo.h"
#include "config/listen_address.h"
#include "config/read_notifications.h"
#include "config/read_objectives.h"
#include "config/read_retention.h"
#include "config/read_schedule.h"
#include "config/section.h"

namespace pitr {
namespace {

constexpr std::size_t kLongestClusterName = 63;
constexpr std::int64_t kMostParallelJobs = 64;
constexpr std::size_t kLongestIdentifier = 63;   // NAMEDATALEN - 1 in PostgreSQL
constexpr std::size_t kLongestSocketPath = 107;  // sockaddr_un's sun_path and its zero byte

bool consists_of(std::string_view text, std::string_view characters) {
  return text.find_first_not_of(characters) == std::string_view::npos;
}

void read_compression(Section& section, CompressionConfig& into) {
  using Method = CompressionConfig::Method;
  section.read_choice<Method>(
      "compression", into.method,
      {{"lz4", Method::kLz4}, {"zstd", Method::kZstd}, {"none", Method::kNone}});
  std::int64_t level = into.level;
  const auto* node = section.read_number("level", level, 1, 19);
  if (!node) return;
  if (into.method != Method::kZstd) {
    section.problem(*node, "\"level\" is for zstd only; remove it or write \"compression: zstd\"");
    return;
  }
  into.level = static_cast<int>(level);
}

void read_repository(const YamlNode& node, Problems& problems, RepositoryConfig& into) {
  Section section(node, "repository", problems);
  section.read_path("path", into.path);
}

void read_encryption_source(const YamlNode& node, Problems& problems, EncryptionConfig& into) {
  using Source = EncryptionConfig::Source;
  Section section(node, "encryption", problems);
  int given = 0;
  Path file;
  if (section.read_path("key_file", file)) {
    into = {Source::kKeyFile, file.string()};
    ++given;
  }
  std::string text;
  if (const auto* name = section.read_text("key_env", text)) {
    constexpr std::string_view kFirst = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    if (text.empty() || !consists_of(text.substr(0, 1), kFirst) ||
        !consists_of(text, std::string(kFirst) + "0123456789")) {
      // The value is not repeated: somebody may have put the key itself here.
      section.problem(*name,
                      "\"key_env\" must be the name of an environment variable that holds "
                      "the key, such as PITR_KEY");
    }
    into = {Source::kKeyEnvironment, text};
    ++given;
  }
  if (const auto* command = section.read_text("key_command", text)) {
    if (text.empty()) section.problem(*command, "\"key_command\" is empty; write a shell command");
    into = {Source::kKeyCommand, text};
    ++given;
  }
  if (given > 1) {
    section.problem(node,
                    "only one of key_file, key_env and key_command can be used; remove the "
                    "others");
  }
}

void read_encryption(const YamlNode& node, Problems& problems, EncryptionConfig& into) {
  if (node.kind != YamlNode::Kind::kScalar) {
    read_encryption_source(node, problems, into);
  } else if (node.text == "none") {
    into = {EncryptionConfig::Source::kNone, ""};
  } else {
    problems.add(node.position,
                 "\"encryption\" must be a section with one of key_file, key_env and key_command, "
                 "or the word none");
  }
}

void read_tls(const YamlNode& node, Problems& problems, HttpConfig& into) {
  Section section(node, "tls", problems);
  const auto* certificate = section.read_path("certificate", into.tls_certificate);
  const auto* key = section.read_path("key", into.tls_key);
  const auto* client_ca = section.read_path("client_ca", into.tls_client_ca);
  if ((certificate == nullptr) != (key == nullptr) || (client_ca && !certificate)) {
    problems.add(node.position, "\"tls\" needs both \"certificate\" and \"key\"");
  }
}

// Nobody shall send a password, or let others reach the agent, by mistake.
void check_reach(Section& section, const YamlNode& listen_node, const std::string& listen,
                 HttpConfig& http) {
  if (http.has_tls()) {
    // Who may come from everywhere has a token, for the metrics too.
    if (!http.allow_remote) http.metrics_need_token = true;
  } else if (!http.allow_remote) {
    section.problem(
        listen_node,
        fmt::format(
            "\"listen\": other machines can reach {}, in plain text and without a password; "
            "listen on 127.0.0.1, set \"tls\", or write \"allow_remote: true\" beside it",
            listen));
  }
}

void read_http(const YamlNode& node, Problems& problems, HttpConfig& into) {
  Section section(node, "http", problems);
  std::string text;
  const auto* given = section.read_text("listen", text);
  section.read_bool("allow_remote", into.allow_remote);
  section.read_path("tokens", into.tokens);
  read_tls(section.take_section("tls"), problems, into);
  const auto* metrics = section.read_bool("metrics_need_token", into.metrics_need_token);
  if (metrics && into.metrics_need_token && into.allow_remote && !into.has_tls()) {
    section.problem(*metrics,
                    "\"metrics_need_token\" would send tokens to another machine in plain text; "
                    "set \"tls\", or remove it or \"allow_remote\"");
  }
  if (!given) return;
  const auto listen = parse_listen_address(text);
  if (!listen) {
    section.problem(*given, fmt::format("\"listen\": {}", listen.error().message()));
  } else {
    if (!is_loopback(*listen)) check_reach(section, *given, text, into);
    into.listen = *listen;
  }
}

void read_agent(const YamlNode& node, Problems& problems, AgentConfig& into) {
  Section section(node, "agent", problems);
  const auto* socket = section.read_path("socket", into.socket);
  if (socket && into.socket.native().size() > kLongestSocketPath) {
    section.problem(*socket,
                    fmt::format("\"socket\" has {} characters, and a socket's path may have "
                                "{}; use a shorter one",
                                into.socket.native().size(), kLongestSocketPath));
  }
  section.read_path("state_directory", into.state_directory);
  std::int64_t jobs = into.parallel_jobs;
  if (section.read_number("parallel_jobs", jobs, 1, kMostParallelJobs)) {
    into.parallel_jobs = static_cast<unsigned>(jobs);
  }
  section.read_choice<log::Level>("log_level", into.log_level,
                                  {{"debug", log::Level::kDebug},
                                   {"info", log::Level::kInfo},
                                   {"warning", log::Level::kWarning},
                                   {"error", log::Level::kError}});
  section.read_choice<log::Format>("log_format", into.log_format,
                                   {{"text", log::Format::kText}, {"json", log::Format::kJson}});
  read_http(section.take_section("http"), problems, into.http);
}

void check_connection(Section& section, const YamlNode& node, const std::string& connection) {
  const auto keywords = conninfo_keywords(connection);
  if (!keywords) {
    section.problem(node, fmt::format("\"connection\" is not a connection string: {}; write for "
                                      "example host=/var/run/postgresql user=postgres",
                                      keywords.error().message()));
    return;
  }
  for (const auto& keyword : *keywords) {
    if (keyword == "password") {
      section.problem(node,
                      "\"connection\" holds a password; put it into the file that PGPASSFILE "
                      "names (~/.pgpass)");
    } else if (keyword == "application_name") {
      section.problem(node,
                      "\"connection\" sets application_name; use the key \"application_name\" "
                      "beside it");
    } else if (keyword == "replication") {
      section.problem(node, "\"connection\" sets replication; remove it, it is set as needed");
    }
  }
}

void read_wal(const YamlNode& node, Problems& problems, WalConfig& into) {
  Section section(node, "wal", problems);
  section.read_duration("stall_timeout", into.stall_timeout, Seconds(1), std::chrono::hours(1));
  read_compression(section, into.compression);
}

void read_backup(const YamlNode& node, Problems& problems, bool has_data_directory,
                 BackupConfig& into) {
  using Method = BackupConfig::Method;
  using Checkpoint = BackupConfig::Checkpoint;
  Section section(node, "backup", problems);
  const auto* method = section.read_choice<Method>(
      "method", into.method,
      {{"auto", Method::kAuto}, {"local", Method::kLocal}, {"remote", Method::kRemote}});
  if (method && into.method == Method::kLocal && !has_data_directory) {
    section.problem(*method,
                    "\"method: local\" needs the cluster's \"data_directory\"; set it or "
                    "write \"method: auto\"");
  }
  read_compression(section, into.compression);
  std::int64_t workers = std::clamp(std::thread::hardware_concurrency(), 1u, 4u);
  section.read_number("workers", workers, 1, 64);
  into.workers = static_cast<unsigned>(workers);
  std::uint64_t rate = 0;
  if (section.read_rate("max_rate", rate, 1ull << 20)) into.max_rate_bytes_per_second = rate;
  section.read_choice<Checkpoint>("checkpoint", into.checkpoint,
                                  {{"fast", Checkpoint::kFast}, {"spread", Checkpoint::kSpread}});
  section.read_bool("verify_checksums", into.verify_checksums);
}

void read_spool(const YamlNode& node, Problems& problems, SpoolConfig& into) {
  Section section(node, "spool", problems);
  section.read_size("size_limit", into.size_limit_bytes, 32ull << 20);
}

void read_names(Section& section, const YamlNode& cluster_key, ClusterConfig& into) {
  std::string identifier = "pitr_" + into.name;
  std::replace(identifier.begin(), identifier.end(), '-', '_');
  into.slot = into.application_name = identifier;
  const auto* slot = section.read_text("slot", into.slot);
  if (slot && (into.slot.empty() || into.slot.size() > kLongestIdentifier ||
               !consists_of(into.slot, "abcdefghijklmnopqrstuvwxyz0123456789_"))) {
    section.problem(*slot,
                    fmt::format("\"slot\" must be 1 to {} of a-z, 0-9 and _", kLongestIdentifier));
  } else if (!slot && into.slot.size() > kLongestIdentifier) {
    section.problem(cluster_key,
                    fmt::format("the slot's name {} would be longer than {} characters; "
                                "set \"slot\"",
                                into.slot, kLongestIdentifier));
  }
  const auto* name = section.read_text("application_name", into.application_name);
  const bool printable = std::all_of(into.application_name.begin(), into.application_name.end(),
                                     [](char c) { return c >= ' ' && c <= '~'; });
  if (name && (!printable || into.application_name.empty() ||
               into.application_name.size() > kLongestIdentifier)) {
    section.problem(*name, fmt::format("\"application_name\" must be 1 to {} printable ASCII "
                                       "characters",
                                       kLongestIdentifier));
  } else if (!name) {
    into.application_name.resize(std::min(into.application_name.size(), kLongestIdentifier));
  }
}

// Backups would read their own output, or a restore would delete the repository.
void check_data_directory(Section& section, const YamlNode& node, const Path& data_directory,
                          const Config& config) {
  const auto& repository = config.repository.path;
  if (contain_one_another(repository, data_directory)) {
    section.problem(node,
                    fmt::format("\"data_directory\" {} and the repository {} must not contain "
                                "one another; move the repository",
                                data_directory.string(), repository.string()));
  }
}

ClusterConfig read_cluster(const YamlEntry& entry, Problems& problems, const Config& config) {
  ClusterConfig cluster;
  cluster.name = entry.key.text;
  constexpr std::string_view kFirst = "abcdefghijklmnopqrstuvwxyz0123456789";
  if (cluster.name.empty() || cluster.name.size() > kLongestClusterName ||
      !consists_of(cluster.name.substr(0, 1), kFirst) ||
      !consists_of(cluster.name, std::string(kFirst) + "_-")) {
    problems.add(
        entry.key.position,
        fmt::format("a cluster's name must be 1 to {} of a-z, 0-9, _ and -, and begin with "
                    "a letter or digit",
                    kLongestClusterName));
  }
  Section section(entry.value, cluster.name, problems);
  if (const auto* node = section.read_text("connection", cluster.connection)) {
    check_connection(section, *node, cluster.connection);
  }
  Path data_directory;
  if (const auto* node = section.read_path("data_directory", data_directory)) {
    check_data_directory(section, *node, data_directory, config);
    cluster.data_directory = data_directory;
  }
  read_names(section, entry.key, cluster);
  read_wal(section.take_section("wal"), problems, cluster.wal);
  read_backup(section.take_section("backup"), problems, cluster.data_directory.has_value(),
              cluster.backup);
  read_spool(section.take_section("spool"), problems, cluster.spool);
  cluster.retention = config.retention;
  read_retention(section.take_section("retention"), problems, cluster.retention);
  cluster.schedule = config.schedule;
  read_schedule(section.take_section("schedule"), problems, cluster.schedule);
  cluster.objectives = config.objectives;
  read_objectives(section.take_section("objectives"), problems, cluster.objectives);
  return cluster;
}

// Two names for one server would share its slot and write one history into two places.
void check_against_others(const YamlNode& key, const ClusterConfig& cluster, const Config& config,
                          Problems& problems) {
  for (const auto& other : config.clusters) {
    const auto add = [&](std::string_view what) {
      problems.add(key.position,
                   fmt::format("cluster \"{}\" has the same {} as \"{}\"; remove one or "
                               "correct it",
                               cluster.name, what, other.name));
    };
    if (cluster.connection == other.connection) add("connection");
    if (cluster.data_directory && cluster.data_directory == other.data_directory) {
      add("data_directory");
    }
  }
}

// For "- name: shop" and "- shop", which other programs' configurations have.
std::string clusters_list_problem(const YamlNode& list) {
  std::string name = "main", item = "-";
  if (!list.items.empty()) {
    const auto& first = list.items.front();
    if (first.kind == YamlNode::Kind::kScalar) {
      name = first.text;
      item = "- " + name;
    }
    for (const auto& [key, value] : first.entries) {
      if (key.text != "name" || value.kind != YamlNode::Kind::kScalar) continue;
      name = value.text;
      item = "- name: " + name;
    }
  }
  return fmt::format(
      "\"clusters\" is a list here, but must have a section for each cluster under its name; "
      "write \"{}:\" instead of \"{}\"",
      name, item);
}

void read_clusters(const YamlNode& node, Problems& problems, Config& config) {
  if (node.kind == YamlNode::Kind::kMapping && !node.entries.empty()) {
    for (const auto& entry : node.entries) {
      auto cluster = read_cluster(entry, problems, config);
      check_against_others(entry.key, cluster, config, problems);
      config.clusters.push_back(std::move(cluster));
    }
  } else if (node.kind == YamlNode::Kind::kNull) {
    YamlEntry only_cluster;
    only_cluster.key.text = "main";
    config.clusters.push_back(read_cluster(only_cluster, problems, config));
  } else if (node.kind == YamlNode::Kind::kList) {
    problems.add(node.position, clusters_list_problem(node));
  } else {
    problems.add(node.position,
                 "\"clusters\" must have a section for each cluster under its name, "
                 "for example \"main:\"");
  }
}

}  // namespace

Config read_config(const YamlNode& root, Problems& problems) {
  Config config;
  Section section(root, "", problems);
  read_repository(section.take_section("repository"), problems, config.repository);
  if (const auto* node = section.take("encryption")) {
    read_encryption(*node, problems, config.encryption);
  }
  read_agent(section.take_section("agent"), problems, config.agent);
  read_retention(section.take_section("retention"), problems, config.retention);
  read_schedule(section.take_section("schedule"), problems, config.schedule);
  read_objectives(section.take_section("objectives"), problems, config.objectives);
  read_clusters(section.take_section("clusters"), problems, config);
  config.notifications =
      read_notifications(section.take_section("notifications"), config, problems);
  return config;
}

}  // namespace pitr
