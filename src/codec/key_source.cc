// Keys as text, and where that text comes from: a file, the environment, a command.
#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "codec/keyring.h"

namespace pitr {

static constexpr std::size_t kTextLimit = 4096;
static constexpr std::size_t kHexLength = 64;
static constexpr std::size_t kBase64Length = 44;
static constexpr std::string_view kKeyHint =
    "a key is 32 bytes, as 64 hexadecimal digits or in base64; \"pitr init\" makes one";

namespace {
// Text that is wiped when it goes.
struct SecretText {
  std::string text;
  SecretText() = default;
  explicit SecretText(std::string value) : text(std::move(value)) {}
  SecretText(const SecretText&) = delete;
  SecretText& operator=(const SecretText&) = delete;
  ~SecretText() { wipe(text); }
};

// A child process that does not outlive its owner.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ > 0) {
      ::kill(-pid_, SIGKILL);
      wait();
    }
  }
  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return status;
  }

 private:
  pid_t pid_;
};
}  // namespace

static std::string_view trimmed(std::string_view text) {
  static constexpr std::string_view kSpace = " \t\r\n\f\v";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

static Result<Secret256> parse_base64(std::string_view digits) {
  SecretText padded{std::string(digits)};
  if (padded.text.size() == kBase64Length - 1) padded.text += '=';
  std::array<std::uint8_t, kBase64Length / 4 * 3> bytes{};
  const bool is_key =
      padded.text.size() == kBase64Length && padded.text.find('=') == kBase64Length - 1 &&
      EVP_DecodeBlock(bytes.data(), reinterpret_cast<const unsigned char*>(padded.text.data()),
                      kBase64Length) == static_cast<int>(bytes.size());
  auto secret = Secret256::from_bytes(ByteView(bytes).first(32));
  wipe(bytes);
  if (is_key) return secret;
  return Error::invalid("the text given as key is not a key").with_hint(std::string(kKeyHint));
}

Result<KeyEncryptionKey> KeyEncryptionKey::parse(std::string_view text) {
  const auto digits = trimmed(text);
  if (digits.size() != kHexLength) {
    auto secret = TRY(parse_base64(digits));
    return KeyEncryptionKey(std::move(secret));
  }
  auto bytes = from_hex(digits);
  if (!bytes.has_value()) {
    return Error::invalid("the text given as key is not a key").with_hint(std::string(kKeyHint));
  }
  auto secret = Secret256::from_bytes(*bytes);
  wipe(*bytes);
  auto valid = TRY(std::move(secret));
  return KeyEncryptionKey(std::move(valid));
}

std::string KeyEncryptionKey::to_text() const {
  std::array<unsigned char, kBase64Length + 1> text{};
  EVP_EncodeBlock(text.data(), secret_.bytes().data(), 32);
  std::string result(reinterpret_cast<const char*>(text.data()), kBase64Length);
  wipe(text);
  return result + "\n";
}

Result<KeyEncryptionKey> read_key_file(const Path& path) {
  auto opened = File::open(path, O_RDONLY);
  if (!opened.has_value()) {
    return Error::denied("there is no key: " + opened.error().message())
        .with_hint(
            "put the repository's key there (\"pitr init\" makes one for a new repository) "
            "and let the user that runs pitr read it");
  }
  struct stat status{};
  if (::fstat(opened->fd(), &status) != 0) return Error::from_errno(errno, path.string());
  if (S_ISREG(status.st_mode) && (status.st_mode & (S_IROTH | S_IWOTH)) != 0) {
    return Error::denied(fmt::format("everybody may read or write the key file {}", path.string()))
        .with_hint(fmt::format("chmod o= {}", path.string()));
  }
  SecretText text(std::string(kTextLimit, '\0'));
  const auto size = TRY(opened->read_at(
      MutableByteView(reinterpret_cast<std::uint8_t*>(text.text.data()), text.text.size()), 0));
  return with_context(KeyEncryptionKey::parse(std::string_view(text.text).substr(0, size)),
                      "key file " + path.string());
}

Result<KeyEncryptionKey> read_key_environment(const std::string& variable) {
  const char* value = std::getenv(variable.c_str());
  if (value == nullptr || *value == '\0') {
    return Error::denied(
               fmt::format("there is no key: the environment variable {} is not set", variable))
        .with_hint("set it to the repository's key");
  }
  return with_context(KeyEncryptionKey::parse(value), "environment variable " + variable);
}

static Result<pid_t> spawn_shell(const std::string& command, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  // A process group of its own, so that what the shell starts is ended with it.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::string shell = "sh", option = "-c", text = command;
  std::array<char*, 4> arguments{shell.data(), option.data(), text.data(), nullptr};
  pid_t pid = 0;
  const int failure =
      ::posix_spawn(&pid, "/bin/sh", &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failure != 0) return Error::from_errno(failure, "starting the key command");
  return pid;
}

// Until the command closes its output.
static Result<std::size_t> read_output(int fd, MutableByteView into, SteadyTime deadline) {
  std::size_t size = 0;
  while (size < into.size()) {
    const auto left = std::chrono::ceil<Milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return Error::denied("the key command takes too long");
    pollfd waiting{fd, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(left.count()));
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    const auto count = ::read(fd, into.data() + size, into.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::from_errno(errno, "reading the key command's output");
    if (count == 0) return size;
    size += static_cast<std::size_t>(count);
  }
  return Error::invalid("the key command prints more than a key");
}

Result<KeyEncryptionKey> run_key_command(const std::string& command, Seconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Error::from_errno(errno, "making a pipe");
  const UniqueFd output(ends[0]);
  UniqueFd input(ends[1]);
  const auto pid = TRY(spawn_shell(command, input.get()));
  Child child(pid);
  input.reset();
  SecretText text(std::string(kTextLimit, '\0'));
  const auto size = TRY(read_output(
      output.get(),
      MutableByteView(reinterpret_cast<std::uint8_t*>(text.text.data()), text.text.size()),
      deadline));
  const int status = child.wait();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return Error::denied(WIFEXITED(status)
                             ? fmt::format("there is no key: the key command exits with {}",
                                           WEXITSTATUS(status))
                             : fmt::format("there is no key: signal {} ended the key command",
                                           WTERMSIG(status)))
        // The command itself may hold a token, and this goes into logs.
        .with_hint("run the configuration's key_command by hand, as the user that runs pitr");
  }
  return with_context(KeyEncryptionKey::parse(std::string_view(text.text).substr(0, size)),
                      "output of the key command");
}

Result<void> create_key_file(const Path& path, const KeyEncryptionKey& key) {
  auto file = TRY(File::open(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  SecretText text(key.to_text());
  TRY(file.append(as_bytes(text.text)));
  TRY(file.sync());
  TRY(file.close());
  return sync_directory(path.parent_path().empty() ? Path(".") : path.parent_path());
}

}  // namespace pitr
