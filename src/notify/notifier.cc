#include "notify/notifier.h"

#include <algorithm>
#include <condition_variable>
#include <thread>

#include "common/log.h"

namespace pitr {

static constexpr Milliseconds kLongestSleep{60'000};

// One destination's queue and thread.
class Notifier::Courier {
 public:
  Courier(const Destination& destination, std::unique_ptr<Transport> transport, const Clock& clock)
      : destination_(destination),
        transport_(std::move(transport)),
        clock_(clock),
        outbox_(destination) {}

  const Destination& destination() const { return destination_; }
  void start() {
    thread_ = std::jthread([this](std::stop_token stop) { run(stop); });
  }
  void request_stop() { thread_.request_stop(); }
  void join() {
    if (thread_.joinable()) thread_.join();
  }

  void add(const Event& event) {
    std::lock_guard lock(mutex_);
    const bool fits = outbox_.add(event, clock_.steady_now());
    if (!fits && !std::exchange(is_full_, true)) {
      log::error("notifications to {}: too many wait, the oldest are dropped", destination_.name);
    }
    is_new_ = true;
    changed_.notify_all();
  }
  // Both stopped.
  void take_over(Courier& other) {
    std::scoped_lock lock(mutex_, other.mutex_);
    outbox_.take_over(other.outbox_);
    last_success_ = other.last_success_;
  }
  bool wait_until_told(SteadyTime until) {
    std::unique_lock lock(mutex_);
    return told_.wait_until(lock, until, [&] { return outbox_.empty(); });
  }
  void drop_all() {
    std::lock_guard lock(mutex_);
    const auto count = outbox_.drop_all();
    if (count == 0) return;
    log::warning("notifications to {}: {} were not sent{}{}", destination_.name, count,
                 last_error_.empty() ? "" : ": ", last_error_);
  }
  DestinationStatus status() const {
    std::lock_guard lock(mutex_);
    return {destination_.name, outbox_.counts(), last_error_, last_success_};
  }

 private:
  void run(std::stop_token stop) {
    while (!stop.stop_requested()) {
      const auto delivery = next(stop);
      if (!delivery) continue;
      note(*delivery, transport_->send(*delivery, stop), stop);
    }
  }

  std::optional<Delivery> next(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    if (auto delivery = outbox_.take(clock_.steady_now())) return delivery;
    const auto now = clock_.steady_now();
    const auto next =
        std::min(outbox_.next_time().value_or(now + kLongestSleep), now + kLongestSleep);
    changed_.wait_for(lock, stop, std::max<SteadyTime::duration>(next - now, Milliseconds(1)),
                      [&] { return is_new_; });
    is_new_ = false;
    return std::nullopt;
  }

  void note(const Delivery& delivery, const Result<void>& sent, std::stop_token stop) {
    std::lock_guard lock(mutex_);
    if (!sent && stop.stop_requested()) return;  // it stays in the queue
    const auto what = to_string(delivery.event.type);
    if (sent) {
      outbox_.sent();
      last_success_ = clock_.now();
      is_full_ = false;
      if (!last_error_.empty()) log::info("notifications to {} arrive again", destination_.name);
      last_error_.clear();
      log::debug("{} was told of {}", destination_.name, what);
    } else {
      const auto& error = sent.error();
      const bool goes_on = outbox_.failed(error, clock_.steady_now());
      if (!goes_on) {
        log::error("notifications to {}: {} is given up after {} attempts: {}", destination_.name,
                   what, delivery.attempt, error.message());
      } else if (last_error_ != error.message()) {
        log::warning("notifications to {}: {} could not be sent, and is tried again: {}{}{}",
                     destination_.name, what, error.message(), error.hint().empty() ? "" : "; ",
                     error.hint());
      }
      last_error_ = error.message();
    }
    if (outbox_.empty()) told_.notify_all();
  }

  const Destination destination_;
  const std::unique_ptr<Transport> transport_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_, told_;
  Outbox outbox_;  // guarded, as are those below
  bool is_new_ = false;
  bool is_full_ = false;  // which is logged once
  std::string last_error_;
  Timestamp last_success_;
  std::jthread thread_;  // last: it uses all of the above
};

Notifier::Notifier(const Clock& clock, std::string host, MakeTransport transports)
    : clock_(clock), host_(std::move(host)), transports_(std::move(transports)) {}

Notifier::~Notifier() {
  stop();
}

void Notifier::configure(const std::vector<Destination>& destinations) {
  std::lock_guard lock(mutex_);
  auto former = std::exchange(couriers_, {});
  const auto take = [&](const std::string& name) -> std::unique_ptr<Courier> {
    for (auto& courier : former) {
      if (courier && courier->destination().name == name) return std::move(courier);
    }
    return nullptr;
  };
  for (const auto& destination : destinations) {
    auto old = take(destination.name);
    if (old && old->destination() == destination) {
      couriers_.push_back(std::move(old));
      continue;
    }
    auto transport =
        transports_ ? transports_(destination) : make_transport(destination, clock_, host_);
    auto courier = std::make_unique<Courier>(destination, std::move(transport), clock_);
    if (old) {
      old->request_stop();
      old->join();
      courier->take_over(*old);
    }
    courier->start();
    couriers_.push_back(std::move(courier));
  }
  for (auto& courier : former) {
    if (!courier) continue;
    courier->request_stop();
    courier->join();
    courier->drop_all();
  }
}

void Notifier::on_event(const Event& event) {
  std::lock_guard lock(mutex_);
  for (auto& courier : couriers_) courier->add(event);
}

bool Notifier::wait_until_told(Milliseconds longest) {
  const auto until = std::chrono::steady_clock::now() + longest;
  bool all = true;
  std::lock_guard lock(mutex_);
  for (auto& courier : couriers_) all = courier->wait_until_told(until) && all;
  return all;
}

void Notifier::stop() {
  std::lock_guard lock(mutex_);
  for (auto& courier : couriers_) courier->request_stop();
  for (auto& courier : couriers_) {
    courier->join();
    courier->drop_all();
  }
}

std::vector<DestinationStatus> Notifier::status() const {
  std::lock_guard lock(mutex_);
  std::vector<DestinationStatus> all;
  for (const auto& courier : couriers_) all.push_back(courier->status());
  return all;
}

}  // namespace pitr
