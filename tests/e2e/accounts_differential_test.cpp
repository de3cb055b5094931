// guest-set-user-password and guest-ssh-*-authorized-keys: the same to Debian's qemu-ga and to our agent under the compat profile, with the
// same users in the same guest: replies, and what is in the files afterwards, but for what docs/compatibility.md lists.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <regex>

#include "tests/support/agent.hpp"
#include "tests/support/qemu_ga.hpp"
#include "tests/support/users.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

const std::string kFile = "/home/alice/.ssh/authorized_keys";
const std::string kSsh = "guest-ssh-";

class AccountsBeside : public testing::Test {
protected:
    static void SetUpTestSuite() {
        static const bool is_inside = (enter_guest_with_users(), true);
        EXPECT_TRUE(is_inside);
    }
    // Nothing: there is no file.
    static void begin_with(const std::optional<std::string>& text) {
        make_homes();
        if (!text) return;
        fs::create_directories("/home/alice/.ssh");
        std::ofstream(kFile) << *text;
        run_script("chown -R alice:alice /home/alice/.ssh; chmod 0640 " + kFile);
    }
    static std::string state() {
        std::string text;
        for (const char* path : {"/home/alice/.ssh", "/home/alice/.ssh/authorized_keys"}) {
            struct stat info{};
            if (::lstat(path, &info) != 0) continue;
            text += std::to_string(info.st_mode) + " " + std::to_string(info.st_uid) + " " +
                    std::to_string(info.st_gid) + "\n";
        }
        return fs::exists(kFile) ? text + read_file(kFile) : text;
    }
    // GLib repeats what the system says in words of its own.
    std::pair<std::string, std::string> play(HostClient& host, const std::optional<std::string>& text,
                                             const std::string& request) {
        begin_with(text);
        const std::string reply = host.ask(request, milliseconds(60'000));
        return {reply, state()};
    }
    void compare(const std::optional<std::string>& text, const std::string& request) {
        const auto theirs = play(theirs_, text, request);
        const auto ours = play(ours_, text, request);
        EXPECT_EQ(ours.first, theirs.first) << request;
        EXPECT_EQ(ours.second, theirs.second) << request;
    }
    QemuGa qemu_{"", "/usr/sbin:/usr/bin:/sbin:/bin"};
    Agent agent_{AgentOptions{.policy = "schema = 1\ninclude = [\"profile:compat\"]\n"}};
    HostClient theirs_{qemu_.socket()};
    HostClient ours_{agent_.connect()};
};

TEST_F(AccountsBeside, KeysAndWhatIsInTheFileAfterwards) {
    for (const std::optional<std::string>& text :
         {std::optional<std::string>(), std::optional(""s), std::optional("one"s),
          std::optional("one\ntwo\n"s), std::optional("# c\n\n  two \none\r\none\n\n#d"s),
          std::optional("m\xc3\xbcller\n\t\nthree"s)}) {
        compare(text, command(kSsh + "get-authorized-keys", R"({"username":"alice"})"));
        for (const char* keys : {R"(["one"])", R"(["new","two","new"])", R"([])", R"([""])",
                                 R"(["a\rb","  two "])", R"(["m\u00fcller"])"}) {
            const std::string start = R"({"username":"alice","keys":)"s + keys;
            compare(text, command(kSsh + "remove-authorized-keys", start + "}"));
            compare(text, command(kSsh + "add-authorized-keys", start + "}"));
            compare(text, command(kSsh + "add-authorized-keys", start + R"(,"reset":false})"));
            compare(text, command(kSsh + "add-authorized-keys", start + R"(,"reset":true})"));
        }
    }
}

TEST_F(AccountsBeside, ErrorsOfKeys) {
    for (const char* arguments :
         {"{}", R"({"username":5})", R"({"username":"alice"})", R"({"username":"nosuchuser"})",
          R"({"username":"alice","keys":"x"})", R"({"username":"alice","keys":[1]})",
          R"({"username":"alice","keys":["#k"]})", R"({"username":"nosuchuser","keys":["#k"]})",
          R"({"username":"alice","keys":["a","b\nc"]})", R"({"username":"nosuchuser","keys":["k"]})",
          R"({"username":"alice","more":1})", R"({"username":"alice","keys":["k"],"reset":1})"})
        for (const char* name : {"get", "add", "remove"})
            compare(std::nullopt, command(kSsh + name + "-authorized-keys", arguments));
}

TEST_F(AccountsBeside, PasswordsAndTheirErrors) {
    for (const char* arguments :
         {"{}", R"({"username":"alice","password":"eA=="})", R"({"username":"alice","crypted":false})",
          R"({"username":"alice","password":"eA==","crypted":"no"})",
          R"({"username":1,"password":"eA==","crypted":true})",
          R"({"username":"alice","password":"!","crypted":false})",
          R"({"username":"a:b","password":"eA==","crypted":false})",
          R"({"username":"a\nb","password":"eA==","crypted":false})",
          R"({"username":"a:b","password":"eAo=","crypted":false})",
          R"({"username":"alice","password":"eAp5","crypted":true})",
          R"({"username":"alice","password":"!","crypted":false,"more":1})",
          R"({"username":"a:b","password":"!","crypted":false})"})
        compare(std::nullopt, command("guest-set-user-password", arguments));
    for (const char* good : {R"({"username":"alice","password":"c2VjcmV0IG9uZQ==","crypted":false})",
                             R"({"username":"alice","password":"c2VjcmV0IG9uZQ==\n","crypted":false})"}) {
        compare(std::nullopt, command("guest-set-user-password", good));
        EXPECT_TRUE(has_password("alice", "secret one"));
    }
    compare(std::nullopt, command("guest-set-user-password",
                                  R"({"username":"alice","password":"JDYkYWIkaGFzaA==","crypted":true})"));
    EXPECT_EQ(hash_of("alice"), "$6$ab$hash");
    // Only later versions tell the status of chpasswd.
    const auto unknown = command("guest-set-user-password",
                                 R"({"username":"nosuchuser","password":"c2VjcmV0","crypted":false})");
    EXPECT_EQ(desc_of(theirs_.ask(unknown)), "child process has failed to set user password");
    EXPECT_EQ(desc_of(ours_.ask(unknown)), "child process has failed to set user password: exit status 1");
}

}  // namespace
}  // namespace sallyport::test
