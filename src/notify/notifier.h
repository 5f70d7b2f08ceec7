// Tells destinations of events. Each has a queue and a thread of its own, so that nobody who
// publishes waits, and a receiver that hangs holds up nobody else.
//
// Thread-safe, but for configure(), which is not for two threads at once. The clock must outlive
// it. The destructor ends what is under way; nothing is told then.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "notify/event_log.h"
#include "notify/transport.h"

namespace pitr {

struct DestinationStatus {
  std::string name;
  NotificationCounts counts;
  std::string last_error;  // empty after a success
  Timestamp last_success;
};

class Notifier final : public EventListener {
 public:
  using MakeTransport = std::function<std::unique_ptr<Transport>(const Destination&)>;
  // transports: for tests.
  Notifier(const Clock& clock, std::string host, MakeTransport transports = {});
  ~Notifier() override;

  // From now on these. Those that stay as they were keep what they have to tell; so do those that
  // changed, by name.
  void configure(const std::vector<Destination>& destinations);
  // Returns at once.
  void on_event(const Event& event) override;
  // Waits until all is told or given up, no longer than that. False: something is left.
  bool wait_until_told(Milliseconds longest);
  // Ends the threads; what wasn't told is dropped, counted and logged.
  void stop();

  std::vector<DestinationStatus> status() const;

 private:
  class Courier;
  const Clock& clock_;
  const std::string host_;
  const MakeTransport transports_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Courier>> couriers_;  // guarded
};

}  // namespace pitr
