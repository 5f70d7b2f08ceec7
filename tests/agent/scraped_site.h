// A server with a real agent beside it that serves its metrics over TCP, configured so that every
// metric appears: encryption, a limit of the repository's size, one of the slot, somebody who is
// told.
#pragma once

#include "agent/pitr_site.h"
#include "agent/scrape.h"
#include "support/port_lease.h"

namespace pitr::test {

class ScrapedSite {
 public:
  ScrapedSite() {
    auto yaml = must(read_text_file(site_.config_file()));
    const std::string agent = "agent: {";
    yaml.insert(yaml.find(agent) + agent.size(),
                fmt::format("http: {{listen: \"127.0.0.1:{}\"}}, ", port_.port()));
    write_text(site_.config_file(), yaml +
                                        "retention: {max_size: 1TiB}\n"
                                        "notifications: {hook: {command: {run: /bin/true}}}\n");
    run({"pitr", "init"});
    agent_.emplace(site_.start_agent());
  }

  TestCluster& cluster() { return cluster_; }
  int port() const { return port_.port(); }
  Scrape scrape() const { return Scrape::take(site_.socket()); }
  bool shows(const std::string& name, const std::string& labels = "") const {
    return eventually([&] { return scrape().has(name, labels); });
  }
  void run(const std::vector<std::string>& command) const {
    const auto output = site_.run(command);
    if (!output.status.success()) throw std::runtime_error(command.back() + ": " + output.err);
  }
  // A full backup and an incremental one, and the agent's look at both.
  bool take_both_backups() const {
    if (!shows("pitr_receiver_state", ",state=\"streaming\"")) return false;
    run({"pitr", "backup"});
    run({"pitr", "backup"});
    return shows("pitr_backup_total_bytes", ",type=\"incremental\"") &&
           shows("pitr_wal_watermark_timestamp_seconds") &&
           shows("pitr_stored_bytes", ",kind=\"pack\"");
  }
  // The slot is looked up every 15 s.
  bool sees_the_slot() const {
    return eventually([&] { return scrape().value("pitr_slot_active") == 1; }, Seconds(90));
  }

 private:
  TestCluster cluster_ = started_cluster({.settings = {{"max_slot_wal_keep_size", "1GB"}}});
  PitrSite site_{cluster_};
  PortLease port_ = must(PortLease::take());
  std::optional<Subprocess> agent_;
};

}  // namespace pitr::test
