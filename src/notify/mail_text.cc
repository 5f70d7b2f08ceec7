#include "notify/mail_text.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <ctime>

namespace pitr {

// An encoded word has 75 characters at most, of which 12 aren't text, and three encode a byte.
static constexpr std::size_t kLongestWordBytes = 20;

static bool continues_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

std::string encoded_header(const std::string& given) {
  auto text = given;
  for (auto& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  const bool is_ascii = std::ranges::all_of(text, [](char c) { return c >= 0; });
  // Something that looks encoded would be decoded.
  if (is_ascii && text.size() <= 200 && text.find("=?") == std::string::npos) return text;
  std::string encoded;
  for (std::size_t i = 0; i < text.size();) {
    auto end = std::min(i + kLongestWordBytes, text.size());
    while (end < text.size() && end > i + 1 && continues_character(text[end])) --end;
    encoded += encoded.empty() ? "=?UTF-8?Q?" : "\r\n =?UTF-8?Q?";
    for (; i < end; ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      const bool is_plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                            (byte >= 'a' && byte <= 'z');
      encoded += is_plain ? std::string(1, text[i]) : fmt::format("={:02X}", byte);
    }
    encoded += "?=";
  }
  return encoded;
}

static std::string date_text(Timestamp time) {
  const auto seconds = static_cast<std::time_t>(time.unix_us() / 1'000'000);
  static constexpr std::array kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto at = fmt::gmtime(seconds);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} +0000",
                     kDays[static_cast<std::size_t>(at.tm_wday)], at.tm_mday,
                     kMonths[static_cast<std::size_t>(at.tm_mon)], at.tm_year + 1900, at.tm_hour,
                     at.tm_min, at.tm_sec);
}

// Quoted-printable, whose lines are short whatever the text is.
static std::string encoded_body(const std::string& text) {
  std::string encoded;
  std::size_t column = 0;
  for (const char c : text) {
    if (c == '\n') {
      // A space before the end of a line would get lost.
      if (encoded.ends_with(' ')) encoded.replace(encoded.size() - 1, 1, "=20");
      encoded += "\r\n";
      column = 0;
      continue;
    }
    const bool is_plain = c >= ' ' && c <= '~' && c != '=' && !(c == '.' && column == 0);
    const auto next =
        is_plain ? std::string(1, c) : fmt::format("={:02X}", static_cast<unsigned char>(c));
    if (column + next.size() > 70) {
      encoded += "=\r\n";
      column = 0;
    }
    encoded += next;
    column += next.size();
  }
  return encoded;
}

static std::string body_text(const Event& event, const std::string& host) {
  auto body = event.message + "\n\n";
  const auto fix = event.details.find("fix");
  if (fix != event.details.end()) body += "What to do: " + fix->second + "\n\n";
  body += fmt::format("event:    {}\nseverity: {}\n", to_string(event.type),
                      to_string(severity_of(event.type)));
  if (!event.cluster.empty()) body += "cluster:  " + event.cluster + "\n";
  body += fmt::format("time:     {}\nhost:     {}\n", to_string(event.time), host);
  for (const auto& [name, value] : event.details) {
    if (name != "fix") body += fmt::format("{}: {}\n", name, value);
  }
  return body;
}

std::string mail_text(const Delivery& delivery, const std::string& from,
                      const std::vector<std::string>& to, const std::string& host, Timestamp now) {
  const auto& event = delivery.event;
  const auto domain = from.find('@') == std::string::npos ? host : from.substr(from.find('@') + 1);
  const auto subject =
      fmt::format("[pitr {}] {}{}: {}", to_string(severity_of(event.type)),
                  event.cluster.empty() ? host : event.cluster, "", to_string(event.type));
  return fmt::format(
      "Date: {}\r\nFrom: {}\r\nTo: {}\r\nSubject: {}\r\nMessage-ID: <{}@{}>\r\n"
      "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
      "Content-Type: text/plain; charset=utf-8\r\n"
      "Content-Transfer-Encoding: quoted-printable\r\n\r\n{}",
      date_text(now), from, fmt::join(to, ",\r\n "), encoded_header(subject), delivery.id, domain,
      encoded_body(body_text(event, host)));
}

}  // namespace pitr
