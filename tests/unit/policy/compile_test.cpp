// The admin's text: what it becomes, and what is said about mistakes.
#include "policy/tool/compile/compile.hpp"
#include "policy/tool/compile/problems.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "ipc/limits.hpp"
#include "policy/decide.hpp"
#include "policy/tool/compile/profiles.hpp"

namespace sallyport::policy::compile {
namespace {

constexpr std::string_view kPasswd =
    "root:x:0:0:root:/root:/bin/bash\n"
    "broken line\n"
    "daemon:x:1:1::/:/usr/sbin/nologin\n"
    "backup:x:34:34::/:/bin/sh\n"
    "backup:x:99:99::/:/bin/sh\n"
    "noid:x::1::/:/bin/sh\n";

auto compile_text(std::string_view text, std::string_view name = "p.toml") {
    return compile_policy({.text = text, .name = name, .passwd = kPasswd});
}

/// The errors for a text, or none.
std::string errors_of(std::string_view text) {
    const auto compiled = compile_text(text);
    return compiled ? "" : compiled.error();
}

compiled::Compiled compiled_from(std::string_view text) {
    auto compiled = compile_text(text);
    EXPECT_TRUE(compiled) << compiled.error();
    return compiled ? *std::move(compiled) : compiled::Compiled();
}

constexpr std::string_view kFull = R"(schema = 1
dialect = "0.14-preview"
peers = { uids = ["backup", 7, 7], cids = [9, 3, 9] }

[[allow]]
id = "export"
why = "reports"
commands = ["guest-file-read", "guest-file-open", "@sync"]
expires = 2030-01-31T01:30:00+01:30
[[allow.files]]
under = "/srv/export"
access = ["create", "read", "write"]
max_size = "256MiB"
owner = [1000, "root", "backup"]
kinds = ["fifo", "regular"]
symlinks = "follow"
links = "any"
setid = "any"
create_mode = "0640"

[[deny]]
id = "never"
files = [{ under = "/root" }, { under = "/etc", access = ["write"] }]
)";

TEST(Compile, EveryKeyIsKept) {
    const compiled::Compiled policy = compiled_from(kFull);
    EXPECT_EQ(policy.schema(), 1U);
    EXPECT_TRUE(policy.preview_names());
    EXPECT_EQ(policy.peers().uids().size(), 2);
    EXPECT_EQ(policy.peers().uids(0), 7U);
    EXPECT_EQ(policy.peers().uids(1), 34U);
    ASSERT_EQ(policy.peers().cids().size(), 2);
    EXPECT_EQ(policy.peers().cids(0), 3U);
    ASSERT_EQ(policy.rules().size(), 2);
    const compiled::Rule& rule = policy.rules(0);
    EXPECT_EQ(rule.id(), "export");
    EXPECT_EQ(rule.where(), "p.toml:5");
    EXPECT_EQ(rule.effect(), compiled::Rule::ALLOW);
    EXPECT_EQ(rule.expires(), 1896048000);  // 2030-01-31T00:00:00Z
    const compiled::FileRule& file = rule.files(0);
    EXPECT_EQ(file.under(), "/srv/export");
    EXPECT_EQ(file.access().size(), 3);
    EXPECT_EQ(file.max_size(), std::uint64_t{256} << 20U);
    ASSERT_EQ(file.owners().size(), 3);
    EXPECT_EQ(file.owners(1), 34U);
    EXPECT_EQ(file.kinds(1), compiled::FileRule::FIFO);
    EXPECT_TRUE(file.follow_symlinks() && file.any_links() && file.any_setid());
    EXPECT_EQ(file.create_mode(), 0640U);
}

TEST(Compile, AuditIsKeptAndLeftOutMeansTheDefault) {
    const auto given = compiled_from(
        "schema = 1\naudit = { max_size = \"16MiB\", keep = 20, on_loss = \"go on\", journal = \"all\" }\n");
    EXPECT_EQ(given.audit().max_size(), std::uint64_t{16} << 20U);
    EXPECT_EQ(given.audit().keep(), 20U);
    EXPECT_TRUE(given.audit().goes_on());
    EXPECT_TRUE(given.audit().journal_all());
    EXPECT_FALSE(compiled_from("schema = 1\n").has_audit());
}

TEST(Compile, WordsOfCommandsBecomeOneAscendingSet) {
    const compiled::Compiled policy = compiled_from(kFull);
    const auto loaded = load(policy.SerializeAsString());
    ASSERT_TRUE(loaded);
    CommandSet expected;
    for (const auto id :
         {CommandId::kFileRead, CommandId::kFileOpen, CommandId::kSync, CommandId::kSyncDelimited})
        expected.add(id);
    EXPECT_EQ(loaded->rules[0].commands, expected);
}

TEST(Compile, DenyOfFilesAloneIsAboutEveryCommandThatTakesAPath) {
    const auto loaded = load(compiled_from(kFull).SerializeAsString());
    ASSERT_TRUE(loaded);
    CommandSet expected;
    expected.add(CommandId::kFileOpen);
    EXPECT_EQ(loaded->rules[1].commands, expected);
    EXPECT_EQ(loaded->rules[1].effect, Effect::kDeny);
    EXPECT_EQ(loaded->rules[1].files[0].access, Access{});
    EXPECT_EQ(loaded->rules[1].files[1].access, Access{.write = true});
}

TEST(Compile, RuleWithoutOptionalKeysIsStrict) {
    const auto loaded = load(compiled_from(R"(schema = 1
[[allow]]
id = "a"
commands = ["@file"]
files = [{ under = "/srv", access = ["read"] }]
)")
                                 .SerializeAsString());
    ASSERT_TRUE(loaded);
    const FileRule& file = loaded->rules[0].files[0];
    EXPECT_FALSE(file.follow_symlinks || file.any_links || file.any_setid || file.max_size);
    EXPECT_EQ(file.kinds, Kinds{.regular = true});
    EXPECT_EQ(file.create_mode, 0600U);
    EXPECT_TRUE(file.owners.empty());
}

TEST(Compile, PolicyWithoutRulesIsThePolicyOfTheFloor) {
    const auto loaded = load(compiled_from("schema = 1\n").SerializeAsString());
    ASSERT_TRUE(loaded);
    EXPECT_EQ(enabled_commands(*loaded, 0), floor_commands());
}

TEST(Compile, RulesStandInTheOrderOfTheText) {
    const compiled::Compiled policy = compiled_from(R"(schema = 1
[[deny]]
id = "first"
commands = ["@file"]
[[allow]]
id = "second"
commands = ["@sync"]
[[deny]]
id = "third"
commands = ["@file"]
)");
    ASSERT_EQ(policy.rules().size(), 3);
    EXPECT_EQ(policy.rules(0).id(), "first");
    EXPECT_EQ(policy.rules(1).id(), "second");
    EXPECT_EQ(policy.rules(2).where(), "p.toml:8");
}

TEST(Compile, IncludedRulesComeFirstAndSayWhereTheyStand) {
    const compiled::Compiled policy = compiled_from("schema = 1\ninclude = \"profile:minimal\"\n");
    ASSERT_EQ(policy.rules().size(), 2);
    EXPECT_EQ(policy.rules(0).where(), "profile:minimal:4");
}

TEST(Compile, EveryProfileCompilesByItselfAndIncluded) {
    ASSERT_GE(profiles().size(), 2U);
    for (const Profile& profile : profiles()) {
        EXPECT_EQ(errors_of(profile.text), "") << profile.name;
        EXPECT_EQ(errors_of("schema = 1\ninclude = [\"profile:" + std::string(profile.name) + "\"]\n"), "")
            << profile.name;
    }
}

TEST(Compile, MinimalProfileAllowsTheFloorAndNoMore) {
    const auto loaded =
        load(compiled_from("schema = 1\ninclude = \"profile:minimal\"\n").SerializeAsString());
    ASSERT_TRUE(loaded);
    EXPECT_EQ(enabled_commands(*loaded, 0), floor_commands());
}

TEST(Compile, CompatProfileIsAsOpenAsQemuGa) {
    const auto loaded =
        load(compiled_from("schema = 1\ninclude = [\"profile:compat\"]\n").SerializeAsString());
    ASSERT_TRUE(loaded);
    for (const Command& row : kCommands)
        EXPECT_TRUE(decide_command(*loaded, row.id, 0).is_allowed()) << row.name;
    const Access all{.read = true, .write = true, .create = true};
    const Decision decision = decide_file_open(*loaded, *GuestPath::parse("/dev/sda", "/"), all, 0);
    ASSERT_TRUE(decision.is_allowed());
    const FileRule& file = loaded->rules[decision.rule].files[0];
    EXPECT_TRUE(file.follow_symlinks && file.any_links && file.any_setid);
    EXPECT_EQ(file.create_mode, 0666U);
    EXPECT_EQ(file.kinds, (Kinds{true, true, true, true, true, true}));
}

TEST(CompileDigest, IsThatOfTheText) {
    // The first bytes that sha256sum shows for a file with this text.
    const std::string digest = compiled_from("schema = 1\n").digest();
    EXPECT_EQ(digest.size(), 32U);
    EXPECT_TRUE(digest.starts_with("\xda\x93\xdb\x77\xeb\xb0\x77\x76"));
}

TEST(CompileDigest, ChangesWithEveryByteAndWithTheProfiles) {
    EXPECT_NE(compiled_from("schema = 1\n").digest(), compiled_from("schema = 1 \n").digest());
    EXPECT_NE(compiled_from("schema = 1\ninclude = \"profile:compat\"\n").digest(),
              compiled_from("schema = 1\ninclude = \"profile:minimal\"\n").digest());
}

TEST(CompileDigest, DoesNotDependOnTheName) {
    EXPECT_EQ(compile_text(kFull, "a")->digest(), compile_text(kFull, "b")->digest());
}

struct Mistake {
    const char* name;
    std::string text;
    std::string expected;  // without the file's name, which is p.toml
};
void PrintTo(const Mistake& mistake, std::ostream* out) {
    *out << mistake.name;
}

struct TwoRules {
    const char* name;
    const char* first;
    const char* second;
    const char* contested;  // the command; null: both may stand
};

class TwoAllowRules : public testing::TestWithParam<TwoRules> {};

TEST_P(TwoAllowRules, AreAnErrorInEitherOrderIfOnlyTheirOrderCouldChoose) {
    const auto [name, first, second, contested] = GetParam();
    for (const auto& [one, other] : {std::pair(first, second), std::pair(second, first)}) {
        const std::string errors = errors_of("schema = 1\n[[allow]]\nid = \"a\"\n" + std::string(one) +
                                             "\n[[allow]]\nid = \"b\"\n" + other + "\n");
        if (contested == nullptr) {
            EXPECT_EQ(errors, "");
            continue;
        }
        EXPECT_TRUE(errors.contains("rules 'a' (p.toml:2) and 'b' let")) << errors;
        EXPECT_TRUE(errors.contains("let '" + std::string(contested) + "' be done in different ways"))
            << errors;
    }
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(, TwoAllowRules, testing::Values(
    TwoRules{"OtherFileSystems", R"(commands = ["guest-fsfreeze-freeze"]
freeze = { mounts = ["/srv"] })", R"(commands = ["guest-fsfreeze-freeze"]
freeze = { mounts = ["/var"] })", "guest-fsfreeze-freeze"},
    TwoRules{"OtherHooks", R"(commands = ["guest-fstrim"]
freeze = { hooks = "/etc/a" })", R"(commands = ["guest-fstrim"]
freeze = {})", "guest-fstrim"},
    TwoRules{"TheSameTwice", R"(commands = ["guest-fsfreeze-freeze"]
freeze = { mounts = ["/srv"] })", R"(commands = ["guest-fsfreeze-freeze"]
freeze = { mounts = ["/srv"] })", nullptr},
    TwoRules{"OtherCommands", R"(commands = ["guest-fsfreeze-freeze"]
freeze = { mounts = ["/srv"] })", R"(commands = ["guest-fstrim"]
freeze = {})", nullptr},
    TwoRules{"OtherMethods", R"(commands = ["guest-shutdown"]
modes = ["powerdown", "halt"]
method = "kernel")", R"(commands = ["guest-shutdown"]
modes = ["powerdown"]
method = "systemd")", "guest-shutdown"},
    TwoRules{"MethodsOfOtherModes", R"(commands = ["guest-shutdown"]
modes = ["halt"]
method = "kernel")", R"(commands = ["guest-shutdown"]
modes = ["powerdown"]
method = "systemd")", nullptr},
    TwoRules{"MethodsOfSuspending", R"(commands = ["guest-suspend-ram"]
method = "kernel")", R"(commands = ["guest-suspend-ram"])", "guest-suspend-ram"}), [](const auto& one) { return one.param.name; });
// clang-format on

class CompileRefuses : public testing::TestWithParam<Mistake> {};

TEST_P(CompileRefuses, WithPlaceAndReason) {
    EXPECT_EQ(errors_of(GetParam().text), "p.toml:" + GetParam().expected + "\n");
}

std::string rule_with(const std::string& line) {
    return "schema = 1\n[[allow]]\nid = \"a\"\n" + line + "\n";
}

std::string allow_file(const std::string& keys) {
    return rule_with("commands = [\"@file\"]\nfiles = [{ " + keys + " }]");
}

std::string srv_with(const std::string& keys) {
    return allow_file("under = \"/srv\", access = [\"read\"], " + keys);
}

std::string deny_with(const std::string& line) {
    return "schema = 1\n[[deny]]\nid = \"a\"\n" + line + "\n";
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(Document, CompileRefuses, testing::Values(
    Mistake{"Syntax",            "schema = 1\nallow = [",                "2:10: error: Error while parsing array: encountered end-of-file"},
    Mistake{"RepeatedKey",       "schema = 1\nschema = 1\n",             "2:10: error: Error while parsing key-value pair: cannot redefine existing integer 'schema'"},
    Mistake{"NoSchema",          "include = \"profile:minimal\"\n",      "1:1: error: the policy needs 'schema = 1' at its top"},
    Mistake{"SchemaOfTomorrow",  "schema = 2\n",                         "1:10: error: schema 2 is unknown; this version knows schema 1"},
    Mistake{"SchemaAsText",      "schema = \"1\"\n",                     "1:10: error: 'schema' must be the number 1, not a string"},
    Mistake{"UnknownKey",        "schema = 1\nalow = []\n",              "2:1: error: unknown key 'alow' in the policy; did you mean 'allow'?"},
    Mistake{"KeyFarFromAll",     "schema = 1\nrate = 1\n",               "2:1: error: unknown key 'rate' in the policy; expected 'schema', 'include', 'dialect', 'peers', 'audit', 'allow', 'deny' or 'never'"},
    Mistake{"UnknownProfile",    "schema = 1\ninclude = [\"profile:mininal\"]\n", "2:12: error: unknown profile 'profile:mininal'; did you mean 'profile:minimal'?"},
    Mistake{"ProfileUnprefixed", "schema = 1\ninclude = \"minimal\"\n",  "2:11: error: unknown profile 'minimal'; did you mean 'profile:minimal'?"},
    Mistake{"ProfileTwice",      "schema = 1\ninclude = [\"profile:compat\", \"profile:compat\"]\n", "2:30: error: 'profile:compat' stands twice in 'include'"},
    Mistake{"IncludeOfNumber",   "schema = 1\ninclude = 3\n",            "2:11: error: 'include' must be a list, not an integer"},
    Mistake{"UnknownDialect",    "schema = 1\ndialect = \"0.14\"\n",     "2:11: error: unknown word '0.14' for 'dialect'; did you mean '0.14-preview'?"},
    Mistake{"PeersAsList",       "schema = 1\npeers = []\n",             "2:9: error: 'peers' must be a table, not a list"},
    Mistake{"UnknownPeerKey",    "schema = 1\npeers = { uid = [1] }\n",  "2:11: error: unknown key 'uid' in 'peers'; did you mean 'uids'?"},
    Mistake{"UnknownPeerUser",   "schema = 1\npeers = { uids = [\"bakcup\"] }\n", "2:19: error: no user 'bakcup' in /etc/passwd; did you mean 'backup'?"},
    Mistake{"LogTooSmall",       "schema = 1\naudit = { max_size = \"1KiB\" }\n", "2:22: error: 'max_size' must be from 256KiB to 1TiB, like \"4MiB\""},
    Mistake{"LogSizeOddUnit",    "schema = 1\naudit = { max_size = \"4MB\" }\n", "2:22: error: 'max_size' must be from 256KiB to 1TiB, like \"4MiB\"; did you mean \"4MiB\"?"},
    Mistake{"NoFileKept",        "schema = 1\naudit = { keep = 0 }\n",   "2:18: error: 'keep' must be from 1 to 999"},
    Mistake{"UnknownLoss",       "schema = 1\naudit = { on_loss = \"ignore\" }\n", "2:21: error: unknown word 'ignore' for 'on_loss'; expected 'refuse' or 'go on'"},
    Mistake{"UnknownAuditKey",   "schema = 1\naudit = { size = 1 }\n",   "2:11: error: unknown key 'size' in 'audit'; expected 'max_size', 'keep', 'on_loss' or 'journal'"},
    Mistake{"AnyMachine",        "schema = 1\npeers = { cids = [4294967295] }\n", "2:19: error: 4294967295 is out of range for 'cids'"},
    Mistake{"MachineByName",     "schema = 1\npeers = { cids = [\"host\"] }\n", "2:19: error: 'cids' must be a list of numbers, not a string"},
    Mistake{"OneRuleAsTable",    "schema = 1\n[allow]\nid = \"a\"\n",    "2:1: error: 'allow' must be a list of rules, each under [[allow]], not a table"},
    Mistake{"RuleAsText",        "schema = 1\ndeny = [\"all\"]\n",       "2:9: error: 'deny' must be a list of rules, each under [[deny]], not a string"}),
    [](const auto& each) { return each.param.name; });

INSTANTIATE_TEST_SUITE_P(Rule, CompileRefuses, testing::Values(
    Mistake{"NoId",              "schema = 1\n[[allow]]\ncommands = [\"@sync\"]\n", "2:1: error: this allow rule needs an 'id'"},
    Mistake{"IdWithSpace",       "schema = 1\n[[allow]]\nid = \"a b\"\ncommands = [\"@sync\"]\n", "3:6: error: 'id' must have 1 to 64 characters, each a letter, a digit, '-', '_' or '.'"},
    Mistake{"IdAsNumber",        "schema = 1\n[[allow]]\nid = 1\ncommands = [\"@sync\"]\n", "3:6: error: 'id' must be a string, not an integer"},
    Mistake{"IdTwice",           rule_with("commands = [\"@sync\"]") + "[[deny]]\nid = \"a\"\ncommands = [\"@file\"]\n", "6:6: error: id 'a' is already used at p.toml:2"},
    Mistake{"IdOfAProfile",      "schema = 1\ninclude = \"profile:minimal\"\n[[allow]]\nid = \"minimal-sync\"\ncommands = [\"@sync\"]\n", "4:6: error: id 'minimal-sync' is already used at profile:minimal:4"},
    Mistake{"UnknownKey",        rule_with("commands = [\"@sync\"]\nexpire = 1"), "5:1: error: unknown key 'expire' in an allow rule; did you mean 'expires'?"},
    Mistake{"WhyAsNumber",       rule_with("commands = [\"@sync\"]\nwhy = 1"), "5:7: error: 'why' must be a string, not an integer"},
    Mistake{"NoCommands",        rule_with(""), "2:1: error: allow rule 'a' needs 'commands'"},
    Mistake{"EmptyCommands",     rule_with("commands = []"), "4:12: error: 'commands' is empty"},
    Mistake{"CommandsAsText",    rule_with("commands = \"@sync\""), "4:12: error: 'commands' must be a list, not a string"},
    Mistake{"CommandAsNumber",   rule_with("commands = [\"@sync\", 1]"), "4:22: error: 'commands' must be a list of strings, not an integer"},
    Mistake{"CommandTwice",      rule_with("commands = [\"@sync\", \"@sync\"]"), "4:22: error: '@sync' stands twice in 'commands'"},
    Mistake{"UnknownCommand",    rule_with("commands = [\"guest-pong\"]"), "4:13: error: unknown command 'guest-pong'; did you mean 'guest-ping'?"},
    Mistake{"CommandFarFromAll", rule_with("commands = [\"guest-brew-tea\"]"), "4:13: error: unknown command 'guest-brew-tea'"},
    Mistake{"CommandInCapitals", rule_with("commands = [\"GUEST-PING\"]"), "4:13: error: unknown command 'GUEST-PING'; did you mean 'guest-ping'?"},
    Mistake{"UnknownGroup",      rule_with("commands = [\"@files\"]"), "4:13: error: unknown group '@files'; did you mean '@file'?"},
    Mistake{"Everything",        rule_with("commands = [\"*\"]"), "4:13: error: '*' is no command: a policy names what it allows, by commands or groups"},
    Mistake{"OpenWithoutFiles",  rule_with("commands = [\"guest-file-open\"]"), "4:12: error: allow rule 'a' allows guest-file-open and must say which files: files = [{ under = \"/DIRECTORY\", access = [\"read\"] }]"},
    Mistake{"GroupWithoutFiles", rule_with("commands = [\"@file\"]"), "4:12: error: allow rule 'a' allows guest-file-open and must say which files: files = [{ under = \"/DIRECTORY\", access = [\"read\"] }]"},
    Mistake{"FilesForSync",      rule_with("commands = [\"@sync\"]\nfiles = [{ under = \"/srv\", access = [\"read\"] }]"), "5:9: error: 'files' means nothing here: no command of allow rule 'a' takes a path"},
    Mistake{"FilesInAWiderDenial", deny_with("commands = [\"@power\", \"@file\"]\nfiles = [{ under = \"/srv\" }]"), "5:9: error: a deny rule with 'files' can be about @file only; what else is denied needs a rule of its own"},
    Mistake{"ReplyOfSync",       rule_with("commands = [\"@sync\"]\nreply = {}"), "5:9: error: 'reply' means nothing here: no command of this rule is one of @inspect"},
    Mistake{"ReplyKey",          rule_with("commands = [\"@inspect\"]\nreply = { interface = [\"a\"] }"), "5:11: error: unknown key 'interface' in 'reply'; did you mean 'interfaces'?"},
    Mistake{"ReplyMember",       rule_with("commands = [\"@inspect\"]\nreply = { without = [\"seral\"] }"), "5:22: error: unknown word 'seral' for 'without'; did you mean 'serial'?"},
    Mistake{"ReplyOfNoUsers",    rule_with("commands = [\"guest-get-fsinfo\"]\nreply = { users = [\"a\"] }"), "5:19: error: 'users' means nothing here: the rule does not allow guest-get-users"},
    Mistake{"ReplyStarInside",   rule_with("commands = [\"@inspect\"]\nreply = { mounts = [\"/*/a\"] }"), "5:21: error: '*' can stand at the end of a name only"},
    Mistake{"ExpiresAsText",     rule_with("commands = [\"@sync\"]\nexpires = \"2030-01-31\""), "5:11: error: 'expires' must be a date and time without quotes like 2030-01-31T00:00:00Z, not a string"},
    Mistake{"ExpiresOnADate",    rule_with("commands = [\"@sync\"]\nexpires = 2030-01-31"), "5:11: error: 'expires' must be a date and time without quotes like 2030-01-31T00:00:00Z, not a date"},
    Mistake{"ExpiresLocally",    rule_with("commands = [\"@sync\"]\nexpires = 2030-01-31T00:00:00"), "5:11: error: 'expires' must be after 1970 and have an offset from UTC, like 2030-01-31T00:00:00Z"},
    Mistake{"ExpiredBefore1970", rule_with("commands = [\"@sync\"]\nexpires = 1969-12-31T00:00:00Z"), "5:11: error: 'expires' must be after 1970 and have an offset from UTC, like 2030-01-31T00:00:00Z"},
    Mistake{"DenyOfNothing",     deny_with(""), "2:1: error: deny rule 'a' needs 'commands' or 'files'"},
    Mistake{"DenyOfTheFloor",    deny_with("commands = [\"guest-ping\"]"), "4:13: error: 'guest-ping' cannot be denied by a rule, only by the option --block-rpcs"},
    Mistake{"DenyOfFloorGroup",  deny_with("commands = [\"@info\"]"), "4:13: error: '@info' cannot be denied by a rule, only by the option --block-rpcs"}),
    [](const auto& each) { return each.param.name; });

INSTANTIATE_TEST_SUITE_P(Files, CompileRefuses, testing::Values(
    Mistake{"Empty",             rule_with("commands = [\"@file\"]\nfiles = []"), "5:9: error: 'files' is empty"},
    Mistake{"AsTable",           rule_with("commands = [\"@file\"]\nfiles = {}"), "5:9: error: 'files' must be a list, not a table"},
    Mistake{"OfStrings",         rule_with("commands = [\"@file\"]\nfiles = [\"/srv\"]"), "5:10: error: 'files' must be a list of tables like { under = \"/srv\", access = [\"read\"] }, not a string"},
    Mistake{"UnknownKey",        srv_with("max-size = 1"), "5:47: error: unknown key 'max-size' in a file rule; did you mean 'max_size'?"},
    Mistake{"NoUnder",           allow_file("access = [\"read\"]"), "5:10: error: a file rule needs 'under', a directory"},
    Mistake{"RelativeUnder",     allow_file("under = \"srv\", access = [\"read\"]"), "5:20: error: 'under' must be an absolute path"},
    Mistake{"UnderWithSlash",    allow_file("under = \"/srv/\", access = [\"read\"]"), "5:20: error: 'under' is not in its shortest form; did you mean '/srv'?"},
    Mistake{"UnderWithDotDot",   allow_file("under = \"/srv/../etc\", access = [\"read\"]"), "5:20: error: 'under' is not in its shortest form; did you mean '/etc'?"},
    Mistake{"UnderWithNul",      allow_file("under = \"/srv\\u0000\", access = [\"read\"]"), "5:20: error: 'under' is no path: it is too long or holds a NUL"},
    Mistake{"EndlessUnder",      allow_file("under = \"/" + std::string(kMaxPath, 'a') + "\", access = [\"read\"]"), "5:20: error: 'under' is no path: it is too long or holds a NUL"},
    Mistake{"UnderAsNumber",     allow_file("under = 1, access = [\"read\"]"), "5:20: error: 'under' must be a string, not an integer"},
    Mistake{"NoAccess",          allow_file("under = \"/srv\""), "5:10: error: a file rule that allows needs 'access', for example [\"read\"]"},
    Mistake{"EmptyAccess",       allow_file("under = \"/srv\", access = []"), "5:37: error: 'access' is empty"},
    Mistake{"UnknownAccess",     allow_file("under = \"/srv\", access = [\"raed\"]"), "5:38: error: unknown word 'raed' for 'access'; did you mean 'read'?"},
    Mistake{"AccessFarFromAll",  allow_file("under = \"/srv\", access = [\"own\"]"), "5:38: error: unknown word 'own' for 'access'; expected 'read', 'write' or 'create'"},
    Mistake{"AccessTwice",       allow_file("under = \"/srv\", access = [\"read\", \"read\"]"), "5:46: error: 'read' stands twice in 'access'"},
    Mistake{"CreateAlone",       allow_file("under = \"/srv\", access = [\"create\"]"), "5:37: error: \"create\" needs \"write\" as well: a file is created to be written"},
    Mistake{"SizeInDecimal",     srv_with("max_size = \"256MB\""), "5:58: error: 'max_size' is no size; did you mean '256MiB'?"},
    Mistake{"SizeZero",          srv_with("max_size = 0"), "5:58: error: 'max_size' is no size; write a number of bytes above 0, or one with B, KiB, MiB, GiB or TiB like \"256MiB\""},
    Mistake{"SizeAsList",        srv_with("max_size = [1]"), "5:58: error: 'max_size' must be a number of bytes or a string like \"256MiB\", not a list"},
    Mistake{"UnknownOwner",      srv_with("owner = [\"rot\"]"), "5:56: error: no user 'rot' in /etc/passwd; did you mean 'root'?"},
    Mistake{"OwnerFarFromAll",   srv_with("owner = [\"alexandra\"]"), "5:56: error: no user 'alexandra' in /etc/passwd: write its number"},
    Mistake{"OwnerOfBrokenLine", srv_with("owner = [\"noid\"]"), "5:56: error: no user 'noid' in /etc/passwd: write its number"},
    Mistake{"NegativeOwner",     srv_with("owner = [-1]"), "5:56: error: -1 is out of range for 'owner'"},
    Mistake{"OwnerNobody",       srv_with("owner = [4294967295]"), "5:56: error: 4294967295 is out of range for 'owner'"},
    Mistake{"NoOwner",           srv_with("owner = []"), "5:55: error: 'owner' is empty"},
    Mistake{"UnknownKind",       srv_with("kinds = [\"character\"]"), "5:56: error: unknown word 'character' for 'kinds'; expected 'regular', 'directory', 'fifo', 'socket', 'char' or 'block'"},
    Mistake{"KindByBeginning",   srv_with("kinds = [\"dir\"]"), "5:56: error: unknown word 'dir' for 'kinds'; did you mean 'directory'?"},
    Mistake{"UnknownSymlinks",   srv_with("symlinks = \"folow\""), "5:58: error: unknown word 'folow' for 'symlinks'; did you mean 'follow'?"},
    Mistake{"SymlinksAsBoolean", srv_with("symlinks = true"), "5:58: error: 'symlinks' must be a string, not a boolean"},
    Mistake{"UnknownLinks",      srv_with("links = \"all\""), "5:55: error: unknown word 'all' for 'links'; expected 'single' or 'any'"},
    Mistake{"UnknownSetid",      srv_with("setid = \"allow\""), "5:55: error: unknown word 'allow' for 'setid'; expected 'refuse' or 'any'"},
    Mistake{"ModeWithoutCreate", srv_with("create_mode = \"0600\""), "5:61: error: 'create_mode' means nothing without \"create\" in 'access'"},
    Mistake{"ModeWithSetuid",    srv_with("create_mode = \"4755\""), "5:61: error: 'create_mode' must be permission bits in octal, from \"0000\" to \"0777\""},
    Mistake{"ModeAsNumber",      srv_with("create_mode = 0o600"), "5:61: error: 'create_mode' must be a string, not an integer"},
    Mistake{"DenyWithSize",      deny_with("files = [{ under = \"/srv\", max_size = 1 }]"), "4:28: error: 'max_size' means nothing in a deny rule"},
    Mistake{"DenyEmptyAccess",   deny_with("files = [{ under = \"/srv\", access = [] }]"), "4:37: error: 'access' is empty"},
    Mistake{"DenyUnknownKey",    deny_with("files = [{ undr = \"/srv\", under = \"/srv\" }]"), "4:12: error: unknown key 'undr' in a file rule; did you mean 'under'?"}),
    [](const auto& each) { return each.param.name; });
// clang-format on

TEST(CompileErrors, AllAreReportedInTheOrderOfTheText) {
    EXPECT_EQ(
        errors_of(
            "scheme = 1\n[[deny]]\nid = \"b\"\ncommands = [\"@fil\"]\n[[allow]]\nid = \"a\"\ncomands = []\n"),
        "p.toml:1:1: error: unknown key 'scheme' in the policy; did you mean 'schema'?\n"
        "p.toml:1:1: error: the policy needs 'schema = 1' at its top\n"
        "p.toml:4:13: error: unknown group '@fil'; did you mean '@file'?\n"
        "p.toml:5:1: error: allow rule 'a' needs 'commands'\n"
        "p.toml:7:1: error: unknown key 'comands' in an allow rule; did you mean 'commands'?\n");
}

TEST(CompileErrors, ColumnsCountCharactersNotBytes) {
    EXPECT_EQ(errors_of("schema = 1\nallow = [{ why = \"äöü\", id = 3, commands = [\"@sync\"] }]\n"),
              "p.toml:2:30: error: 'id' must be a string, not an integer\n");
}

// Each place where a message repeats a word of the policy, with a word of 500 kB there.
TEST(CompileErrors, NoWordMakesAMessageLong) {
    const std::string word(500'000, 'x');
    const std::string in_quotes = "\"" + word + "\"";
    const std::string rule = "schema = 1\n[[allow]]\nid = \"a\"\n";
    for (const std::string& text :
         {"schema = 1\n" + word + " = 1\n",
          word,
          "schema = 1\n" + in_quotes,
          "schema = " + in_quotes + "\n",
          "schema = 1\ninclude = " + in_quotes + "\n",
          "schema = 1\ndialect = " + in_quotes + "\n",
          "schema = 1\npeers = { uids = [" + in_quotes + "] }\n",
          "schema = 1\n[[allow]]\nid = " + in_quotes + "\n",
          rule + word + " = 1\n",
          rule + "commands = [" + in_quotes + "]\n",
          rule + "commands = [\"@sync\", " + in_quotes + ", " + in_quotes + "]\n",
          rule + "commands = [\"@sync\"]\nexpires = " + in_quotes + "\n",
          rule + "commands = [\"@file\"]\nfiles = [{ under = " + in_quotes + " }]\n",
          rule + "commands = [\"@file\"]\nfiles = [{ under = \"/" + std::string(2000, 'x') +
              "/./y\", access = [\"read\"] }]\n",
          rule + "commands = [\"@file\"]\nfiles = [{ under = \"/a\", " + word + " = 1 }]\n",
          rule + "commands = [\"@file\"]\nfiles = [{ under = \"/a\", access = [" + in_quotes + "] }]\n",
          rule + "commands = [\"@file\"]\nfiles = [{ under = \"/a\", access = [\"read\"], owner = [" +
              in_quotes + "] }]\n",
          rule + "commands = [\"@file\"]\nfiles = [{ under = \"/a\", access = [\"read\"], max_size = " +
              in_quotes + " }]\n",
          rule + "commands = [\"@freeze\"]\nfreeze = { " + word + " = 1 }\n",
          rule + "commands = [\"@inspect\"]\nreply = { without = [" + in_quotes + "] }\n",
          rule + "commands = [\"guest-shutdown\"]\nmodes = [" + in_quotes + "]\n"}) {
        const std::string errors = errors_of(text);
        EXPECT_NE(errors, "") << text.substr(0, 100);
        EXPECT_LT(errors.size(), 2500U) << errors.substr(0, 300);
        EXPECT_EQ(errors.find(std::string(300, 'x')), std::string::npos) << errors.substr(0, 300);
    }
    const auto compiled = compile_text("schema = 2\n", "/" + word);
    ASSERT_FALSE(compiled);
    EXPECT_LT(compiled.error().size(), 400U);
}

TEST(Printable, IsOneLineThatCannotCommandATerminal) {
    struct Shown {
        std::string_view text;
        const char* shown;
    };
    for (const Shown& one : {
             Shown{"plain text, \\x41", "plain text, \\x41"},
             Shown{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
             Shown{"a\033[2J\n\r\t\x7f", "a\\x1b[2J\\x0a\\x0d\\x09\\x7f"},
             Shown{std::string_view("\0", 1), "\\x00"},
             Shown{"\xc2\x9b"
                   "2J",
                   "\\xc2\\x9b2J"},
             Shown{"\x9b"
                   "2J",
                   "\\x9b2J"},
             Shown{"\xe2\x80\xae"
                   "gpj",
                   "\\xe2\\x80\\xaegpj"},
             Shown{"\xe2\x80\xa8", "\\xe2\\x80\\xa8"},
             Shown{"\xc0\x9b", "\\xc0\\x9b"},
             Shown{"\xed\xa0\x80", "\\xed\\xa0\\x80"},
             Shown{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
             Shown{"\xe2\x82", "\\xe2\\x82"},
         })
        EXPECT_EQ(printable(one.text), one.shown);
    EXPECT_EQ(quoted("a\n"), "'a\\x0a'");
}

TEST(Printable, IsCutAtAWholeCharacter) {
    EXPECT_EQ(printable(std::string(256, 'x')), std::string(256, 'x'));
    EXPECT_EQ(printable(std::string(257, 'x')), std::string(256, 'x') + "...");
    EXPECT_EQ(printable(std::string(255, 'x') + "\xc3\xa4"), std::string(255, 'x') + "...");
    EXPECT_EQ(printable(std::string(255, 'x') + "\n"), std::string(255, 'x') + "...");
}

TEST(CompileErrors, ControlCharactersDoNotReachTheTerminal) {
    EXPECT_EQ(
        errors_of("schema = 1\n\"\\u001b[2J\" = 1\n"),
        "p.toml:2:1: error: unknown key '\\x1b[2J' in the policy; expected 'schema', 'include', 'dialect', "
        "'peers', 'audit', 'allow', 'deny' or 'never'\n");
    const auto compiled = compile_text("schema = 2\n", "a\033b\n\xff.toml");
    ASSERT_FALSE(compiled);
    EXPECT_EQ(compiled.error(),
              "a\\x1bb\\x0a\\xff.toml:1:10: error: schema 2 is unknown; this version knows schema 1\n");
}

TEST(CompileErrors, EndlessListOfErrorsIsCutShort) {
    std::string text = "schema = 1\n";
    for (int at = 0; at < 70; ++at) text += "unknown" + std::to_string(at) + " = 1\n";
    const std::string errors = errors_of(text);
    EXPECT_EQ(std::ranges::count(errors, '\n'), 51);
    EXPECT_TRUE(errors.ends_with("p.toml: 20 more errors are not shown\n"));
}

TEST(CompileLimits, LongestTextIsAcceptedAndOneMoreByteIsNot) {
    std::string text = "schema = 1\n#";
    text.resize(kMaxPolicySize, 'x');
    EXPECT_EQ(errors_of(text), "");
    EXPECT_EQ(errors_of(text + "x"), "p.toml:1:1: error: the policy is longer than 1048576 bytes\n");
}

TEST(CompileLimits, MostRulesAreAcceptedAndOneMoreIsNot) {
    std::string text = "schema = 1\n";
    for (std::size_t at = 0; at < kMaxRules; ++at)
        text += "[[deny]]\nid = \"r" + std::to_string(at) + "\"\ncommands = [\"@file\"]\n";
    EXPECT_EQ(errors_of(text), "");
    EXPECT_EQ(errors_of(text + "[[deny]]\nid = \"last\"\ncommands = [\"@file\"]\n"),
              "p.toml:12290:1: error: more than 4096 rules, counting each entry of 'files'\n");
}

}  // namespace
}  // namespace sallyport::policy::compile
