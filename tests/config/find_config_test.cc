#include <unistd.h>

#include <fstream>
#include <map>

#include "config/load.h"

namespace pitr {
namespace {

class FindConfigTest : public testing::Test {
 protected:
  FindConfigTest() {
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_ / "xdg" / "pitr");
    std::filesystem::create_directories(directory_ / "home" / ".config" / "pitr");
    search_.environment = [this](const char* name) -> std::optional<std::string> {
      const auto found = environment_.find(name);
      if (found == environment_.end()) return std::nullopt;
      return found->second;
    };
    search_.system_file = directory_ / "etc.yaml";
  }
  ~FindConfigTest() override { std::filesystem::remove_all(directory_); }

  static void touch(const Path& file) { std::ofstream(file) << "\n"; }

  const Path directory_ =
      Path(testing::TempDir()) / ("pitr-find-config-" + std::to_string(::getpid()));
  std::map<std::string, std::string> environment_;
  ConfigSearch search_;
};

TEST_F(FindConfigTest, TheOptionComesFirstThenTheEnvironment) {
  touch(search_.system_file);
  environment_["PITR_CONFIG"] = "/from/environment";
  EXPECT_EQ(find_config_file(search_).value(), "/from/environment");
  search_.from_option = "/from/option";
  EXPECT_EQ(find_config_file(search_).value(), "/from/option");
}

TEST_F(FindConfigTest, TheSystemsFileComesBeforeTheUsers) {
  environment_["XDG_CONFIG_HOME"] = (directory_ / "xdg").string();
  environment_["HOME"] = (directory_ / "home").string();
  touch(directory_ / "xdg/pitr/pitr.yaml");
  EXPECT_EQ(find_config_file(search_).value(), directory_ / "xdg/pitr/pitr.yaml");
  touch(search_.system_file);
  EXPECT_EQ(find_config_file(search_).value(), search_.system_file);
}

TEST_F(FindConfigTest, WithoutXdgTheUsersFileIsInDotConfig) {
  environment_["HOME"] = (directory_ / "home").string();
  touch(directory_ / "home/.config/pitr/pitr.yaml");
  EXPECT_EQ(find_config_file(search_).value(), directory_ / "home/.config/pitr/pitr.yaml");
}

TEST_F(FindConfigTest, WhereThereIsNoneThePlacesAreNamed) {
  environment_["XDG_CONFIG_HOME"] = "/nonexistent";
  const auto found = find_config_file(search_);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(found.error().message(), "there is no configuration file (looked for " +
                                         search_.system_file.string() +
                                         ", /nonexistent/pitr/pitr.yaml)");
}

}  // namespace
}  // namespace pitr
