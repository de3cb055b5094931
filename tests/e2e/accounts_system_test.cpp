// Passwords and keys, and what the system has a part in: how chpasswd is started, who else is root, and a file that the file system does not
// let go.
#include <gtest/gtest.h>

#include <filesystem>
#include <iterator>

#include "tests/support/agent.hpp"
#include "tests/support/users.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;

const std::string kKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcd";
constexpr const char* kDone = "{\"return\": {}}";

class AccountsSystem : public testing::Test {
protected:
    static void SetUpTestSuite() {
        static const bool is_inside = (enter_guest_with_users(), true);
        EXPECT_TRUE(is_inside);
    }
    AccountsSystem() { make_homes(); }
    std::string ask(const std::string& request) { return host_.ask(request, milliseconds(60'000)); }
    Agent agent_{AgentOptions{.policy = "schema = 1\ninclude = [\"profile:compat\"]\n"}};
    HostClient host_{agent_.connect()};
};

TEST_F(AccountsSystem, ChpasswdGetsTheSecretByAPipeAndByNothingElseAndLeavesNoCore) {
    // In its place: who writes down what it is given.
    run_script(R"SH(cat > /home/given <<'END'
#!/bin/sh
{ tr '\0' ' ' < /proc/self/cmdline; echo "$0 $*"; env; echo "core $(ulimit -c)"; readlink /proc/self/fd/0; } > /home/seen
cat > /home/line
END
        chmod 0755 /home/given; mount --bind /home/given /usr/sbin/chpasswd)SH");
    const std::string secret = "sH0rt.One-7q";
    EXPECT_EQ(ask(command("guest-set-user-password", members({{"crypted", "false"},
                                                              {"username", in_quotes("alice")},
                                                              {"password", in_quotes(base64(secret))}}))),
              kDone);
    run_script("umount /usr/sbin/chpasswd");
    const std::string seen = read_file("/home/seen");
    EXPECT_EQ(seen.find(secret), std::string::npos) << seen;
    EXPECT_NE(seen.find("core 0\n"), std::string::npos) << seen;
    EXPECT_NE(seen.find("pipe:["), std::string::npos) << seen;
    EXPECT_EQ(read_file("/home/line"), "alice:" + secret + "\n");
}

// What only the rule for "any" accepts of him is decided, and meets nobody.
TEST_F(AccountsSystem, RootByAnotherNameGetsNothingByARuleForAnyUserBesideTheOneThatNamesHim) {
    run_script(
        "echo 'admin:x:0:0::/root:/bin/sh' >> /etc/passwd; echo 'admin:*:19000:0:99999:7:::' >> /etc/shadow");
    const Agent agent(AgentOptions{
        .policy =
            "schema = 1\n[[allow]]\nid = \"any\"\ncommands = [\"guest-set-user-password\"]\nusers = \"any\"\n"
            "crypted = \"any\"\n[[allow]]\nid = \"named\"\ncommands = [\"guest-set-user-password\"]\n"
            "users = [\"admin\"]\ncrypted = \"only\"\n"});
    HostClient host = agent.connect();
    const auto set = [&](const std::string& secret, const char* crypted) {
        return host.ask(
            command("guest-set-user-password", members({{"crypted", crypted},
                                                        {"username", in_quotes("admin")},
                                                        {"password", in_quotes(base64(secret))}})),
            milliseconds(60'000));
    };
    EXPECT_EQ(desc_of(set("a secret", "false")),
              "child process has failed to set user password: exit status 1");
    EXPECT_NE(read_file("/etc/shadow").find("\nadmin:*:"), std::string::npos);
    EXPECT_EQ(set("$6$salt$hash", "true"), kDone);
    EXPECT_NE(read_file("/etc/shadow").find("\nadmin:$6$salt$hash:"), std::string::npos);
}

// As a directory on a real file system has it; tmpfs knows no such mark.
TEST_F(AccountsSystem, KeysThatAreImmutableStayAndNothingIsLeftBesideThem) {
    run_script(
        R"(truncate -s 8M /home/image; mke2fs -q -t ext4 /home/image; mount -o loop /home/image /home/alice
        mkdir /home/alice/.ssh; printf '%s' kept > /home/alice/.ssh/authorized_keys; chown -R alice:alice /home/alice
        chattr +i /home/alice/.ssh/authorized_keys)");
    const std::string file = "/home/alice/.ssh/authorized_keys";
    for (const char* verb : {"add", "remove"}) {
        const std::string keys = verb == std::string_view("add") ? kKey : "kept";
        EXPECT_EQ(desc_of(ask(command(
                      "guest-ssh-" + std::string(verb) + "-authorized-keys",
                      members({{"username", in_quotes("alice")}, {"keys", "[" + in_quotes(keys) + "]"}})))),
                  "failed to write to '" + file + "': Operation not permitted");
    }
    EXPECT_EQ(read_file(file), "kept");
    EXPECT_EQ(std::distance(fs::directory_iterator("/home/alice/.ssh"), {}), 1);
    run_script("chattr -i /home/alice/.ssh/authorized_keys; umount /home/alice");
}

}  // namespace
}  // namespace sallyport::test
