#include "walreceiver/wal_receiver.h"

#include "common/log.h"
#include "common/retry.h"
#include "walreceiver/stream_session.h"

namespace pitr {

std::string_view to_string(WalReceiverState state) {
  switch (state) {
    case WalReceiverState::kConnecting:
      return "connecting";
    case WalReceiverState::kStreaming:
      return "streaming";
    case WalReceiverState::kWaiting:
      return "waiting";
    case WalReceiverState::kStopped:
      return "stopped";
  }
  return "unknown";
}

WalReceiver::WalReceiver(WalArchive& archive, FactsStore& facts, Clock& clock,
                         WalReceiverOptions options)
    : archive_(archive), facts_(facts), clock_(clock), options_(std::move(options)) {}

WalReceiverStatus WalReceiver::status() const {
  std::lock_guard lock(status_mutex_);
  return status_;
}

Result<void> WalReceiver::run_session(std::stop_token stop) {
  update_status([](WalReceiverStatus& status) {
    status.state = WalReceiverState::kConnecting;
    ++status.connections;
  });
  auto session = TRY(StreamSession::connect(*this, stop));
  return session->run();
}

void WalReceiver::note_end(const Result<void>& ended) {
  const std::string cluster = archive_.store().id().cluster;
  update_status([&](WalReceiverStatus& status) {
    status.state = WalReceiverState::kWaiting;
    if (ended) return;
    status.last_error = ended.error().message();
    status.last_error_kind = ended.error().kind();
  });
  if (ended) {
    log::info("cluster {}: the server shut down; waiting for it to come back", cluster);
  } else if (ended.error().kind() == ErrorKind::kTransient) {
    log::warning("cluster {}: streaming stopped: {}", cluster, ended.error().message());
  } else {
    log::error("cluster {}: streaming stopped: {}{}{}", cluster, ended.error().message(),
               ended.error().hint().empty() ? "" : "; ", ended.error().hint());
  }
}

Result<void> WalReceiver::run(std::stop_token stop) {
  Backoff backoff({options_.first_reconnect_delay, options_.longest_reconnect_delay, 0});
  while (!stop.stop_requested()) {
    const auto ended = run_session(stop);
    if (stop.stop_requested()) break;
    // A session that got as far as streaming starts the back-off anew.
    const bool streamed = status().state == WalReceiverState::kStreaming;
    note_end(ended);
    if (streamed) backoff.reset();
    if (!sleep_for(backoff.next_delay(), stop)) break;
  }
  update_status([](WalReceiverStatus& status) { status.state = WalReceiverState::kStopped; });
  return Error::cancelled("the WAL receiver was stopped");
}

}  // namespace pitr
