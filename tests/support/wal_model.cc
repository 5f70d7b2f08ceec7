#include "support/wal_model.h"

#include <cstdio>
#include <ctime>
#include <regex>
#include <sstream>

#include "support/must.h"
#include "support/subprocess.h"

namespace pitr::test {

namespace {

[[noreturn]] void cannot_read(const std::string& line) {
  fail_test(Error::internal("pg_waldump's line is not understood: " + line),
            std::source_location::current());
}

// "2026-03-01 09:15:00.123456 UTC"
Timestamp parse_time(const std::string& text, const std::string& line) {
  std::tm day{};
  int us = 0;
  if (std::sscanf(text.c_str(), "%d-%d-%d %d:%d:%d.%6d", &day.tm_year, &day.tm_mon, &day.tm_mday,
                  &day.tm_hour, &day.tm_min, &day.tm_sec, &us) != 7) {
    cannot_read(line);
  }
  day.tm_year -= 1900;
  day.tm_mon -= 1;
  return Timestamp::from_unix_us(std::int64_t{::timegm(&day)} * 1'000'000 + us);
}

ModelRecord parse_record(const std::string& line) {
  static const std::regex form(
      R"(rmgr: (\S+) +len .*, tx: +(\d+), lsn: ([0-9A-F]+/[0-9A-F]+), prev \S+, desc: (.*))");
  static const std::regex xact(
      R"((COMMIT|ABORT|COMMIT_PREPARED|ABORT_PREPARED) (?:(\d+): )?(\d{4}-\S+ \S+) UTC.*)");
  std::smatch parts;
  if (!std::regex_match(line, parts, form)) cannot_read(line);
  ModelRecord record{.start = must(Lsn::parse(parts[3].str()))};
  record.xid = static_cast<std::uint32_t>(std::stoul(parts[2]));
  const std::string manager = parts[1];
  const std::string description = parts[4];
  std::smatch ended;
  if (manager == "Transaction" && std::regex_match(description, ended, xact)) {
    const bool is_commit = ended[1].str().starts_with("COMMIT");
    record.kind = is_commit ? ModelRecord::Kind::kCommit : ModelRecord::Kind::kAbort;
    if (ended[2].matched) record.xid = static_cast<std::uint32_t>(std::stoul(ended[2]));
    record.time = parse_time(ended[3], line);
  } else if (manager == "Transaction" && description.starts_with("PREPARE")) {
    record.kind = ModelRecord::Kind::kPrepare;
  } else if (manager == "Transaction" &&
             (description.starts_with("COMMIT") || description.starts_with("ABORT"))) {
    cannot_read(line);
  } else if (manager == "XLOG" && description.starts_with("RESTORE_POINT ")) {
    record.kind = ModelRecord::Kind::kRestorePoint;
    record.name = description.substr(std::string("RESTORE_POINT ").size());
  }
  return record;
}

}  // namespace

WalModel WalModel::read(const TestCluster& cluster, TimelineId timeline, Lsn from) {
  // It ends with an error where WAL ends: what counts is what it printed.
  const auto output = must(run_command(
      {ServerBinaries::client("pg_waldump"), "--path", cluster.data_directory() / "pg_wal",
       "--timeline", to_string(timeline), "--start", to_string(from)},
      {.environment = {{"TZ", "UTC"}, {"LC_ALL", "C"}}}));
  WalModel model;
  std::istringstream lines(output.out);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("rmgr: ")) model.records_.push_back(parse_record(line));
  }
  if (model.records_.empty()) {
    fail_test(Error::internal("pg_waldump printed nothing: " + output.err),
              std::source_location::current());
  }
  return model;
}

}  // namespace pitr::test
