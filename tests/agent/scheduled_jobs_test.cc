// What the agent does by itself, with real servers, one of which hangs.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <nlohmann/json.hpp>

#include "agent/agent.h"
#include "agent/pitr_site.h"
#include "storage/memory/memory_storage.h"

namespace pitr::test {
namespace {

using Json = nlohmann::json;

// Takes connections on loopback, and never says a word.
class SilentServer {
 public:
  SilentServer() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(fd_.get(), generic, size) != 0 || ::listen(fd_.get(), 100) != 0 ||
        ::getsockname(fd_.get(), generic, &size) != 0) {
      throw std::runtime_error("listening on loopback");
    }
    port_ = ntohs(address.sin_port);
  }
  int port() const { return port_; }

 private:
  UniqueFd fd_;
  int port_ = 0;
};

Json job_of(const Json& cluster, const std::string& name) {
  for (const auto& job : cluster.at("agent").at("jobs")) {
    if (job.at("job") == name) return job;
  }
  return {};
}

TEST(ScheduledJobs, OneClusterIsBackedUpWhileTheOthersAreInTrouble) {
  auto cluster = started_cluster();
  const SilentServer silent;
  const PitrSite site(cluster.conninfo(), cluster.data_directory(), "{jitter: 0s}");
  const auto yaml = must(read_text_file(site.config_file()));
  write_text(site.config_file(),
             yaml + fmt::format("  away:\n    connection: host=/nonexistent\n"
                                "  silent:\n    connection: host=127.0.0.1 port={}\n",
                                silent.port()));
  SystemClock clock;
  MemoryStorage storage(clock);
  const auto repository = must(Repository::init(storage, std::nullopt));
  auto agent = must(Agent::start(site.config(), *repository, clock));
  const http::Client client(site.socket());
  const auto status = [&](const std::string& name) {
    const auto target = fmt::format("/v1/clusters/{}/status", name);
    return Json::parse(must(client.send(must(http::Request::create("GET", target)))).body);
  };
  // The first backup, which is an independent one, expiry and a check, all without being asked.
  EXPECT_TRUE(eventually(
      [&] {
        const auto main = status("main");
        return job_of(main, "independent").at("last").is_object() &&
               job_of(main, "expire").at("last").is_object() &&
               main.at("agent").at("check").is_object();
      },
      Seconds(60)));
  const auto main = status("main");
  EXPECT_EQ(main.at("repository").at("backup_count"), 1);
  for (const auto* name : {"independent", "expire"}) {
    EXPECT_EQ(job_of(main, name).at("last").at("outcome"), "success") << main.dump(2);
    EXPECT_EQ(job_of(main, name).at("failures"), 0);
  }
  EXPECT_EQ(job_of(main, "backup").at("schedule"), "0 1 * * *");
  EXPECT_TRUE(job_of(main, "backup").at("next").is_string());

  EXPECT_TRUE(eventually([&] { return job_of(status("away"), "independent").at("failures") > 0; }));
  const auto away = status("away");
  EXPECT_THAT(job_of(away, "independent").at("last").at("error").get<std::string>(),
              testing::HasSubstr("/nonexistent"));
  EXPECT_GT(away.at("agent").at("check").at("problems"), 0);
  EXPECT_TRUE(job_of(status("silent"), "independent").at("running_since").is_string());

  // One by hand meanwhile, which counts.
  const auto request = must(http::Request::create("POST", "/v1/clusters/main/backups", "{}"));
  std::string last;
  must(client.for_each_line(request, [&](std::string_view line) {
    last = line;
    return Result<void>();
  }));
  EXPECT_THAT(last, testing::HasSubstr(R"("event":"done")"));
  EXPECT_EQ(status("main").at("repository").at("backup_count"), 2);

  // Nobody waits for the silent one.
  const auto before = std::chrono::steady_clock::now();
  agent.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - before, Seconds(10));
}

}  // namespace
}  // namespace pitr::test
