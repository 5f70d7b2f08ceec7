#include "agent/metrics/metric_page.h"
#include "agent/metrics/metrics.h"

namespace pitr {

void write_notifications(MetricPage& page, const std::vector<DestinationStatus>& destinations) {
  for (const auto& [name, counts, last_error, last_success] : destinations) {
    const auto count = [&, &label = name](std::string_view outcome, std::uint64_t value) {
      page.counter("pitr_notifications_total", "Messages, and what became of them.",
                   {{"destination", label}, {"outcome", outcome}}, static_cast<double>(value));
    };
    count("success", counts.sent);
    count("failure", counts.failed);
    count("dropped", counts.dropped);
    count("collapsed", counts.collapsed);
    page.gauge("pitr_notifications_pending", "Messages that are still to be delivered.",
               {{"destination", name}}, static_cast<double>(counts.pending));
    page.time("pitr_notification_last_success_timestamp_seconds",
              "When a message was last delivered; 0: none was.", {{"destination", name}},
              last_success);
  }
}

}  // namespace pitr
