// One request by libcurl, whose headers stay in curl_request.cc. Of HTTP and SMTP alike:
// certificates are checked, redirects aren't followed, what is answered is bounded. Not
// thread-safe; a stop from another thread ends perform() at once.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/file.h"
#include "common/result.h"

namespace pitr {

class CurlRequest {
 public:
  enum class StartTls { kRequired, kOptional, kOff };

  // url: as curl takes it.
  static Result<CurlRequest> create(const std::string& url, Milliseconds timeout);
  CurlRequest(CurlRequest&&) noexcept;
  ~CurlRequest();

  void set_ca_file(const Path& file);
  void post(std::string body, const std::vector<std::string>& headers);
  void mail(const std::string& from, const std::vector<std::string>& to, std::string text,
            StartTls tls);
  void log_in(const std::string& user, const std::string& password);

  struct Answer {
    long status = 0;   // of HTTP or SMTP; 0: none came
    std::string text;  // the first kilobyte
  };
  // kTransient where no answer came, or it is not a success for curl; never with the URL. The
  // answer counts also then.
  Result<void> perform(Answer& answer, std::stop_token stop);

  struct State;

 private:
  explicit CurlRequest(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace pitr
