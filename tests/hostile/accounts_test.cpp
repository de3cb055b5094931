// A worker that was taken over asks for passwords and keys, and a broker that was taken over orders them: nobody's are touched but those that a
// rule names, and as it says.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <tuple>

#include "tests/hostile/taken_over.hpp"
#include "tests/support/launcher_alone.hpp"
#include "tests/support/refused_call.hpp"
#include "tests/support/users.hpp"

namespace sallyport::test {
namespace {

constexpr const char* kPolicy = R"(schema = 1
[[allow]]
id = "work"
commands = ["@file"]
files = [{ under = "$D/work", access = ["read"] }]
[[allow]]
id = "alice"
commands = ["@accounts"]
users = ["alice"]
crypted = "only"
key_types = ["ssh-ed25519"]
max_keys = 2
)";
const std::string kKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcd";

// What is empty has no place in the one form of a frame.
std::string field(std::uint64_t number, const std::string& text) {
    return text.empty() ? "" : wire::bytes(number, text);
}
std::string set_user_password(std::uint64_t seq, const std::string& user, const std::string& secret,
                              bool crypted) {
    return wire::seq(seq) +
           wire::bytes(54, field(1, user) + field(2, secret) + (crypted ? wire::number(3, 1) : ""));
}
std::string ssh_get_authorized_keys(std::uint64_t seq, const std::string& user) {
    return wire::seq(seq) + wire::bytes(55, field(1, user));
}
std::string with_keys(const std::string& user, const std::vector<std::string>& keys) {
    std::string list;
    for (const std::string& one : keys) list += wire::bytes(1, one);
    return field(1, user) + wire::bytes(2, list);
}
std::string ssh_add_authorized_keys(std::uint64_t seq, const std::string& user,
                                    const std::vector<std::string>& keys, const std::string& more = "") {
    return wire::seq(seq) + wire::bytes(56, with_keys(user, keys) + more);
}
std::string ssh_remove_authorized_keys(std::uint64_t seq, const std::string& user,
                                       const std::vector<std::string>& keys) {
    return wire::seq(seq) + wire::bytes(57, with_keys(user, keys));
}

class AccountsOfATakenOverWorker : public TakenOver {
protected:
    static void SetUpTestSuite() {
        static const bool is_inside = (enter_guest_with_users(), true);
        EXPECT_TRUE(is_inside);
        TakenOver::SetUpTestSuite();
    }
    AccountsOfATakenOverWorker() : TakenOver(kPolicy), shadow_(read_file("/etc/shadow")) { make_homes(); }
    void TearDown() override {
        EXPECT_EQ(read_file("/etc/shadow"), shadow_);
        EXPECT_FALSE(std::filesystem::exists("/home/bob/.ssh"));
        EXPECT_FALSE(std::filesystem::exists("/home/alice/.ssh"));
        EXPECT_EQ(agent_.count_audit("what", "account-ended"), 0U);
    }
    std::string shadow_;
};

TEST_F(AccountsOfATakenOverWorker, PasswordThatNoRuleCoversIsRefused) {
    std::uint64_t seq = 1;
    for (const auto& [user, secret] : {std::pair<std::string, std::string>{"bob", "$6$a"},
                                       {"root", "$6$a"},
                                       {"", "$6$a"},
                                       {"alice:x", "$6$a"},
                                       {"alice\nroot", "$6$a"},
                                       {std::string("alice\0", 6), "$6$a"},
                                       {"alice", "$6$a\nroot:$6$b"},
                                       {"alice", "$6$a:0:0"},
                                       {"alice", std::string("$6$a\0", 5)},
                                       {"alice", ""},
                                       {"alice", std::string(1025, 'x')},
                                       {"alice", std::string(60'000, 'x')},
                                       {std::string(50'000, 'a'), "$6$a"}})
        EXPECT_EQ(puppet_.ask(set_user_password(seq++, user, secret, true)).error().reason(), ipc::REFUSED)
            << seq;
    EXPECT_EQ(puppet_.ask(set_user_password(seq++, "alice", "plain", false)).error().reason(), ipc::REFUSED);
}

TEST_F(AccountsOfATakenOverWorker, KeysThatNoRuleCoversAreRefused) {
    std::uint64_t seq = 1;
    EXPECT_EQ(puppet_.ask(ssh_get_authorized_keys(seq++, "bob")).error().reason(), ipc::REFUSED);
    EXPECT_EQ(puppet_.ask(ssh_remove_authorized_keys(seq++, "root", {kKey})).error().reason(), ipc::REFUSED);
    EXPECT_EQ(puppet_.ask(ssh_remove_authorized_keys(seq++, "alice", {"a\nb"})).error().reason(),
              ipc::REFUSED);
    for (const std::vector<std::string>& keys : {std::vector<std::string>{"x"},
                                                 {kKey + "\n" + kKey},
                                                 {"#" + kKey},
                                                 {"command=\"/bin/sh\" " + kKey},
                                                 {kKey, kKey, kKey},
                                                 {kKey, "ssh-rsa AAAAB3NzaC1yc2EA"},
                                                 {kKey + std::string(1, '\0')},
                                                 {std::string(60'000, 'x')},
                                                 std::vector<std::string>(4096, kKey.substr(0, 11))})
        EXPECT_EQ(puppet_.ask(ssh_add_authorized_keys(seq++, "alice", keys)).error().reason(), ipc::REFUSED)
            << seq;
    const std::string reset = wire::number(3, 1);
    EXPECT_EQ(puppet_.ask(ssh_add_authorized_keys(seq, "alice", {kKey}, reset)).error().reason(),
              ipc::REFUSED);
}

TEST_F(AccountsOfATakenOverWorker, NameThatIsNotUtf8EndsIt) {
    puppet_.send(ssh_get_authorized_keys(1, "\xff"));
    expect_violation();
}

TEST_F(AccountsOfATakenOverWorker, KeysInTheArenaEndIt) {
    puppet_.send(wire::seq(1) + wire::bytes(2, wire::bulk(4, 0, 4)) + wire::bytes(56, ""));
    expect_violation();
}

// The launcher, and a broker that plays by no rules.
class AccountOrders : public testing::Test {
protected:
    static void SetUpTestSuite() {
        static const bool is_inside = (enter_guest_with_users(), true);
        EXPECT_TRUE(is_inside);
    }
    AccountOrders() : shadow_(read_file("/etc/shadow")) {
        make_homes();
        ipc::AccountTemplate& password = *table_.add_accounts();
        password.set_command(static_cast<std::uint32_t>(CommandId::kSetUserPassword));
        ipc::Account& alice = *password.add_accounts();
        alice.set_name("alice");
        alice.set_uid(kAlice);
        alice.set_gid(kAlice);
        alice.add_groups(kAlice);
        alice.set_home("/home/alice");
        password.set_crypted_only(true);
        ipc::AccountTemplate& add = *table_.add_accounts();
        add = password;
        add.set_command(static_cast<std::uint32_t>(CommandId::kSshAddAuthorizedKeys));
        add.add_key_types("ssh-ed25519");
        add.set_max_keys(2);
        *table_.add_accounts() = add;
        table_.mutable_accounts(2)->mutable_times()->mutable_own()->set_expires(1);
        ipc::AccountTemplate& any = *table_.add_accounts();
        any = password;
        any.clear_accounts();
        any.set_any_user(true);
        table_.set_takes_users(true);
    }
    static ipc::LauncherRequest order(std::uint32_t by, const std::string& user) {
        ipc::LauncherRequest request;
        request.mutable_account()->set_number(5);
        request.mutable_account()->set_template_(by);
        request.mutable_account()->set_user(user);
        return request;
    }
    static ipc::LauncherRequest password(const std::string& user, const std::string& secret,
                                         bool crypted = true) {
        ipc::LauncherRequest request = order(0, user);
        request.mutable_account()->mutable_password()->set_secret(secret);
        request.mutable_account()->mutable_password()->set_crypted(crypted);
        return request;
    }
    static ipc::LauncherRequest add(const std::string& user, const std::vector<std::string>& keys) {
        ipc::LauncherRequest request = order(1, user);
        for (const std::string& key : keys) request.mutable_account()->mutable_add()->add_lines(key);
        return request;
    }
    void expect_end(const ipc::LauncherRequest& request) {
        Launcher launcher(table_);
        ASSERT_TRUE(launcher.is_ready());
        launcher.tell(request);
        ipc::LauncherReply reply;
        EXPECT_FALSE(launcher.hear(reply)) << reply.op_case();
        EXPECT_EQ(launcher.close(), 1);
    }
    void TearDown() override {
        EXPECT_EQ(read_file("/etc/shadow"), shadow_);
        EXPECT_FALSE(std::filesystem::exists("/home/bob/.ssh"));
    }
    ipc::LauncherTable table_;
    std::string shadow_;
};

TEST_F(AccountOrders, ThatTheTableCoversAreCarriedOut) {
    Launcher launcher(table_);
    ASSERT_TRUE(launcher.is_ready());
    launcher.tell(add("alice", {kKey}));
    ipc::LauncherReply reply;
    ASSERT_TRUE(launcher.hear(reply) && reply.has_account_done());
    EXPECT_EQ(reply.account_done().kind(), ipc::AccountDone::DONE);
    EXPECT_EQ(reply.account_done().number(), 5U);
    EXPECT_EQ(read_file("/home/alice/.ssh/authorized_keys"), kKey);
}

TEST_F(AccountOrders, ChangeNoKeysWhereAnErrandCannotConfineItself) {
    Launcher launcher(table_, refuse_landlock);
    ASSERT_TRUE(launcher.is_ready());
    launcher.tell(add("alice", {kKey}));
    ipc::LauncherReply reply;
    ASSERT_TRUE(launcher.hear(reply) && reply.has_account_done());
    EXPECT_EQ(reply.account_done().kind(), ipc::AccountDone::NOT_STARTED);
    EXPECT_EQ(reply.account_done().status(), ENOSYS);
    EXPECT_FALSE(std::filesystem::exists("/home/alice/.ssh"));
}

// What the kernel refuses here is what makes the errand the user, or who asks the database nobody.
TEST_F(AccountOrders, ChangeNothingWhereAnErrandCannotTakeTheUsersIds) {
    for (const int call : {SYS_setgroups, SYS_setresgid, SYS_setresuid}) {
        Launcher launcher(table_, [call] { refuse_call(call); });
        ASSERT_TRUE(launcher.is_ready());
        launcher.tell(add("alice", {kKey}));
        ipc::LauncherReply reply;
        ASSERT_TRUE(launcher.hear(reply) && reply.has_account_done());
        EXPECT_EQ(reply.account_done().kind(), ipc::AccountDone::NOT_STARTED) << call;
        EXPECT_EQ(reply.account_done().status(), ENOSYS);
        EXPECT_FALSE(std::filesystem::exists("/home/alice/.ssh"));
        auto asked = password("alice", "$6$a");
        asked.mutable_account()->set_number(6);
        asked.mutable_account()->set_template_(3);
        launcher.tell(asked);
        ASSERT_TRUE(launcher.hear(reply) && reply.has_account_done());
        EXPECT_EQ(reply.account_done().kind(), ipc::AccountDone::NO_USER) << call;
    }
}

// The list of users, which waits for whoever opens it.
class HungPasswd {
public:
    HungPasswd() {
        run_script("rm -f /home/.pipe; mkfifo -m 0644 /home/.pipe; mount --bind /home/.pipe /etc/passwd");
    }
    HungPasswd(const HungPasswd&) = delete;
    HungPasswd& operator=(const HungPasswd&) = delete;
    ~HungPasswd() { run_script("umount /etc/passwd"); }
    static void let_go() { const UniqueFd end(::open("/etc/passwd", O_WRONLY | O_NONBLOCK | O_CLOEXEC)); }
};

TEST_F(AccountOrders, HaveTheDatabaseAskedByNobodyWithoutTheSecret) {
    Launcher launcher(table_);
    ASSERT_TRUE(launcher.is_ready());
    const HungPasswd passwd;
    auto asked = password("alice", "$6$a");
    asked.mutable_account()->set_template_(3);
    launcher.tell(asked);
    const std::string nobody = "65534\t65534\t65534\t65534";
    pid_t errand = -1;
    pid_t asking = -1;
    EXPECT_TRUE(eventually([&] {
        for (const pid_t child : children_of(launcher.child().pid()))
            for (const pid_t own : children_of(child)) std::tie(errand, asking) = std::pair(child, own);
        return asking > 0 && status_field(asking, "Uid") == nobody;
    }));
    const auto count = [](pid_t process, std::string_view kind) {
        return std::ranges::count_if(list_descriptors(process),
                                     [&](const std::string& one) { return one.starts_with(kind); });
    };
    ASSERT_GT(asking, 0);
    EXPECT_EQ(status_field(asking, "Gid"), nobody);
    EXPECT_EQ(status_field(asking, "Groups").find_first_not_of(" "), std::string::npos);
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"})
        EXPECT_EQ(status_field(asking, set), "0000000000000000") << set;
    EXPECT_EQ(count(errand, "pipe:"), 1) << "the secret";
    EXPECT_EQ(count(asking, "pipe:"), 0);
    EXPECT_EQ(count(asking, "socket:"), 1) << "by which it says what it has found";
    HungPasswd::let_go();
    ipc::LauncherReply reply;
    ASSERT_TRUE(launcher.hear(reply) && reply.has_account_done());
    EXPECT_EQ(reply.account_done().kind(), ipc::AccountDone::NO_USER) << "a pipe names none";
}

TEST_F(AccountOrders, ThatTheTableDoesNotCoverEndIt) {
    for (const char* user : {"bob", "root", "", "alice\nroot", "alice:x"}) {
        expect_end(password(user, "$6$a"));
        expect_end(add(user, {kKey}));
    }
    for (const std::string& secret :
         {std::string(), std::string("a\nroot:b"), std::string("a:b"), std::string("a\0b", 3)})
        expect_end(password("alice", secret));
    expect_end(password("alice", "plain", false));
    expect_end(add("alice", {"ssh-rsa AAAAB3NzaC1yc2EA"}));
    expect_end(add("alice", {kKey, kKey, kKey}));
    auto other = add("alice", {kKey});
    other.mutable_account()->mutable_add()->set_reset(true);
    expect_end(other);
    // Another command than the template's.
    other = order(1, "alice");
    other.mutable_account()->mutable_list();
    expect_end(other);
    other = order(1, "alice");
    other.mutable_account()->mutable_remove()->add_lines("x");
    expect_end(other);
    expect_end(order(1, "alice"));
    other = password("alice", "$6$a");
    for (const std::uint32_t by : {1U, 4U, 0xFFFFFFFFU}) {
        other.mutable_account()->set_template_(by);
        expect_end(other);
    }
    other = add("alice", {kKey});
    other.mutable_account()->set_number(0);
    expect_end(other);
    EXPECT_FALSE(std::filesystem::exists("/home/alice/.ssh"));
}

TEST_F(AccountOrders, OfARuleThatHasExpiredAreToldSo) {
    Launcher launcher(table_);
    ASSERT_TRUE(launcher.is_ready());
    auto late = add("alice", {kKey});
    late.mutable_account()->set_template_(2);
    launcher.tell(late);
    ipc::LauncherReply reply;
    ASSERT_TRUE(launcher.hear(reply) && reply.has_account_done());
    EXPECT_EQ(reply.account_done().kind(), ipc::AccountDone::EXPIRED);
    EXPECT_FALSE(std::filesystem::exists("/home/alice/.ssh"));
}

TEST_F(AccountOrders, NumberThatWasUsedEndsIt) {
    Launcher launcher(table_);
    ASSERT_TRUE(launcher.is_ready());
    launcher.tell(add("alice", {kKey}));
    ipc::LauncherReply reply;
    ASSERT_TRUE(launcher.hear(reply) && reply.has_account_done());
    launcher.tell(add("alice", {kKey}));
    EXPECT_FALSE(launcher.hear(reply));
    EXPECT_EQ(launcher.close(), 1);
}

}  // namespace
}  // namespace sallyport::test
