// A repository in a temporary directory that a TestCluster's WAL is streamed into, by a WalReceiver
// on a thread of this process: what the agent does for a cluster, without the agent. Encrypted.
//
// Header only, so that it belongs to the tests that link the layers it needs.
#pragma once

#include <gtest/gtest.h>

#include <iostream>
#include <thread>

#include "basebackup/base_backup.h"
#include "postgres/control_file.h"
#include "repository/wal/wal_coverage.h"
#include "storage/local/local_storage.h"
#include "support/must.h"
#include "support/temporary_directory.h"
#include "support/test_cluster.h"
#include "walreceiver/segment_ingest.h"
#include "walreceiver/wal_receiver.h"

namespace pitr::test {

inline IncarnationId incarnation_of(const TestCluster& cluster) {
  const auto control = must(read_control_file(cluster.data_directory()));
  return {"main", control.system_identifier, static_cast<std::uint32_t>(cluster.major())};
}

inline SegmentSize segment_size_of(const TestCluster& cluster) {
  return must(read_control_file(cluster.data_directory())).wal_segment_size;
}

class StreamedRepository {
 public:
  explicit StreamedRepository(const TestCluster& cluster)
      : StreamedRepository(incarnation_of(cluster), segment_size_of(cluster)) {}
  StreamedRepository(const IncarnationId& incarnation, SegmentSize segment_size)
      : directory_(must(TemporaryDirectory::create())),
        storage_(must(LocalStorage::create(directory_.path() / "repository", clock_))),
        key_(must(KeyEncryptionKey::generate())),
        repository_(must(Repository::init(*storage_, key_))),
        store_(*repository_, incarnation, segment_size),
        archive_(store_),
        facts_(store_) {}
  // On a storage of the test's own, which outlives it; directory() and storage() have no use then.
  StreamedRepository(const TestCluster& cluster, Storage& storage)
      : directory_(must(TemporaryDirectory::create())),
        key_(must(KeyEncryptionKey::generate())),
        repository_(must(Repository::init(storage, key_))),
        store_(*repository_, incarnation_of(cluster), segment_size_of(cluster)),
        archive_(store_),
        facts_(store_) {}
  ~StreamedRepository() { stop_streaming(); }

  void start_streaming(const TestCluster& cluster, const std::string& slot = "pitr_main") {
    WalReceiverOptions options;
    options.conninfo = cluster.conninfo();
    options.slot_name = slot;
    options.application_name = slot;
    options.watermark_interval = Milliseconds(200);
    options.longest_reconnect_delay = Milliseconds(500);
    start_streaming(options);
  }
  void start_streaming(const WalReceiverOptions& options) {
    stop_streaming();
    receiver_ = std::make_unique<WalReceiver>(archive_, facts_, clock_, options);
    thread_ = std::jthread([this](std::stop_token stop) { (void)receiver_->run(stop); });
  }
  void stop_streaming() {
    if (thread_.joinable()) {
      thread_.request_stop();
      thread_.join();
    }
  }

  WalReceiverStatus status() const { return receiver_->status(); }
  // Fails the test when it doesn't come true in time.
  template <typename Condition>
  void wait_for(const char* what, Condition&& is_true, Milliseconds timeout = Seconds(60)) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (!is_true(status())) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline)
          << "waited for " << what << "; received " << to_string(status().received_lsn)
          << ", durable " << to_string(status().durable_lsn) << ", last error "
          << status().last_error;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  // Until everything that the server has flushed by now is durable here.
  void catch_up(TestCluster& cluster) {
    const auto end = must(Lsn::parse(must(cluster.sql_value("SELECT pg_current_wal_flush_lsn()"))));
    wait_for("the receiver to catch up",
             [&](const WalReceiverStatus& now) { return now.durable_lsn >= end; });
  }

  BaseBackupRequest backup_request(const TestCluster& cluster) const {
    BaseBackupRequest request;
    request.conninfo = cluster.conninfo();
    request.data_directory = cluster.data_directory();
    request.host = "test";
    return request;
  }
  Result<BackupManifest> take_backup(const BaseBackupRequest& request) {
    NullObserver observer;
    return take_base_backup(store_, archive_, facts_, request, clock_, observer, {});
  }

  // Again where the workload copied or moved a database meanwhile, as it does now and then.
  Result<BackupManifest> take_backup_under_load(const BaseBackupRequest& request) {
    auto taken = take_backup(request);
    for (int again = 0; again < 20 && !taken.has_value(); ++again) {
      if (taken.error().message().find("while the backup ran: ") == std::string::npos) break;
      std::cout << "refused: " << taken.error().message() << std::endl;
      taken = take_backup(request);
    }
    return taken;
  }

  const Path& directory() const { return directory_.path(); }
  SystemClock& clock() { return clock_; }
  LocalStorage& storage() { return *storage_; }
  const KeyEncryptionKey& key() const { return key_; }
  const IncarnationStore& store() const { return store_; }
  WalArchive& archive() { return archive_; }
  FactsStore& facts() { return facts_; }

 private:
  SystemClock clock_;
  TemporaryDirectory directory_;
  std::unique_ptr<LocalStorage> storage_;
  KeyEncryptionKey key_;
  std::unique_ptr<Repository> repository_;
  IncarnationStore store_;
  WalArchive archive_;
  FactsStore facts_;
  std::unique_ptr<WalReceiver> receiver_;
  std::jthread thread_;
};

}  // namespace pitr::test
