#include "notify/curl_request.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace pitr {

static constexpr std::size_t kKeptAnswer = 1024;
static constexpr std::size_t kLongestAnswer = 256 * 1024;
static constexpr int kPollMs = 1000;

struct CurlRequest::State {
  CURL* easy = nullptr;
  CURLM* multi = nullptr;
  curl_slist* headers = nullptr;
  curl_slist* recipients = nullptr;
  std::string body;
  std::size_t body_sent = 0;
  std::string answer;
  std::size_t answer_size = 0;

  ~State() {
    if (multi && easy) curl_multi_remove_handle(multi, easy);
    if (easy) curl_easy_cleanup(easy);
    if (multi) curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
    curl_slist_free_all(recipients);
  }
};

static std::size_t take_answer(char* bytes, std::size_t, std::size_t count, void* user) {
  auto& state = *static_cast<CurlRequest::State*>(user);
  state.answer_size += count;
  const auto room = kKeptAnswer - std::min(kKeptAnswer, state.answer.size());
  state.answer.append(bytes, std::min(room, count));
  return state.answer_size > kLongestAnswer ? 0 : count;  // 0 ends the request
}

static std::size_t give_body(char* into, std::size_t size, std::size_t count, void* user) {
  auto& state = *static_cast<CurlRequest::State*>(user);
  const auto length = std::min(size * count, state.body.size() - state.body_sent);
  std::memcpy(into, state.body.data() + state.body_sent, length);
  state.body_sent += length;
  return length;
}

CurlRequest::CurlRequest(std::unique_ptr<State> state) : state_(std::move(state)) {}
CurlRequest::CurlRequest(CurlRequest&&) noexcept = default;
CurlRequest::~CurlRequest() = default;

Result<CurlRequest> CurlRequest::create(const std::string& url, Milliseconds timeout) {
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  auto state = std::make_unique<State>();
  state->easy = curl_easy_init();
  state->multi = curl_multi_init();
  if (initialised != CURLE_OK || !state->easy || !state->multi) {
    return Error::internal("libcurl can't be used");
  }
  auto* const easy = state->easy;
  const auto limit = static_cast<long>(timeout.count());
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https,smtp,smtps");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, limit);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, limit);
  // A name server that hangs must not hold up the end of the program.
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_answer);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, state.get());
  return CurlRequest(std::move(state));
}

void CurlRequest::set_ca_file(const Path& file) {
  curl_easy_setopt(state_->easy, CURLOPT_CAINFO, file.c_str());
}

void CurlRequest::post(std::string body, const std::vector<std::string>& headers) {
  state_->body = std::move(body);
  for (const auto& header : headers) {
    state_->headers = curl_slist_append(state_->headers, header.c_str());
  }
  // Without it curl may wait a second for a "100 Continue".
  state_->headers = curl_slist_append(state_->headers, "Expect:");
  curl_easy_setopt(state_->easy, CURLOPT_HTTPHEADER, state_->headers);
  curl_easy_setopt(state_->easy, CURLOPT_POSTFIELDS, state_->body.data());
  curl_easy_setopt(state_->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                   static_cast<curl_off_t>(state_->body.size()));
}

void CurlRequest::mail(const std::string& from, const std::vector<std::string>& to,
                       std::string text, StartTls tls) {
  state_->body = std::move(text);
  for (const auto& address : to) {
    state_->recipients = curl_slist_append(state_->recipients, address.c_str());
  }
  auto* const easy = state_->easy;
  const long use = tls == StartTls::kRequired   ? CURLUSESSL_ALL
                   : tls == StartTls::kOptional ? CURLUSESSL_TRY
                                                : CURLUSESSL_NONE;
  curl_easy_setopt(easy, CURLOPT_USE_SSL, use);
  curl_easy_setopt(easy, CURLOPT_MAIL_FROM, from.c_str());
  curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, state_->recipients);
  curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
  curl_easy_setopt(easy, CURLOPT_READDATA, state_.get());
}

void CurlRequest::log_in(const std::string& user, const std::string& password) {
  curl_easy_setopt(state_->easy, CURLOPT_USERNAME, user.c_str());
  curl_easy_setopt(state_->easy, CURLOPT_PASSWORD, password.c_str());
}

Result<void> CurlRequest::perform(Answer& answer, std::stop_token stop) {
  auto* const multi = state_->multi;
  curl_multi_add_handle(multi, state_->easy);
  const std::stop_callback wake(stop, [multi] { curl_multi_wakeup(multi); });
  int running = 1;
  while (true) {
    if (stop.stop_requested()) return Error::cancelled("a stop was asked for");
    if (curl_multi_perform(multi, &running) != CURLM_OK) return Error::internal("libcurl fails");
    if (running == 0) break;
    curl_multi_poll(multi, nullptr, 0, kPollMs, nullptr);
  }
  int left = 0;
  const auto* message = curl_multi_info_read(multi, &left);
  const auto code = message ? message->data.result : CURLE_FAILED_INIT;
  curl_easy_getinfo(state_->easy, CURLINFO_RESPONSE_CODE, &answer.status);
  answer.text = std::move(state_->answer);
  if (code == CURLE_OK) return {};
  // Too long an answer is one all the same.
  if (code == CURLE_WRITE_ERROR && state_->answer_size > kLongestAnswer) return {};
  return Error::transient(curl_easy_strerror(code));
}

}  // namespace pitr
