// The conversations about passwords and keys of virsh, of OpenStack and of what puts keys into cloud images: what they send, as they send it, and
// what is then in the files.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/support/agent.hpp"
#include "tests/support/users.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

const std::string kFile = "/home/alice/.ssh/authorized_keys";
const std::string kKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcd";
constexpr const char* kDone = "{\"return\": {}}";
constexpr const char* kCompat = "schema = 1\ninclude = [\"profile:compat\"]\n";
// One of the keys is all that fits.
constexpr const char* kOneKey = R"(schema = 1
[[allow]]
id = "keys"
commands = ["guest-ssh-get-authorized-keys", "guest-ssh-add-authorized-keys", "guest-ssh-remove-authorized-keys"]
users = ["alice"]
key_types = ["ssh-ed25519"]
max_keys = 1
reset = true
)";

class AccountsClient : public testing::Test {
protected:
    static void SetUpTestSuite() {
        static const bool is_inside = (enter_guest_with_users(), true);
        EXPECT_TRUE(is_inside);
    }
    AccountsClient() { make_homes(); }
    // libvirt: a guest-sync when it has connected, no id.
    void serve(const char* policy) {
        agent_.emplace(AgentOptions{.policy = policy});
        ASSERT_TRUE(agent_->is_serving()) << agent_->messages();
        host_.emplace(agent_->connect());
        EXPECT_EQ(host_->ask("{\"execute\":\"guest-sync\", \"arguments\":{\"id\":1796075386651}}\n"),
                  "{\"return\": 1796075386651}");
    }
    std::string ask(const std::string& request) { return host_->ask(request + "\n", milliseconds(60'000)); }
    std::string keys(const std::string& verb, const std::string& list, const std::string& more = "") {
        return ask("{\"execute\":\"guest-ssh-" + verb +
                   "-authorized-keys\",\"arguments\":{\"username\":\"alice\",\"keys\":[" + list + "]" + more +
                   "}}");
    }
    std::string shown() {
        return ask(R"({"execute":"guest-ssh-get-authorized-keys","arguments":{"username":"alice"}})");
    }
    std::optional<Agent> agent_;
    std::optional<HostClient> host_;
};

// virsh 9.0 splits the file at its line ends, and takes what is behind the last for a key.
TEST_F(AccountsClient, VirshSetUserSshkeysOfAFileUnderARuleWithTypes) {
    serve(kOneKey);
    const std::string listed = in_quotes(kKey) + ",\"\"";
    EXPECT_EQ(keys("add", listed, ",\"reset\":false"), kDone);
    EXPECT_EQ(read_file(kFile), kKey + "\n");
    EXPECT_EQ(keys("add", listed, ",\"reset\":false"), kDone) << "again";
    EXPECT_EQ(read_file(kFile), kKey + "\n");
    EXPECT_EQ(shown(), "{\"return\": {\"keys\": [\"" + kKey + "\"]}}");
    EXPECT_EQ(keys("remove", listed), kDone);
    EXPECT_EQ(read_file(kFile), "");
    EXPECT_EQ(keys("add", listed, ",\"reset\":true"), kDone);
    EXPECT_NE(desc_of(keys("add", in_quotes(kKey + " b") + ",\"\"", ",\"reset\":false")), "")
        << "a second key";
    EXPECT_EQ(keys("add", "", ",\"reset\":true"), kDone) << "virsh set-user-sshkeys --reset";
    EXPECT_EQ(read_file(kFile), "");
}

// Nova: virDomainSetUserPassword of the image's os_admin_user, root if that says none.
TEST_F(AccountsClient, OpenstackServerSetPassword) {
    serve(kCompat);
    EXPECT_EQ(
        ask(R"({"execute":"guest-set-user-password","arguments":{"crypted":false,"username":"root","password":")" +
            base64("n0va: one") + "\"}}"),
        kDone);
    EXPECT_TRUE(has_password("root", "n0va: one"));
}

// KubeVirt's access credentials: the whole list at each change of the secret, for an image in which the user has no directory for keys yet.
TEST_F(AccountsClient, CloudImageGetsItsKeysAtEachChange) {
    serve(kCompat);
    for (const std::string& key : {kKey + " first", kKey + " first", kKey + " second"}) {
        EXPECT_EQ(keys("add", in_quotes(key), ",\"reset\":true"), kDone);
        EXPECT_EQ(read_file(kFile), key);
    }
    struct stat info{};
    ASSERT_EQ(::stat(kFile.c_str(), &info), 0);
    EXPECT_EQ(info.st_uid, kAlice);
    EXPECT_EQ(info.st_mode & 07777U, 0600U);
}

// By programs and files, where an agent is older than the commands for keys: a program makes the directory, the key is appended, a program gives
// it to the user.
TEST_F(AccountsClient, CloudImageGetsItsKeysByFileCommands) {
    serve(kCompat);
    const auto run = [&](const std::string& words) {
        const auto pid =
            result_of(ask(R"({"execute":"guest-exec","arguments":{"path":"/bin/sh","arg":["-c",)" +
                          in_quotes(words) + R"(],"capture-output":true}})"))
                .at("pid")
                .as_int64();
        boost::json::object ended;
        EXPECT_TRUE(eventually([&] {
            ended = result_of(ask("{\"execute\":\"guest-exec-status\",\"arguments\":{\"pid\":" +
                                  std::to_string(pid) + "}}"))
                        .as_object();
            return ended.at("exited").as_bool();
        }));
        EXPECT_EQ(ended.at("exitcode").as_int64(), 0) << words;
    };
    run("install -d -m 0700 -o alice -g alice /home/alice/.ssh");
    for (int boot = 0; boot < 2; ++boot) {
        const auto handle = result_of(ask(R"({"execute":"guest-file-open","arguments":{"path":")" + kFile +
                                          R"(","mode":"a"}})"))
                                .as_int64();
        const std::string of_it = "\"handle\":" + std::to_string(handle);
        EXPECT_EQ(result_of(ask(R"({"execute":"guest-file-write","arguments":{)" + of_it + ",\"buf-b64\":\"" +
                                base64(kKey + "\n") + "\"}}"))
                      .at("count")
                      .as_int64(),
                  static_cast<std::int64_t>(kKey.size() + 1));
        EXPECT_EQ(ask(R"({"execute":"guest-file-close","arguments":{)" + of_it + "}}"), kDone);
        run("chown alice:alice " + kFile + " && chmod 0600 " + kFile);
    }
    EXPECT_EQ(read_file(kFile), kKey + "\n" + kKey + "\n");
}

}  // namespace
}  // namespace sallyport::test
