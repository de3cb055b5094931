// guest-set-user-password and guest-ssh-*-authorized-keys with real users, chpasswd and files: what is done, as whom, what a user can do about
// it, what is left of a secret, and what the clients of libvirt, KubeVirt and Proxmox get to hear.
#include <cap-ng.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "tests/files/fuse_server.hpp"
#include "tests/support/agent.hpp"
#include "tests/support/audit.hpp"
#include "tests/support/users.hpp"

namespace sallyport::test {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

const std::string kFile = "/home/alice/.ssh/authorized_keys";
const std::string kKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcd";
constexpr const char* kRules = R"(schema = 1
[[allow]]
id = "alice"
commands = ["@accounts"]
users = ["alice"]
crypted = "any"
key_types = ["ssh-ed25519"]
max_keys = 3
)";
constexpr const char* kCompat = "schema = 1\ninclude = [\"profile:compat\"]\n";

std::string set_password(std::string_view user, std::string_view password, bool crypted = false) {
    return command("guest-set-user-password", members({{"crypted", crypted ? "true" : "false"},
                                                       {"username", in_quotes(user)},
                                                       {"password", in_quotes(base64(password))}}));
}
std::string list_of(const std::vector<std::string>& keys) {
    std::string text;
    for (const std::string& key : keys) text += (text.empty() ? "" : ",") + in_quotes(key);
    return "[" + text + "]";
}
std::string get_keys(std::string_view user) {
    return command("guest-ssh-get-authorized-keys", members({{"username", in_quotes(user)}}));
}
std::string add_keys(std::string_view user, const std::vector<std::string>& keys,
                     std::string_view reset = "false") {
    return command("guest-ssh-add-authorized-keys",
                   members({{"username", in_quotes(user)}, {"keys", list_of(keys)}, {"reset", reset}}));
}
std::string remove_keys(std::string_view user, const std::vector<std::string>& keys) {
    return command("guest-ssh-remove-authorized-keys",
                   members({{"username", in_quotes(user)}, {"keys", list_of(keys)}}));
}
constexpr const char* kDone = "{\"return\": {}}";

class Accounts : public testing::Test {
protected:
    static void SetUpTestSuite() {
        static const bool is_inside = (enter_guest_with_users(), true);
        EXPECT_TRUE(is_inside);
    }
    Accounts() { make_homes(); }
    void serve(const std::string& policy = kRules) {
        agent_.emplace(AgentOptions{.policy = policy});
        ASSERT_TRUE(agent_->is_serving()) << agent_->messages();
        host_.emplace(agent_->connect());
    }
    std::string ask(const std::string& request) { return host_->ask(request, milliseconds(60'000)); }
    static void write(const std::string& text, mode_t mode = 0600) {
        fs::create_directories("/home/alice/.ssh");
        std::ofstream(kFile) << text;
        run_script("chown -R alice:alice /home/alice/.ssh");
        ::chmod(kFile.c_str(), mode);
    }
    // Whose it is, and its permissions.
    static std::string status_of(const std::string& path) {
        struct stat info{};
        EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
        std::ostringstream text;
        text << info.st_uid << ':' << info.st_gid << ' ' << std::oct << (info.st_mode & 07777U);
        return text.str();
    }
    static bool is_refused(const std::string& reply) {
        return desc_of(reply).find(": Operation not permitted (denial ") != std::string::npos;
    }
    std::optional<Agent> agent_;
    std::optional<HostClient> host_;
};

TEST_F(Accounts, PasswordOfTheNamedUserIsSet) {
    serve();
    EXPECT_EQ(ask(set_password("alice", "a new: one")), kDone);
    EXPECT_TRUE(has_password("alice", "a new: one"));
    EXPECT_EQ(ask(set_password("alice", "$6$ab$hash/.", true)), kDone);
    EXPECT_EQ(hash_of("alice"), "$6$ab$hash/.");
}

TEST_F(Accounts, OthersAndNobodyGetTheSameReplyAndKeepTheirPasswords) {
    serve();
    const std::string before = read_file("/etc/shadow");
    for (const char* user : {"bob", "nosuchuser", "root"}) {
        const std::string reply = desc_of(ask(set_password(user, "secret")));
        EXPECT_TRUE(reply.starts_with(
            "child process has failed to set user password: Operation not permitted (denial "))
            << reply;
        EXPECT_TRUE(is_refused(ask(get_keys(user)))) << user;
        EXPECT_TRUE(is_refused(ask(add_keys(user, {kKey})))) << user;
        EXPECT_TRUE(is_refused(ask(remove_keys(user, {kKey})))) << user;
    }
    EXPECT_EQ(read_file("/etc/shadow"), before);
    EXPECT_FALSE(fs::exists("/home/bob/.ssh"));
}

TEST_F(Accounts, WhereOnlyHashesAreAllowedAPlainPasswordIsRefused) {
    serve(
        "schema = 1\n[[allow]]\nid = \"x\"\ncommands = [\"guest-set-user-password\"]\nusers = "
        "[\"alice\"]\ncrypted = "
        "\"only\"\n");
    EXPECT_TRUE(is_refused(ask(set_password("alice", "plain"))));
    EXPECT_EQ(ask(set_password("alice", "$6$cd$hash", true)), kDone);
    EXPECT_EQ(hash_of("alice"), "$6$cd$hash");
}

TEST_F(Accounts, TextsThatChpasswdWouldTakeApartAreRefusedAsByQemuGa) {
    serve(kCompat);
    const std::string before = read_file("/etc/shadow");
    EXPECT_EQ(desc_of(ask(set_password("alice", "a\nroot:b"))), "forbidden characters in raw password");
    EXPECT_EQ(desc_of(ask(set_password("alice", "a\0b"s))), "forbidden characters in raw password");
    EXPECT_EQ(desc_of(ask(set_password("alice:x", "a"))), "forbidden characters in username");
    EXPECT_EQ(desc_of(ask(set_password("alice\\nroot", "a"))), "forbidden characters in username");
    EXPECT_TRUE(is_refused(ask(set_password("alice", ":0:", true))));
    EXPECT_TRUE(is_refused(ask(set_password("alice", "", true))));
    EXPECT_EQ(read_file("/etc/shadow"), before);
}

TEST_F(Accounts, AnyUserIsLookedUpWhenAskedAndTheLineOfRootIsHisOwnRule) {
    serve(kCompat);
    run_script(
        "echo 'late:x:1502:1502::/home/late:/bin/sh' >> /etc/passwd; echo 'late:*:19000:0:99999:7:::' >> "
        "/etc/shadow;"
        "mkdir -p /home/late; chown 1502 /home/late; echo 'toor:x:0:0::/root:/bin/sh' >> /etc/passwd;"
        "echo 'toor:*:19000:0:99999:7:::' >> /etc/shadow");
    EXPECT_EQ(ask(set_password("late", "a secret")), kDone);
    EXPECT_TRUE(has_password("late", "a secret"));
    EXPECT_EQ(ask(add_keys("late", {"k"})), kDone);
    EXPECT_EQ(status_of("/home/late/.ssh/authorized_keys"), "1502:1502 600");
    EXPECT_EQ(ask(set_password("root", "another")), kDone);
    EXPECT_TRUE(has_password("root", "another"));
    for (const char* nobody : {"toor", "nosuchuser"}) {
        EXPECT_EQ(desc_of(ask(set_password(nobody, "a secret"))),
                  "child process has failed to set user password: exit status 1");
        EXPECT_EQ(desc_of(ask(get_keys(nobody))), "failed to lookup user '"s + nobody + "': Success");
    }
    EXPECT_EQ(hash_of("toor"), "*");
}

TEST_F(Accounts, KeysAreMadeByTheUserWithHisModes) {
    serve();
    EXPECT_EQ(ask(add_keys("alice", {kKey, kKey + "e one", kKey})), kDone);
    EXPECT_EQ(read_file(kFile), kKey + "\n" + kKey + "e one");
    EXPECT_EQ(status_of(kFile), "1500:1500 600");
    EXPECT_EQ(status_of("/home/alice/.ssh"), "1500:1500 700");
    EXPECT_EQ(ask(get_keys("alice")), "{\"return\": {\"keys\": [\"" + kKey + "e one\", \"" + kKey + "\"]}}");
    EXPECT_EQ(ask(remove_keys("alice", {kKey})), kDone);
    EXPECT_EQ(read_file(kFile), kKey + "e one");
    const auto lines = agent_->audit();
    EXPECT_EQ(agent_->count_audit("what", "account-ended"), 3U);
}

TEST_F(Accounts, KeyThatTheRuleDoesNotAcceptIsRefused) {
    serve();
    for (const std::string& key : {"ssh-rsa AAAAB3NzaC1yc2EAAA"s, "no-pty " + kKey, "anything"s})
        EXPECT_TRUE(is_refused(ask(add_keys("alice", {key})))) << key;
    EXPECT_TRUE(is_refused(ask(add_keys("alice", {kKey}, "true")))) << "reset";
    EXPECT_FALSE(fs::exists("/home/alice/.ssh"));
    write("a\nb\n# c\n\nc");
    EXPECT_EQ(desc_of(ask(add_keys("alice", {kKey}))),
              "failed to access the keys of user 'alice': Operation not permitted")
        << "a fourth key";
    EXPECT_EQ(read_file(kFile), "a\nb\n# c\n\nc");
    EXPECT_EQ(ask(remove_keys("alice", {"b"})), kDone);
    EXPECT_EQ(ask(add_keys("alice", {kKey})), kDone);
    EXPECT_EQ(read_file(kFile), "a\n# c\n\nc\n" + kKey);
}

// A user who can change what is in his home directory.

TEST_F(Accounts, LinksAreNotFollowed) {
    serve();
    write("");
    fs::remove(kFile);
    fs::create_symlink("/etc/shadow", kFile);
    EXPECT_NE(desc_of(ask(get_keys("alice"))), "");
    EXPECT_NE(desc_of(ask(add_keys("alice", {kKey}))), "");
    EXPECT_NE(desc_of(ask(remove_keys("alice", {kKey}))), "");
    EXPECT_TRUE(fs::is_symlink(kFile));
    fs::remove(kFile);
    write(kKey);
    fs::rename(kFile, "/home/alice/.ssh/mine");
    fs::create_symlink("mine", kFile);
    EXPECT_NE(desc_of(ask(get_keys("alice"))), "") << "his own either";
    fs::remove_all("/home/alice/.ssh");
    fs::create_symlink("/etc", "/home/alice/.ssh");
    EXPECT_NE(desc_of(ask(add_keys("alice", {kKey}))), "");
    EXPECT_FALSE(fs::exists("/etc/authorized_keys"));
    fs::remove("/home/alice/.ssh");
    fs::create_directories("/home/bob/.ssh");
    run_script("chmod 0777 /home/bob/.ssh");
    fs::create_symlink("/home/bob/.ssh", "/home/alice/.ssh");
    EXPECT_NE(desc_of(ask(add_keys("alice", {kKey}))), "");
    EXPECT_FALSE(fs::exists("/home/bob/.ssh/authorized_keys"));
}

TEST_F(Accounts, WhatTheUserCannotReadIsNotReadForHim) {
    serve();
    write("");
    fs::remove(kFile);
    fs::create_hard_link("/home/.etc/shadow", kFile);  // /etc by its other name
    EXPECT_EQ(desc_of(ask(get_keys("alice"))), "failed to read '" + kFile + "': Failed to open file \u201C" +
                                                   kFile + "\u201D: Permission denied");
    EXPECT_EQ(desc_of(ask(add_keys("alice", {kKey}))).find("failed to read"), 0U);
}

TEST_F(Accounts, PipesDirectoriesDevicesAndHugeFilesAreErrorsAtOnce) {
    serve();
    write("");
    const auto fails = [&](const char* how) {
        EXPECT_EQ(desc_of(ask(get_keys("alice"))).find("failed to read"), 0U) << how;
        EXPECT_EQ(desc_of(ask(add_keys("alice", {kKey}))).find("failed to read"), 0U) << how;
        EXPECT_EQ(desc_of(ask(remove_keys("alice", {kKey}))).find("failed to read"), 0U) << how;
        fs::remove_all(kFile);
    };
    fs::remove(kFile);
    ASSERT_EQ(::mkfifo(kFile.c_str(), 0666), 0);
    fails("a pipe");
    fs::create_directory(kFile);
    fails("a directory");
    ASSERT_EQ(::mknod(kFile.c_str(), S_IFCHR | 0666, makedev(1, 5)), 0);
    fails("/dev/zero");
    write(std::string(300'000, 'x'));
    fails("too long");
    write("a\0b"s);
    fails("a NUL");
    write("");
    fs::resize_file(kFile, 1ULL << 40U);
    fails("a terabyte of nothing");
}

TEST_F(Accounts, FileThatMayNotChangeStaysAndNothingIsLeftBesideIt) {
    run_script("mount -t tmpfs -o mode=0700,uid=1500,gid=1500,size=64k test /home/alice");
    serve();
    EXPECT_EQ(ask(add_keys("alice", {kKey})), kDone);
    run_script("head -c 1M /dev/zero > /home/alice/full 2>/dev/null || :");
    EXPECT_EQ(desc_of(ask(add_keys("alice", {kKey + "e"}))),
              "failed to write to '" + kFile + "': No space left on device");
    EXPECT_EQ(read_file(kFile), kKey);
    EXPECT_EQ(std::distance(fs::directory_iterator("/home/alice/.ssh"), {}), 1);
    fs::remove("/home/alice/full");
    EXPECT_EQ(ask(add_keys("alice", {kKey + "e"})), kDone);
    run_script("mount -o remount,ro /home/alice");
    EXPECT_EQ(desc_of(ask(remove_keys("alice", {kKey}))),
              "failed to write to '" + kFile + "': Read-only file system");
    run_script("umount /home/alice");
}

TEST_F(Accounts, HomeDirectoryThatHangsIsGivenUpAndNothingElseWaits) {
    FuseServer server("/home/alice", FUSE_LOOKUP);
    serve(
        "schema = 1\n[[allow]]\nid = \"x\"\ncommands = [\"@accounts\", \"@exec\"]\nusers = [\"alice\", "
        "\"bob\"]\ncrypted = "
        "\"any\"\nkey_types = \"any\"\n[[allow.exec]]\nprogram = \"/bin/true\"\nargs = []\nrun_as = "
        "\"root\"\n");
    HostClient& host = *host_;
    host.send(get_keys("alice"));
    ASSERT_TRUE(eventually([&] { return server.has_been_asked(); }));
    EXPECT_EQ(desc_of(host.line(milliseconds(20'000))), "the guest did not answer in time");
    EXPECT_TRUE(server.is_waited_for()) << "it is beyond killing";
    EXPECT_EQ(ask(add_keys("bob", {"k"})), kDone);
    EXPECT_EQ(ask(set_password("alice", "meanwhile")), kDone);
    EXPECT_NE(ask(command("guest-exec", R"({"path":"/bin/true"})")).find("pid"), std::string::npos);
    server.release();
}

TEST_F(Accounts, AsManyAsHangAtATimeAreBounded) {
    FuseServer server("/home/alice", FUSE_LOOKUP);
    serve();
    std::string reply;
    for (int at = 0; at < 8; ++at)
        EXPECT_EQ(desc_of(ask(get_keys("alice"))), "the guest did not answer in time") << at;
    EXPECT_NE(desc_of(ask(get_keys("alice"))).find("Resource temporarily unavailable"), std::string::npos);
    server.release();
    EXPECT_TRUE(eventually([&] {
        return desc_of(ask(get_keys("alice"))).find("Resource temporarily unavailable") == std::string::npos;
    }));
}

// Renames and links, as fast as one can.
int race() {
    if (!become_alice() || ::chdir("/home/alice") != 0) return 99;
    int done = 0;
    for (;;) {
        done += ::symlink("/etc", "to-etc");
        done += ::rename(".ssh", "real") + ::rename("to-etc", ".ssh");
        done += ::unlink(".ssh") + ::rename("real", ".ssh");
        done +=
            ::rename(".ssh/authorized_keys", ".ssh/other") + ::symlink("/etc/shadow", ".ssh/authorized_keys");
        done += ::rename(".ssh/.authorized_keys.sallyport", ".ssh/stolen");
        done += ::symlink("/etc/passwd", ".ssh/.authorized_keys.sallyport");
        done += ::link("/etc/passwd", ".ssh/.authorized_keys.sallyport");
        done += ::unlink(".ssh/authorized_keys") + ::rename(".ssh/other", ".ssh/authorized_keys");
    }
}

TEST_F(Accounts, UserWhoRenamesAndLinksAllTheTimeChangesNothingBeyondHisHome) {
    serve();
    write(kKey);
    const std::string shadow = read_file("/etc/shadow");
    const std::string passwd = read_file("/etc/passwd");
    const Child racer([] { return race(); });
    for (int at = 0; at < 150; ++at) {
        ask(add_keys("alice", {kKey + "e"}));
        const std::string reply = ask(get_keys("alice"));
        EXPECT_EQ(reply.find("root:"), std::string::npos) << reply;
        ask(remove_keys("alice", {kKey + "e"}));
    }
    EXPECT_FALSE(racer.has_ended());
    EXPECT_EQ(read_file("/etc/shadow"), shadow);
    EXPECT_EQ(read_file("/etc/passwd"), passwd);
    EXPECT_FALSE(fs::exists("/etc/authorized_keys"));
    EXPECT_FALSE(fs::exists("/etc/.authorized_keys.sallyport"));
    EXPECT_EQ(ask(command("guest-ping")), kDone);
}

TEST_F(Accounts, WhoWorksOnKeysIsTheUserAndNothingElse) {
    FuseServer server("/home/alice", FUSE_LOOKUP);
    serve();
    host_->send(get_keys("alice"));
    ASSERT_TRUE(eventually([&] { return server.is_waited_for(); }));
    pid_t child = -1;
    for (const pid_t one : children_of(agent_->broker().pid()))
        if (name_of(one).find("launcher") != std::string::npos && !children_of(one).empty())
            child = children_of(one).front();
    ASSERT_GT(child, 0);
    EXPECT_EQ(status_field(child, "Uid"), "1500\t1500\t1500\t1500");
    EXPECT_EQ(status_field(child, "Gid"), "1500\t1500\t1500\t1500");
    EXPECT_EQ(status_field(child, "Groups").substr(0, 9), "1500 1600");
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"})
        EXPECT_EQ(status_field(child, set), "0000000000000000");
    EXPECT_EQ(status_field(child, "NoNewPrivs"), "1");
    struct stat memory{};  // not dumpable: it is root's, so the user may not look into it
    EXPECT_EQ(::stat(("/proc/" + std::to_string(child) + "/mem").c_str(), &memory), 0);
    EXPECT_EQ(memory.st_uid, 0U);
    // 0 to 2, its report, the home directory.
    EXPECT_LE(count_descriptors(child), 5U);
    EXPECT_EQ(desc_of(host_->line(milliseconds(20'000))), "the guest did not answer in time");
    EXPECT_EQ(status_field(child, "SigPnd"), "0000000000000100") << "killed, and ends when it can";
    server.release();
}

// What is left of a secret.

std::vector<pid_t> family_of(pid_t pid) {
    std::vector<pid_t> all{pid};
    for (const pid_t child : children_of(pid))
        for (const pid_t one : family_of(child)) all.push_back(one);
    return all;
}

class Secret : public Accounts, public testing::WithParamInterface<const char*> {
protected:
    void expect_nowhere(const std::string& text) {
        for (const pid_t pid : family_of(agent_->broker().pid()))
            EXPECT_FALSE(has_in_memory(pid, text)) << name_of(pid) << " has " << text;
    }
};

TEST_P(Secret, IsInNoProcessAndNoFileAfterTheReply) {
    serve();
    const std::string secret = GetParam();
    EXPECT_EQ(ask(command("guest-ping")), kDone);
    ASSERT_EQ(ask(set_password("alice", secret)), kDone);
    ASSERT_TRUE(has_password("alice", secret));
    EXPECT_TRUE(has_in_memory(agent_->broker().pid(), "/home/alice")) << "the search finds what is there";
    expect_nowhere(secret);
    expect_nowhere(base64(secret).substr(0, 10));
    // Refused, not decodable, not enabled at that moment, in pieces: the same.
    EXPECT_TRUE(is_refused(ask(set_password("bob", secret))));
    ask(set_password("alice", secret + "\n"));
    ask(command("guest-set-user-password", members({{"crypted", "false"},
                                                    {"username", in_quotes("alice")},
                                                    {"password", in_quotes(base64(secret) + "!")}})));
    const std::string request = set_password("alice", secret);
    for (const char one : request) host_->send(std::string(1, one));
    EXPECT_EQ(host_->line(milliseconds(60'000)), kDone);
    expect_nowhere(secret);
    expect_nowhere(base64(secret).substr(0, 10));
    EXPECT_EQ(read_file(agent_->audit_file()).find(secret), std::string::npos);
    EXPECT_EQ(agent_->messages().find(secret), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(, Secret,
                         testing::Values("sH0rt.One-7q",
                                         "a-secret-that-is-longer-than-any-string-keeps-in-place-8172"));

// What the clients say, as recorded, and what they look for.

TEST_F(Accounts, ConversationsOfLibvirt) {
    serve(kCompat);
    // virsh set-user-password, plain and --encrypted
    EXPECT_EQ(
        ask(R"({"execute":"guest-set-user-password","arguments":{"crypted":false,"username":"alice","password":"c2VjcmV0IG9uZQ=="}})"
            "\n"),
        kDone);
    EXPECT_TRUE(has_password("alice", "secret one"));
    EXPECT_EQ(
        ask(R"({"execute":"guest-set-user-password","arguments":{"crypted":true,"username":"alice","password":"JDYkYWIkaGFzaA=="}})"
            "\n"),
        kDone);
    EXPECT_EQ(hash_of("alice"), "$6$ab$hash");
    // virsh set-user-sshkeys, get-user-sshkeys, --reset, --remove
    const std::string add =
        R"({"execute":"guest-ssh-add-authorized-keys","arguments":{"username":"alice","keys":["ssh-rsa AAAA a@b","ssh-ed25519 BBBB"],"reset":)";
    EXPECT_EQ(ask(add + "false}}\n"), kDone);
    EXPECT_EQ(ask(R"({"execute":"guest-ssh-get-authorized-keys","arguments":{"username":"alice"}})"
                  "\n"),
              R"({"return": {"keys": ["ssh-ed25519 BBBB", "ssh-rsa AAAA a@b"]}})");
    EXPECT_EQ(
        ask(R"({"execute":"guest-ssh-remove-authorized-keys","arguments":{"username":"alice","keys":["ssh-ed25519 BBBB"]}})"
            "\n"),
        kDone);
    EXPECT_EQ(read_file(kFile), "ssh-rsa AAAA a@b");
    EXPECT_EQ(
        ask(R"({"execute":"guest-ssh-add-authorized-keys","arguments":{"username":"alice","keys":[],"reset":true}})"
            "\n"),
        kDone);
    EXPECT_EQ(read_file(kFile), "");
}

TEST_F(Accounts, ConversationsOfKubeVirtAndProxmox) {
    serve(kCompat);
    // Access credentials: by libvirt's call with flags 0, which is a reset; what was there is gone.
    write("an older key\n");
    EXPECT_EQ(ask(add_keys("alice", {"ssh-rsa AAAA kubevirt"}, "true")), kDone);
    EXPECT_EQ(read_file(kFile), "ssh-rsa AAAA kubevirt");
    // Its base64 has a line end behind it.
    EXPECT_EQ(
        ask(R"({"execute":"guest-set-user-password","arguments":{"username":"alice","password":"cHJveG1veA==\n","crypted":false}})"
            "\n"),
        kDone);
    EXPECT_TRUE(has_password("alice", "proxmox"));
}

// CapabilityBoundingSet= of the shipped unit and of the drop-ins that rules for passwords need, which add up.
void keep_capabilities_of_unit() {
    constexpr std::string_view kDirective = "\nCapabilityBoundingSet=";
    std::string all;
    for (const char* name : {"/sallyport.service", "/unit/system.conf", "/unit/passwords.conf"}) {
        const std::string text = read_file(std::string(PACKAGING) + name);
        const std::size_t begin = text.find(kDirective) + kDirective.size();
        all += text.substr(begin, text.find('\n', begin) - begin) + " ";
    }
    std::istringstream words(all);
    std::set<int> kept;
    for (std::string word; words >> word;) {
        std::string name = word.substr(std::string_view("CAP_").size());
        for (char& c : name) c = static_cast<char>(std::tolower(c));
        kept.insert(::capng_name_to_capability(name.c_str()));
    }
    for (int one = 0; ::prctl(PR_CAPBSET_READ, one) >= 0; ++one)
        if (!kept.contains(one) && ::prctl(PR_CAPBSET_DROP, one) != 0) ::_exit(124);
}

TEST_F(Accounts, CapabilitiesOfTheUnitAreEnough) {
    agent_.emplace(AgentOptions{.policy = kRules, .before_exec = keep_capabilities_of_unit});
    ASSERT_TRUE(agent_->is_serving()) << agent_->messages();
    host_.emplace(agent_->connect());
    EXPECT_EQ(status_field(agent_->broker().pid(), "CapBnd"), "0000000000000000");
    EXPECT_EQ(ask(set_password("alice", "under the unit")), kDone);
    EXPECT_TRUE(has_password("alice", "under the unit"));
    struct stat info{};
    ASSERT_EQ(::stat("/etc/shadow", &info), 0);
    EXPECT_NE(info.st_gid, 0U) << "as before";
    EXPECT_EQ(ask(add_keys("alice", {kKey})), kDone);
}

}  // namespace
}  // namespace sallyport::test
