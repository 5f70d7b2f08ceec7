// What pitr check found. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/error.h"

namespace pitr {

enum class Severity : std::uint8_t { kOk, kWarning, kProblem };
std::string_view to_string(Severity severity);

// Of findings that are told as events of their own.
inline constexpr std::string_view kFreeSpaceSubject = "free space";
inline constexpr std::string_view kStreamingSubject = "streaming";

struct Finding {
  Severity severity = Severity::kOk;
  std::string cluster;  // empty: of the repository or the machine
  std::string subject;  // "wal_level"
  std::string message;
  std::string fix;  // one line; empty when ok
};

class Findings {
 public:
  // Those that follow are of this cluster.
  void begin(std::string cluster) { cluster_ = std::move(cluster); }
  void ok(std::string subject, std::string message) {
    add(Severity::kOk, std::move(subject), std::move(message), "");
  }
  void warning(std::string subject, std::string message, std::string fix) {
    add(Severity::kWarning, std::move(subject), std::move(message), std::move(fix));
  }
  void problem(std::string subject, std::string message, std::string fix) {
    add(Severity::kProblem, std::move(subject), std::move(message), std::move(fix));
  }
  // The error's hint is the fix, unless there is none.
  void problem(std::string subject, const Error& error, const std::string& fix = "") {
    add(Severity::kProblem, std::move(subject), error.message(),
        error.hint().empty() ? fix : error.hint());
  }

  // Warnings and problems with it: what was found is known to be over.
  void forget_trouble_with(std::string_view subject);

  const std::vector<Finding>& all() const { return findings_; }
  std::size_t count(Severity severity) const;

 private:
  void add(Severity severity, std::string subject, std::string message, std::string fix) {
    findings_.push_back(
        {severity, cluster_, std::move(subject), std::move(message), std::move(fix)});
  }
  std::string cluster_;
  std::vector<Finding> findings_;
};

// Logs which problems and warnings of a cluster are new since the check before, and which are gone.
void log_changes(const std::string& cluster, const Findings& before, const Findings& after);

std::string to_text(const Findings& findings);
std::string to_json_text(const Findings& findings);

}  // namespace pitr
