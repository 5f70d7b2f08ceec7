// A scrape's text as values. Parses what the agent writes, not all that Prometheus' format allows.
#pragma once

#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>

#include "http/client.h"
#include "support/must.h"

namespace pitr::test {

struct Scrape {
  std::string text;
  std::map<std::string, double> samples;     // by name with labels, as written
  std::map<std::string, std::string> types;  // by name

  static Scrape parse(std::string text) {
    Scrape scrape;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("# TYPE ")) {
        const auto space = line.rfind(' ');
        scrape.types[line.substr(7, space - 7)] = line.substr(space + 1);
      } else if (!line.starts_with("#")) {
        const auto space = line.rfind(' ');
        scrape.samples[line.substr(0, space)] = std::stod(line.substr(space + 1));
      }
    }
    scrape.text = std::move(text);
    return scrape;
  }
  static Scrape take(const Path& socket) {
    const auto response =
        must(http::Client(socket).send(must(http::Request::create("GET", "/metrics"))));
    if (response.status != 200) throw std::runtime_error("the scrape failed: " + response.body);
    return parse(response.body);
  }

  // Of cluster main, with further labels as they are written: value("pitr_x", R"(,type="full")").
  double value(const std::string& name, const std::string& labels = "") const {
    return sample(name + "{cluster=\"main\"" + labels + "}");
  }
  // NaN where there is none: it compares with nothing.
  double sample(const std::string& full_name) const {
    const auto found = samples.find(full_name);
    return found == samples.end() ? std::nan("") : found->second;
  }
  bool has(const std::string& name, const std::string& labels = "") const {
    return samples.contains(name + "{cluster=\"main\"" + labels + "}");
  }

  // What must never go down while the process lives.
  std::map<std::string, double> counters() const {
    std::map<std::string, double> found;
    for (const auto& [name, number] : samples) {
      const auto family = name.substr(0, name.find('{'));
      const auto type = types.find(family);
      const bool is_histogram = family.ends_with("_bucket") || family.ends_with("_count");
      if (is_histogram || (type != types.end() && type->second == "counter")) found[name] = number;
    }
    return found;
  }

  // Every value of every label, by the label's name.
  std::map<std::string, std::set<std::string>> label_values() const {
    std::map<std::string, std::set<std::string>> found;
    for (const auto& [name, number] : samples) {
      for (auto at = name.find('{'); at != std::string::npos && at + 1 < name.size();) {
        const auto equals = name.find("=\"", at);
        if (equals == std::string::npos) break;
        const auto end = name.find('"', equals + 2);
        found[name.substr(at + 1, equals - at - 1)].insert(
            name.substr(equals + 2, end - equals - 2));
        at = name.find(',', end);
      }
    }
    return found;
  }
};

}  // namespace pitr::test
