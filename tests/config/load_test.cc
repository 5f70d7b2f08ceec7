#include "config/load.h"

#include <fstream>

namespace pitr {
namespace {

// The text without the newline that begins a raw string, so that its first line is line 1.
std::string_view body(std::string_view text) {
  return text.substr(1);
}

std::string problems_of(std::string_view yaml) {
  const auto config = parse_config(body(yaml), "f");
  if (config) return "(accepted)";
  EXPECT_EQ(config.error().kind(), ErrorKind::kInvalid);
  return config.error().message();
}

Config parsed(std::string_view yaml) {
  auto config = parse_config(body(yaml), "f");
  if (!config) {
    ADD_FAILURE() << config.error().message();
    return {};
  }
  return *config;
}

TEST(LoadTest, AnEmptyFileGivesOneLocalCluster) {
  const Config config = parsed("\n");
  ASSERT_EQ(config.clusters.size(), 1u);
  const auto& cluster = config.clusters.front();
  EXPECT_EQ(cluster.name, "main");
  EXPECT_EQ(cluster.connection, "host=/var/run/postgresql");
  EXPECT_FALSE(cluster.data_directory);
  EXPECT_EQ(cluster.slot, "pitr_main");
  EXPECT_EQ(cluster.application_name, "pitr_main");
  EXPECT_GE(cluster.backup.workers, 1u);
  EXPECT_LE(cluster.backup.workers, 4u);
  EXPECT_EQ(config.repository.path, "/var/lib/pitr/repository");
  EXPECT_EQ(config.encryption.source, EncryptionConfig::Source::kKeyFile);
  EXPECT_EQ(config.encryption.value, "/etc/pitr/key");
  EXPECT_EQ(config.find_cluster(""), &cluster);
  EXPECT_EQ(config.find_cluster("main"), &cluster);
  EXPECT_EQ(config.find_cluster("other"), nullptr);
}

TEST(LoadTest, EveryKeyIsRead) {
  const Config config = parsed(R"(
repository: {path: /srv/repo/}
encryption: none
agent:
  socket: /tmp/s
  log_level: debug
clusters:
  shop-eu:
    connection: postgresql://pitr@db1:5433/postgres?sslmode=verify-full
    data_directory: /srv/pg/../pg/data
    slot: own_slot
    application_name: Pitr of shop
    wal: {stall_timeout: 1 min, compression: zstd, level: 3}
    backup:
      method: local
      compression: none
      workers: 7
      max_rate: 100MiB/s
      checkpoint: spread
      verify_checksums: false
    spool: {size_limit: 2GiB}
  second:
    connection: host=db2
)");
  EXPECT_EQ(config.repository.path, "/srv/repo");
  EXPECT_EQ(config.encryption.source, EncryptionConfig::Source::kNone);
  EXPECT_EQ(config.agent.socket, "/tmp/s");
  EXPECT_EQ(config.agent.log_level, log::Level::kDebug);
  ASSERT_EQ(config.clusters.size(), 2u);
  EXPECT_EQ(config.find_cluster(""), nullptr);
  const auto& shop = *config.find_cluster("shop-eu");
  EXPECT_EQ(shop.data_directory, Path("/srv/pg/data"));
  EXPECT_EQ(shop.slot, "own_slot");
  EXPECT_EQ(shop.application_name, "Pitr of shop");
  EXPECT_EQ(shop.wal.stall_timeout, std::chrono::minutes(1));
  EXPECT_EQ(shop.wal.compression.method, CompressionConfig::Method::kZstd);
  EXPECT_EQ(shop.wal.compression.level, 3);
  EXPECT_EQ(shop.backup.method, BackupConfig::Method::kLocal);
  EXPECT_EQ(shop.backup.compression.method, CompressionConfig::Method::kNone);
  EXPECT_EQ(shop.backup.workers, 7u);
  EXPECT_EQ(shop.backup.max_rate_bytes_per_second, 100ull << 20);
  EXPECT_EQ(shop.backup.checkpoint, BackupConfig::Checkpoint::kSpread);
  EXPECT_FALSE(shop.backup.verify_checksums);
  EXPECT_EQ(shop.spool.size_limit_bytes, 2ull << 30);
  const auto& second = *config.find_cluster("second");
  EXPECT_EQ(second.slot, "pitr_second");
}

TEST(LoadTest, ADashInAClusterNameBecomesAnUnderscoreInItsSlot) {
  EXPECT_EQ(parsed("\nclusters: {a-b: }").clusters.front().slot, "pitr_a_b");
}

TEST(LoadTest, KeysComeFromOneOfThreeSources) {
  const auto from_environment = parsed("\nencryption: {key_env: PITR_KEY}").encryption;
  EXPECT_EQ(from_environment.source, EncryptionConfig::Source::kKeyEnvironment);
  EXPECT_EQ(from_environment.value, "PITR_KEY");
  const auto from_command = parsed("\nencryption: {key_command: 'vault read pitr'}").encryption;
  EXPECT_EQ(from_command.source, EncryptionConfig::Source::kKeyCommand);
  EXPECT_EQ(from_command.value, "vault read pitr");
}

TEST(LoadTest, ThePackagedFileLoadsAndItsCommentedKeysAreTheDefaults) {
  const Path file = Path(PITR_SOURCE_DIRECTORY) / "packaging/pitr.yaml";
  const auto config = load_config(file);
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->clusters.front().data_directory, Path("/var/lib/postgresql/15/main"));

  // Uncomment every "# key: value" line, and nothing may change.
  std::string yaml;
  std::ifstream input(file);
  for (std::string line; std::getline(input, line);) {
    for (const std::string key : {"log_level",
                                  "log_format",
                                  "slot",
                                  "application_name",
                                  "stall_timeout",
                                  "method",
                                  "checkpoint",
                                  "verify_checksums",
                                  "spool",
                                  "  size_limit",
                                  "state_directory",
                                  "parallel_jobs",
                                  "schedule",
                                  "backup",
                                  "independent",
                                  "expire",
                                  "verify",
                                  "verify_period",
                                  "check",
                                  "jitter",
                                  "window"}) {
      const auto at = line.find("# " + key + ":");
      if (at != std::string::npos) line.erase(at, 2);
    }
    yaml += line + "\n";
  }
  const auto uncommented = parse_config(yaml, "pitr.yaml");
  ASSERT_TRUE(uncommented) << uncommented.error().message();
  const auto& a = config->clusters.front();
  const auto& b = uncommented->clusters.front();
  EXPECT_NE(yaml.find("\n      stall_timeout: 10s\n"), std::string::npos);
  EXPECT_NE(yaml.find("\nschedule:\n"), std::string::npos);
  EXPECT_EQ(a.schedule, b.schedule);
  EXPECT_EQ(config->agent.state_directory, uncommented->agent.state_directory);
  EXPECT_EQ(a.slot, b.slot);
  EXPECT_EQ(a.application_name, b.application_name);
  EXPECT_EQ(a.wal.stall_timeout, b.wal.stall_timeout);
  EXPECT_EQ(a.backup.method, b.backup.method);
  EXPECT_EQ(a.backup.checkpoint, b.backup.checkpoint);
  EXPECT_EQ(a.backup.verify_checksums, b.backup.verify_checksums);
  EXPECT_EQ(a.spool.size_limit_bytes, b.spool.size_limit_bytes);
  EXPECT_EQ(config->agent.log_level, uncommented->agent.log_level);
  EXPECT_EQ(config->agent.parallel_jobs, uncommented->agent.parallel_jobs);
}

struct Refusal {
  const char* name;
  const char* yaml;
  const char* problem;
};

class RefusalTest : public testing::TestWithParam<Refusal> {};

TEST_P(RefusalTest, NamesThePlaceAndTheFix) {
  EXPECT_EQ(problems_of(GetParam().yaml), GetParam().problem);
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(Syntax, RefusalTest, testing::Values(
    Refusal{"NotYaml", "\na: [1, 2\nb: 3\n",
            "f:2:2: this is not valid YAML: end of sequence flow not found"},
    Refusal{"NotAMapping", "\n- a\n",
            "f:1:1: the configuration must be a section of \"key: value\" lines, not a list"},
    Refusal{"SectionIsAScalar", "\nagent: on\n",
            "f:1:8: \"agent\" must be a section of \"key: value\" lines, not a single value"},
    Refusal{"DuplicateKey", "\nrepository:\n  path: /a\n  path: /b\n",
            "f:3:3: \"path\" is given a second time (first in line 2); remove one of them"},
    Refusal{"DuplicateCluster", "\nclusters:\n  a:\n  a:\n",
            "f:3:3: \"a\" is given a second time (first in line 2); remove one of them"},
    Refusal{"UnknownKeyWithGuess", "\nrepositori:\n  path: /a\n",
            "f:1:1: unknown key \"repositori\"; did you mean \"repository\"?"},
    Refusal{"UnknownKeyWithout", "\nclusters:\n  a:\n    spool:\n      s3_bucket: x\n",
            "f:4:7: unknown key \"s3_bucket\"; known here: size_limit"},
    Refusal{"Alias", "\nrepository: {path: &p /a}\nagent: {socket: *p}\n",
            "f:2:17: aliases (*name) are not supported; write the value out"},
    Refusal{"Tag", "\nrepository: {path: !!str /a}\n",
            "f:1:20: tags (tag:yaml.org,2002:str) are not supported; remove it"},
    Refusal{"SecondDocument", "\nencryption: none\n---\nagent: {}\n",
            "f:3:1: a second document (---) starts here; remove it"},
    Refusal{"KeyIsAList", "\n? [a]\n: b\n", "f:1:3: a key must be a plain word"}),
    [](const auto& test_info) { return test_info.param.name; });

INSTANTIATE_TEST_SUITE_P(Values, RefusalTest, testing::Values(
    Refusal{"RelativePath", "\nrepository:\n  path: backups\n",
            "f:2:9: \"path\" must be an absolute path, not \"backups\"; write it from \"/\" on"},
    Refusal{"PathIsAList", "\nrepository:\n  path: [/a]\n",
            "f:2:9: \"path\" must be text, not a list"},
    Refusal{"NoJobs", "\nagent: {parallel_jobs: 0}\n",
            "f:1:24: \"parallel_jobs\" must be a whole number from 1 to 64, not \"0\""},
    Refusal{"Choice", "\nagent: {log_level: verbose}\n",
            "f:1:20: \"log_level\" must be one of debug, info, warning, error, not \"verbose\""},
    Refusal{"Bool", "\nclusters: {a: {backup: {verify_checksums: yes}}}\n",
            "f:1:43: \"verify_checksums\" must be true or false, not \"yes\""},
    Refusal{"QuotedBool", "\nclusters: {a: {backup: {verify_checksums: 'true'}}}\n",
            "f:1:43: \"verify_checksums\" must be true or false, not the text \"true\""},
    Refusal{"NumberIsText", "\nclusters: {a: {backup: {workers: many}}}\n",
            "f:1:34: \"workers\" must be a whole number from 1 to 64, not \"many\""},
    Refusal{"NumberIsQuoted", "\nclusters: {a: {backup: {workers: \"4\"}}}\n",
            "f:1:34: \"workers\" must be a whole number from 1 to 64, not the text \"4\""},
    Refusal{"NumberTooLarge", "\nclusters: {a: {backup: {workers: 65}}}\n",
            "f:1:34: \"workers\" must be a whole number from 1 to 64, not \"65\""},
    Refusal{"NumberZero", "\nclusters: {a: {backup: {workers: 0}}}\n",
            "f:1:34: \"workers\" must be a whole number from 1 to 64, not \"0\""},
    Refusal{"DurationWithoutUnit", "\nclusters: {a: {wal: {stall_timeout: 10}}}\n",
            "f:1:37: \"stall_timeout\": \"10\" lacks its unit; write for example 10s"},
    Refusal{"DurationTooShort", "\nclusters: {a: {wal: {stall_timeout: 1ms}}}\n",
            "f:1:37: \"stall_timeout\" must be from 1s to 1h, not 1ms"},
    Refusal{"SizeWithoutUnit", "\nclusters: {a: {spool: {size_limit: 1000000000}}}\n",
            "f:1:36: \"size_limit\": \"1000000000\" lacks its unit; write for example 512MiB"},
    Refusal{"SizeTooSmall", "\nclusters: {a: {spool: {size_limit: 1MiB}}}\n",
            "f:1:36: \"size_limit\" must be at least 32MiB, not 1MiB"},
    Refusal{"RateIsASize", "\nclusters: {a: {backup: {max_rate: 5MiB}}}\n",
            "f:1:35: \"max_rate\": \"5MiB\" is not a rate; write for example 100MiB/s"},
    Refusal{"RateTooSmall", "\nclusters: {a: {backup: {max_rate: 5KiB/s}}}\n",
            "f:1:35: \"max_rate\" must be at least 1MiB/s, not 5KiB/s"},
    Refusal{"LevelTooHigh", "\nclusters: {a: {wal: {compression: zstd, level: 20}}}\n",
            "f:1:48: \"level\" must be a whole number from 1 to 19, not \"20\""},
    Refusal{"ClusterNameUpperCase", "\nclusters:\n  Main:\n",
            "f:2:3: a cluster's name must be 1 to 63 of a-z, 0-9, _ and -, and begin with a letter "
            "or digit"},
    Refusal{"ClusterNameClimbs", "\nclusters:\n  ../x:\n",
            "f:2:3: a cluster's name must be 1 to 63 of a-z, 0-9, _ and -, and begin with a letter "
            "or digit"},
    Refusal{"SlotName", "\nclusters: {a: {slot: My-slot}}\n",
            "f:1:22: \"slot\" must be 1 to 63 of a-z, 0-9 and _"},
    Refusal{"ApplicationName", "\nclusters: {a: {application_name: ''}}\n",
            "f:1:34: \"application_name\" must be 1 to 63 printable ASCII characters"},
    Refusal{"NoClusters", "\nclusters: {}\n",
            "f:1:11: \"clusters\" must have a section for each cluster under its name, for example "
            "\"main:\""},
    Refusal{"ClustersAsAList", "\nclusters:\n  - name: shop\n    connection: host=h\n",
            "f:2:3: \"clusters\" is a list here, but must have a section for each cluster under its "
            "name; write \"shop:\" instead of \"- name: shop\""},
    Refusal{"ClustersAsAListOfNames", "\nclusters: [shop]\n",
            "f:1:11: \"clusters\" is a list here, but must have a section for each cluster under its "
            "name; write \"shop:\" instead of \"- shop\""},
    Refusal{"ClustersAsAListWithoutNames", "\nclusters:\n  - connection: host=h\n",
            "f:2:3: \"clusters\" is a list here, but must have a section for each cluster under its "
            "name; write \"main:\" instead of \"-\""},
    Refusal{"EncryptionOff", "\nencryption: off\n",
            "f:1:13: \"encryption\" must be a section with one of key_file, key_env and "
            "key_command, or the word none"},
    Refusal{"KeyEnvironment", "\nencryption: {key_env: 3f8a}\n",
            "f:1:23: \"key_env\" must be the name of an environment variable that holds the key, "
            "such as PITR_KEY"},
    Refusal{"KeyCommandEmpty", "\nencryption: {key_command: ''}\n",
            "f:1:27: \"key_command\" is empty; write a shell command"},
    Refusal{"ConnectionMalformed", "\nclusters: {a: {connection: localhost}}\n",
            "f:1:28: \"connection\" is not a connection string: \"=\" is missing after "
            "\"localhost\"; write for example host=/var/run/postgresql user=postgres"},
    Refusal{"ConnectionQuoteOpen", "\nclusters: {a: {connection: \"host='a\"}}\n",
            "f:1:28: \"connection\" is not a connection string: a ' is missing at the end of a "
            "value; write for example host=/var/run/postgresql user=postgres"}),
    [](const auto& test_info) { return test_info.param.name; });

INSTANTIATE_TEST_SUITE_P(Combinations, RefusalTest, testing::Values(
    Refusal{"LevelWithoutZstd", "\nclusters: {a: {wal: {level: 3}}}\n",
            "f:1:29: \"level\" is for zstd only; remove it or write \"compression: zstd\""},
    Refusal{"LocalWithoutDirectory", "\nclusters: {a: {backup: {method: local}}}\n",
            "f:1:33: \"method: local\" needs the cluster's \"data_directory\"; set it or write "
            "\"method: auto\""},
    Refusal{"TwoKeys", "\nencryption: {key_file: /k, key_env: K}\n",
            "f:1:13: only one of key_file, key_env and key_command can be used; remove the others"},
    Refusal{"PasswordInPairs", "\nclusters: {a: {connection: host=h password = 'x y'}}\n",
            "f:1:28: \"connection\" holds a password; put it into the file that PGPASSFILE names "
            "(~/.pgpass)"},
    Refusal{"PasswordInUri", "\nclusters: {a: {connection: 'postgres://u:p@h/d'}}\n",
            "f:1:28: \"connection\" holds a password; put it into the file that PGPASSFILE names "
            "(~/.pgpass)"},
    Refusal{"PasswordInUriParameter", "\nclusters: {a: {connection: 'postgres://h/d?a=b&password=p'}}\n",
            "f:1:28: \"connection\" holds a password; put it into the file that PGPASSFILE names "
            "(~/.pgpass)"},
    Refusal{"ApplicationNameTwice", "\nclusters: {a: {connection: application_name=x}}\n",
            "f:1:28: \"connection\" sets application_name; use the key \"application_name\" beside "
            "it"},
    Refusal{"Replication", "\nclusters: {a: {connection: host=h replication=true}}\n",
            "f:1:28: \"connection\" sets replication; remove it, it is set as needed"},
    Refusal{"RepositoryInsideData", "\nrepository: {path: /d/r}\nclusters: {a: {data_directory: /d}}\n",
            "f:2:32: \"data_directory\" /d and the repository /d/r must not contain one another; "
            "move the repository"},
    Refusal{"DataInsideRepository", "\nrepository: {path: /r}\nclusters: {a: {data_directory: /r/d}}\n",
            "f:2:32: \"data_directory\" /r/d and the repository /r must not contain one another; "
            "move the repository"},
    Refusal{"SameConnection", "\nclusters:\n  a: {connection: host=h}\n  b: {connection: host=h}\n",
            "f:3:3: cluster \"b\" has the same connection as \"a\"; remove one or correct it"},
    Refusal{"SocketTooLong", "\nagent:\n  socket: /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
            "f:2:11: \"socket\" has 108 characters, and a socket's path may have 107; use a shorter "
            "one"}),
    [](const auto& test_info) { return test_info.param.name; });
// clang-format on

TEST(LoadTest, ASlotNameThatWouldBeTooLongIsAskedFor) {
  const std::string name(59, 'x');
  const auto config = parse_config("clusters:\n  " + name + ":\n", "f");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().message(), "f:2:3: the slot's name pitr_" + name +
                                          " would be longer than 63 characters; set \"slot\"");
}

TEST(LoadTest, AllProblemsAreReportedInFileOrder) {
  EXPECT_EQ(problems_of(R"(
clusters:
  main:
    backup:
      comprezzion: lz4
      workers: x
agent:
  log_levle: info
repository:
  path: r
)"),
            "f:4:7: unknown key \"comprezzion\"; did you mean \"compression\"?\n"
            "f:5:16: \"workers\" must be a whole number from 1 to 64, not \"x\"\n"
            "f:7:3: unknown key \"log_levle\"; did you mean \"log_level\"?\n"
            "f:9:9: \"path\" must be an absolute path, not \"r\"; write it from \"/\" on");
}

TEST(LoadTest, DeepNestingIsRefusedNotFollowed) {
  const auto config = parse_config(std::string(100'000, '['), "f");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().kind(), ErrorKind::kInvalid);
}

TEST(LoadTest, AFileThatCannotBeReadIsNamed) {
  const auto config = load_config("/nonexistent/pitr.yaml");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().kind(), ErrorKind::kNotFound);
  EXPECT_NE(config.error().message().find("/nonexistent/pitr.yaml"), std::string::npos);
}

}  // namespace
}  // namespace pitr
