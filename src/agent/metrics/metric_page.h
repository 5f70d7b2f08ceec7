// One scrape's worth of metrics in Prometheus' text format, built sample by sample: samples of one
// name may come in any order. The library that writes it stays in metric_page.cc. Not thread-safe.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "common/clock.h"
#include "common/latency_histogram.h"

namespace pitr {

class MetricPage {
 public:
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

  MetricPage();
  ~MetricPage();

  // The help text of a name's first sample counts.
  void gauge(std::string_view name, std::string_view help, Labels labels, double value);
  void counter(std::string_view name, std::string_view help, Labels labels, double value);
  // Buckets in seconds.
  void histogram(std::string_view name, std::string_view help, Labels labels,
                 const LatencyHistogram::Snapshot& value);
  // In seconds since 1970; 0 for a time that is not set.
  void time(std::string_view name, std::string_view help, Labels labels, Timestamp value);

  std::string text() const;

 private:
  class Families;
  std::unique_ptr<Families> families_;
};

}  // namespace pitr
