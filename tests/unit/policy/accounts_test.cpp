// Rules about users, their passwords and their keys: what is a mistake and where, and which requests are covered.
#include "policy/accounts.hpp"

#include <gtest/gtest.h>

#include "policy/tool/compile/compile.hpp"

namespace sallyport::policy {
namespace {

using namespace std::string_literals;

constexpr std::string_view kPasswd =
    "root:x:0:0::/root:/bin/sh\nalice:x:1500:1500:A,,:/home/alice:/bin/sh\nbob:x:1501:1501::/home/bob:/bin/"
    "sh\n"
    "odd:x:1502:1502::nowhere:/bin/sh\ntoor:x:0:0::/root:/bin/sh\n";
constexpr std::string_view kGroup = "root:x:0:\nalice:x:1500:\ndisk:x:6:alice\nstaff:x:50:bob,alice\n";
constexpr WallTime kNow = 1'800'000'000;
constexpr std::string_view kBlob = " AAAAC3NzaC1lZDI1NTE5AAAAIAbcd";

auto compiled_of(const std::string& rules) {
    const std::string text = "schema = 1\n" + rules;
    return compile::compile_policy({.text = text, .name = "p.toml", .passwd = kPasswd, .group = kGroup});
}

Policy policy_of(const std::string& rules) {
    const auto compiled = compiled_of(rules);
    EXPECT_TRUE(compiled) << (compiled ? "" : compiled.error());
    auto loaded = load(compiled->SerializeAsString());
    EXPECT_TRUE(loaded);
    return *std::move(loaded);
}

std::string error_of(const std::string& rules) {
    const auto compiled = compiled_of(rules);
    return compiled ? "" : compiled.error();
}

AccountMiss miss_of(const std::string& rules, const AccountRequest& want, WallTime now = kNow) {
    return decide_account(account_templates(policy_of(rules)), want, now).miss;
}

const std::string kPassword = "[[allow]]\nid = \"p\"\ncommands = [\"guest-set-user-password\"]\n";
const std::string kAdd = "[[allow]]\nid = \"k\"\ncommands = [\"guest-ssh-add-authorized-keys\"]\n";
const std::string kKeys =
    "[[allow]]\nid = \"k\"\ncommands = [\"guest-ssh-get-authorized-keys\", "
    "\"guest-ssh-add-authorized-keys\", \"guest-ssh-remove-authorized-keys\"]\n";

AccountRequest password(std::string_view user, std::string_view secret, bool crypted = false) {
    return {.command = CommandId::kSetUserPassword, .user = user, .secret = secret, .crypted = crypted};
}
AccountRequest add(std::string_view user, std::vector<std::string_view> keys, bool reset = false) {
    return {
        .command = CommandId::kSshAddAuthorizedKeys, .user = user, .keys = std::move(keys), .reset = reset};
}

TEST(Accounts, OnlyUsersThatTheRuleNamesAreCovered) {
    const std::string rule = kPassword + "users = [\"alice\"]\ncrypted = \"any\"\n";
    EXPECT_EQ(miss_of(rule, password("alice", "s")), AccountMiss::kNothing);
    for (const std::string& other :
         {"bob"s, "root"s, "Alice"s, "alice "s, ""s, "alice:x"s, "alice\nroot"s, "alice\0"s + "\0"s})
        EXPECT_EQ(miss_of(rule, password(other, "s")), AccountMiss::kUser) << other;
}

TEST(Accounts, AnyUserIsEverybodyButRootWhoHasAName) {
    const std::string rule = kPassword + "users = \"any\"\ncrypted = \"any\"\n";
    EXPECT_EQ(miss_of(rule, password("made.later", "s")), AccountMiss::kNothing);
    const std::string nul("a\0b", 3);
    for (const std::string& other : {"root"s, ""s, "a:b"s, "a\nb"s, "a b"s, "a/b"s, "a,b"s, "-a"s, "+a"s,
                                     "\ta"s, nul, std::string(257, 'a')})
        EXPECT_EQ(miss_of(rule, password(other, "s")), AccountMiss::kUser) << other;
}

// Whom "any" stands for is looked up when a host asks; a user who is named is known before.
TEST(Accounts, OfRulesThatAcceptTheSameTheOneThatNamesTheUserIsTaken) {
    const std::string any = "commands = [\"guest-set-user-password\"]\nusers = \"any\"\ncrypted = \"any\"\n";
    const std::string named =
        "commands = [\"guest-set-user-password\"]\nusers = [\"alice\"]\ncrypted = \"any\"\n";
    const std::string a = "[[allow]]\nid = \"a\"\n", n = "[[allow]]\nid = \"n\"\n";
    for (const std::string& rules : {a + any + n + named, n + named + a + any}) {
        const auto templates = account_templates(policy_of(rules));
        const auto decision = decide_account(templates, password("alice", "s"), kNow);
        ASSERT_GE(decision.at, 0);
        EXPECT_EQ(templates[decision.at].rule(), "n");
    }
}

TEST(Accounts, RootIsCoveredByARuleThatNamesHim) {
    EXPECT_EQ(miss_of(kPassword + "users = [\"root\"]\ncrypted = \"any\"\n", password("root", "s")),
              AccountMiss::kNothing);
}

// By his number root is whoever has it. What only "any" accepts is decided as for a root whom no rule names: the errand looks him up, and refuses.
TEST(Accounts, OfRootByAnotherNameTheRuleThatNamesHimCountsFirst) {
    const std::string any =
        "users = \"any\"\nkey_types = \"any\"\nmax_keys = 9\nreset = true\n[[allow]]\nid = \"n\"\ncommands = "
        "[\"guest-ssh-add-authorized-keys\"]\n";
    const std::string named =
        "users = [\"toor\"]\nkey_types = \"any\"\nmax_keys = 1\nexpires = 2030-01-01T00:00:00Z\n";
    const auto templates = account_templates(policy_of(kAdd + any + named));
    const auto decision = decide_account(templates, add("toor", {"k"}), kNow);
    ASSERT_GE(decision.at, 0);
    EXPECT_EQ(templates[decision.at].rule(), "n") << "although the other accepts more keys";
    EXPECT_EQ(decide_account(templates, add("alice", {"k", "l"}), kNow).miss, AccountMiss::kNothing);
    const auto unnamed = account_templates(
        policy_of(kAdd + "users = \"any\"\nkey_types = \"any\"\nmax_keys = 9\nreset = true\n"));
    for (const auto& [want, when] : {std::pair{add("toor", {"k", "l"}), kNow},
                                     {add("toor", {"k"}, true), kNow},
                                     {add("toor", {"k"}), WallTime{1'900'000'000}}}) {
        const auto beside = decide_account(templates, want, when);
        ASSERT_GE(beside.at, 0);
        EXPECT_TRUE(templates[beside.at].any_user());
        EXPECT_GE(decide_account(unnamed, want, when).at, 0) << "a rule more never denies";
    }
}

// A decision about a command goes by the rules for it alone, as the analysis of policies takes for granted.
TEST(Accounts, RootNamedForAnotherCommandChangesNothing) {
    const std::string any = kPassword + "users = \"any\"\ncrypted = \"any\"\n";
    const std::string named =
        "[[allow]]\nid = \"n\"\ncommands = [\"guest-ssh-get-authorized-keys\"]\nusers = [\"toor\"]\n";
    EXPECT_EQ(miss_of(any, password("toor", "s")), miss_of(any + named, password("toor", "s")));
}

TEST(Accounts, SecretsThatMeanMoreThanOneFieldAreNotCovered) {
    const std::string rule = kPassword + "users = [\"alice\"]\ncrypted = \"any\"\n";
    EXPECT_EQ(miss_of(rule, password("alice", "with:colon and \xff")), AccountMiss::kNothing);
    EXPECT_EQ(miss_of(rule, password("alice", "$y$j9T$abc/.$def", true)), AccountMiss::kNothing);
    const std::string long_one(1025, 'x');
    for (const auto& [secret, crypted] : {std::pair{"a\nroot:b"s, false},
                                          {"a\n"s, false},
                                          {""s, false},
                                          {""s, true},
                                          {"a\0b"s + "\0"s, false},
                                          {long_one, false},
                                          {"$6$a:99999"s, true},
                                          {"\xff"s, true},
                                          {"a\nb"s, true}}) {
        const AccountMiss miss = miss_of(rule, password("alice", secret, crypted));
        if (secret == "a") continue;  // the literal ended at its NUL
        EXPECT_EQ(miss, AccountMiss::kSecret) << secret;
    }
    EXPECT_EQ(miss_of(rule, password("alice", std::string("a\0b", 3))), AccountMiss::kSecret);
}

TEST(Accounts, PlainPasswordIsNotCoveredWhereOnlyHashesAre) {
    const std::string rule = kPassword + "users = [\"alice\"]\ncrypted = \"only\"\n";
    EXPECT_EQ(miss_of(rule, password("alice", "s")), AccountMiss::kSecret);
    EXPECT_EQ(miss_of(rule, password("alice", "$6$s", true)), AccountMiss::kNothing);
}

TEST(Accounts, EachCommandNeedsARuleOfItsOwn) {
    const std::string rule = kPassword + "users = [\"alice\"]\ncrypted = \"any\"\n";
    for (const CommandId id : {CommandId::kSshGetAuthorizedKeys, CommandId::kSshAddAuthorizedKeys,
                               CommandId::kSshRemoveAuthorizedKeys})
        EXPECT_EQ(miss_of(rule, {.command = id, .user = "alice"}), AccountMiss::kUser);
}

std::string key(std::string_view type = "ssh-ed25519") {
    return std::string(type) + std::string(kBlob);
}

TEST(Accounts, KeysAreOfTheTypesThatTheRuleNamesAndHaveNoOptions) {
    const std::string rule = kAdd + "users = [\"alice\"]\nkey_types = [\"ssh-ed25519\"]\n";
    for (const std::string& good : {key(), key() + " alice@host", key() + "== m\xc3\xbcller"})
        EXPECT_EQ(miss_of(rule, add("alice", {good})), AccountMiss::kNothing) << good;
    for (const std::string& bad :
         {key("ssh-rsa"), "ssh-ed25519"s, "ssh-ed25519 "s, " " + key(), "restrict " + key(),
          "command=\"x\" " + key(), "ssh-ed25519\tAAAAC3NzaC1lZDI1NTE5AAAA"s,
          "ssh-ed25519  AAAAC3NzaC1lZDI1NTE5AAAA"s, "#" + key(), key() + "\n" + key(), key() + "!",
          key() + "===", "ssh-ed25519 AAAAB3NzaC1yc2EAAAADAQAB"s, "ssh-ed25519 ssh-rsa AAAAB3NzaC1yc2E"s,
          " "s, key() + std::string(1, '\0'), key() + "\r", "Ssh-ed25519" + std::string(kBlob)})
        EXPECT_EQ(miss_of(rule, add("alice", {bad})), AccountMiss::kKeys) << bad;
    EXPECT_EQ(miss_of(rule, add("alice", {key(), key("ssh-rsa")})), AccountMiss::kKeys) << "each of them";
}

// virsh sends one behind the keys of a file.
TEST(Accounts, AnEmptyLineIsNoKeyAndCountsAsNone) {
    const std::string rule = kAdd + "users = [\"alice\"]\nkey_types = [\"ssh-ed25519\"]\nmax_keys = 1\n";
    EXPECT_EQ(miss_of(rule, add("alice", {key(), ""})), AccountMiss::kNothing);
    EXPECT_EQ(miss_of(rule + "require = [\"restrict\"]\n", add("alice", {"restrict " + key(), ""})),
              AccountMiss::kNothing);
    EXPECT_EQ(miss_of(rule, add("alice", {key(), key() + " b", ""})), AccountMiss::kKeys);
}

TEST(Accounts, KeysHaveExactlyTheOptionsThatTheRuleRequires) {
    const std::string rule =
        kAdd + "users = [\"alice\"]\nkey_types = [\"ssh-ed25519\"]\nrequire = [\"restrict\", \"pty\"]\n";
    EXPECT_EQ(miss_of(rule, add("alice", {"restrict,pty " + key()})), AccountMiss::kNothing);
    for (const std::string& bad :
         {key(), "restrict " + key(), "pty,restrict " + key(), "restrict,pty,X11-forwarding " + key(),
          "restrict,pty  " + key(), "restrict,pty command=\"x\" " + key()})
        EXPECT_EQ(miss_of(rule, add("alice", {bad})), AccountMiss::kKeys) << bad;
}

TEST(Accounts, AnyTypeTakesWhatQemuGaTakesUnlessSomethingIsRequired) {
    const std::string rule = kAdd + "users = [\"alice\"]\nkey_types = \"any\"\n";
    for (const std::string& line : {""s, "anything"s, "a\rb"s, "command=\"x y\" ssh-rsa AAAA"s})
        EXPECT_EQ(miss_of(rule, add("alice", {line})), AccountMiss::kNothing) << line;
    EXPECT_EQ(miss_of(rule, add("alice", {"a\nb"})), AccountMiss::kKeys);
    EXPECT_EQ(miss_of(rule + "require = [\"restrict\"]\n", add("alice", {"anything"})), AccountMiss::kKeys);
    EXPECT_EQ(miss_of(rule + "require = [\"restrict\"]\n", add("alice", {"restrict " + key()})),
              AccountMiss::kNothing);
}

TEST(Accounts, ResetAndNumberAreAsTheRuleSays) {
    const std::string rule = kAdd + "users = [\"alice\"]\nkey_types = \"any\"\nmax_keys = 2\n";
    EXPECT_EQ(miss_of(rule, add("alice", {"a"}, true)), AccountMiss::kReset);
    EXPECT_EQ(miss_of(rule + "reset = true\n", add("alice", {"a"}, true)), AccountMiss::kNothing);
    EXPECT_EQ(miss_of(rule, add("alice", {"a", "b", "c"})), AccountMiss::kKeys);
}

TEST(Accounts, OrderOfRulesDoesNotMatter) {
    const std::string few = kAdd + "users = [\"alice\"]\nkey_types = \"any\"\nmax_keys = 2\n";
    const std::string many =
        "[[allow]]\nid = \"m\"\ncommands = [\"guest-ssh-add-authorized-keys\"]\nusers = "
        "\"any\"\nkey_types = \"any\"\nmax_keys = 9\n";
    for (const std::string& rules : {few + many, many + few}) {
        const auto templates = account_templates(policy_of(rules));
        const auto decision = decide_account(templates, add("alice", {"a"}), kNow);
        ASSERT_GE(decision.at, 0);
        EXPECT_EQ(templates[decision.at].max_keys(), 9U);
    }
}

TEST(Accounts, RulesCountAsLongAsTheyLastAndDenyRulesTakeThemAway) {
    const std::string rule = kPassword + "users = [\"alice\"]\ncrypted = \"any\"\n";
    EXPECT_EQ(miss_of(rule + "expires = 2020-01-01T00:00:00Z\n", password("alice", "s")), AccountMiss::kTime);
    const std::string deny = "[[deny]]\nid = \"d\"\ncommands = [\"@accounts\"]\n";
    EXPECT_TRUE(account_templates(policy_of(rule + deny)).empty());
    const std::string until = rule + deny + "expires = 2030-01-01T00:00:00Z\n";
    EXPECT_EQ(miss_of(until, password("alice", "s")), AccountMiss::kTime);
    EXPECT_EQ(miss_of(until, password("alice", "s"), 1'900'000'000), AccountMiss::kNothing);
}

TEST(Accounts, UsersAreWhatTheyAreWhenThePolicyIsCompiled) {
    const auto templates =
        account_templates(policy_of(kKeys + "users = [\"alice\", \"odd\"]\nkey_types = \"any\"\n"));
    ASSERT_EQ(templates.size(), 3);
    const ipc::Account& alice = templates[0].accounts(0);
    EXPECT_EQ(alice.uid(), 1500U);
    EXPECT_EQ(alice.gid(), 1500U);
    EXPECT_EQ(alice.home(), "/home/alice");
    EXPECT_EQ(std::vector<unsigned>(alice.groups().begin(), alice.groups().end()),
              (std::vector<unsigned>{6, 50, 1500}));
    EXPECT_EQ(templates[0].accounts(1).home(), "") << "no path";
}

struct Mistake {
    const char* name;
    std::string rules;
    std::string error;
};
void PrintTo(const Mistake& one, std::ostream* out) {
    *out << one.name;
}
class AccountMistake : public testing::TestWithParam<Mistake> {};

TEST_P(AccountMistake, IsNamedWithItsPlace) {
    const auto& [name, rules, error] = GetParam();
    EXPECT_EQ(error_of(rules).substr(0, error.size()), error) << error_of(rules);
}

INSTANTIATE_TEST_SUITE_P(
    , AccountMistake,
    testing::Values(
        Mistake{"no_users", kPassword + "crypted = \"any\"\n",
                "p.toml:4:12: error: a rule that allows a command of @accounts must say whose: users = "
                "[\"alice\"]"},
        Mistake{"unknown_user", kPassword + "users = [\"alise\"]\ncrypted = \"any\"\n",
                "p.toml:5:10: error: no user 'alise' in /etc/passwd; did you mean 'alice'?"},
        Mistake{"no_crypted", kPassword + "users = [\"alice\"]\n",
                "p.toml:4:12: error: a rule that allows guest-set-user-password must say crypted = \"only\""},
        Mistake{"wrong_crypted", kPassword + "users = [\"alice\"]\ncrypted = \"onyl\"\n",
                "p.toml:6:11: error: unknown word 'onyl' for 'crypted'; did you mean 'only'?"},
        Mistake{"crypted_for_keys", kAdd + "users = [\"alice\"]\nkey_types = \"any\"\ncrypted = \"any\"\n",
                "p.toml:7:11: error: 'crypted' means nothing here: it is about guest-set-user-password"},
        Mistake{"no_types", kAdd + "users = [\"alice\"]\n",
                "p.toml:4:12: error: a rule that allows guest-ssh-add-authorized-keys must say which keys"},
        Mistake{
            "unknown_type", kAdd + "users = [\"alice\"]\nkey_types = [\"ssh-ed25518\"]\n",
            "p.toml:6:14: error: unknown word 'ssh-ed25518' for 'key_types'; did you mean 'ssh-ed25519'?"},
        Mistake{"too_many", kAdd + "users = [\"alice\"]\nkey_types = \"any\"\nmax_keys = 0\n",
                "p.toml:7:12: error: 'max_keys' must be a number from 1 to 10000"},
        Mistake{"reset_text", kAdd + "users = [\"alice\"]\nkey_types = \"any\"\nreset = \"yes\"\n",
                "p.toml:7:9: error: 'reset' must be true or false, not a string"},
        Mistake{"require_value",
                kAdd + "users = [\"alice\"]\nkey_types = \"any\"\nrequire = ['command=\"x\"']\n",
                "p.toml:7:12: error: 'require' holds options without a value, like \"restrict\""},
        Mistake{"keys_for_password", kPassword + "users = [\"alice\"]\ncrypted = \"any\"\nreset = true\n",
                "p.toml:7:9: error: 'reset' means nothing here: it is about guest-ssh-add-authorized-keys"},
        Mistake{"users_elsewhere", "[[allow]]\nid = \"x\"\ncommands = [\"@inspect\"]\nusers = [\"alice\"]\n",
                "p.toml:5:9: error: 'users' means nothing here: no command of the rule is one of @accounts"},
        Mistake{"users_in_deny", "[[deny]]\nid = \"x\"\ncommands = [\"@accounts\"]\nusers = [\"alice\"]\n",
                "p.toml:5:9: error: 'users' means nothing in a deny rule"}),
    [](const auto& one) { return std::string(one.param.name); });

TEST(Accounts, TemplateThatNoCompilerWroteIsRefused) {
    ipc::AccountTemplate good;
    good.add_accounts()->set_name("alice");
    good.mutable_accounts(0)->set_home("/home/alice");
    EXPECT_TRUE(check_account_template(good));
    const auto refuses = [&](auto change) {
        ipc::AccountTemplate bad = good;
        change(bad);
        return !check_account_template(bad);
    };
    EXPECT_TRUE(refuses([](auto& bad) { bad.clear_accounts(); }));
    EXPECT_TRUE(refuses([](auto& bad) { bad.set_any_user(true); }));
    EXPECT_TRUE(refuses([](auto& bad) { bad.mutable_accounts(0)->set_name("a:b"); }));
    EXPECT_TRUE(refuses([](auto& bad) { bad.mutable_accounts(0)->set_uid(0xFFFFFFFF); }));
    EXPECT_TRUE(refuses([](auto& bad) { bad.mutable_accounts(0)->set_gid(0xFFFFFFFF); }));
    EXPECT_TRUE(refuses([](auto& bad) { bad.mutable_accounts(0)->add_groups(0xFFFFFFFF); }));
    EXPECT_TRUE(refuses([](auto& bad) { bad.mutable_accounts(0)->set_home("home"); }));
    EXPECT_TRUE(refuses([](auto& bad) { bad.set_options("a b"); }));
    EXPECT_TRUE(refuses([](auto& bad) { bad.add_key_types("a b"); }));
    EXPECT_TRUE(refuses([](auto& bad) { bad.set_command(3); }));
    EXPECT_TRUE(refuses([](auto& bad) { bad.set_max_keys(10'001); }));
    EXPECT_TRUE(refuses([](auto& bad) {
        bad.set_any_key(true);
        bad.add_key_types("ssh-rsa");
    }));
}

}  // namespace
}  // namespace sallyport::policy
