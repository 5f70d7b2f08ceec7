#include "agent/metrics/metric_page.h"

#include <prometheus/text_serializer.h>

#include <limits>
#include <map>
#include <sstream>
#include <vector>

namespace pitr {

class MetricPage::Families {
 public:
  prometheus::ClientMetric& add(std::string_view name, std::string_view help,
                                prometheus::MetricType type, Labels labels) {
    auto found = by_name_.find(name);
    if (found == by_name_.end()) {
      found = by_name_.emplace(name, families_.size()).first;
      families_.push_back({std::string(name), std::string(help), type, {}});
    }
    auto& metric = families_[found->second].metric.emplace_back();
    for (const auto& [label, value] : labels) {
      metric.label.push_back({std::string(label), std::string(value)});
    }
    return metric;
  }
  const std::vector<prometheus::MetricFamily>& all() const { return families_; }

 private:
  std::vector<prometheus::MetricFamily> families_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
};

MetricPage::MetricPage() : families_(std::make_unique<Families>()) {}
MetricPage::~MetricPage() = default;

void MetricPage::gauge(std::string_view name, std::string_view help, Labels labels, double value) {
  families_->add(name, help, prometheus::MetricType::Gauge, labels).gauge.value = value;
}

void MetricPage::counter(std::string_view name, std::string_view help, Labels labels,
                         double value) {
  families_->add(name, help, prometheus::MetricType::Counter, labels).counter.value = value;
}

void MetricPage::time(std::string_view name, std::string_view help, Labels labels,
                      Timestamp value) {
  gauge(name, help, labels, static_cast<double>(value.unix_us()) / 1e6);
}

void MetricPage::histogram(std::string_view name, std::string_view help, Labels labels,
                           const LatencyHistogram::Snapshot& value) {
  auto& histogram = families_->add(name, help, prometheus::MetricType::Histogram, labels).histogram;
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < value.counts.size(); ++i) {
    cumulative += value.counts[i];
    const bool is_last = i == LatencyHistogram::kBoundsUs.size();
    const double bound = is_last ? std::numeric_limits<double>::infinity()
                                 : static_cast<double>(LatencyHistogram::kBoundsUs[i]) / 1e6;
    histogram.bucket.push_back({cumulative, bound});
  }
  histogram.sample_count = cumulative;
  histogram.sample_sum = static_cast<double>(value.sum_us) / 1e6;
}

std::string MetricPage::text() const {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families_->all());
  return std::move(out).str();
}

}  // namespace pitr
