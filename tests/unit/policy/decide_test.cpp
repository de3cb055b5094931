// What the rules of a policy allow, by themselves and together.
#include "policy/decide.hpp"

#include <gtest/gtest.h>

namespace sallyport::policy {
namespace {

constexpr Access kRead{.read = true};
constexpr Access kWrite{.write = true};
constexpr Access kReadWrite{.read = true, .write = true};
constexpr Access kCreate{.write = true, .create = true};
constexpr Access kAll{.read = true, .write = true, .create = true};
constexpr WallTime kNow = 1'000'000;

CommandSet set_of(std::initializer_list<CommandId> ids) {
    CommandSet set;
    for (const CommandId id : ids) set.add(id);
    return set;
}

CommandSet every_command() {
    CommandSet set;
    for (const Command& row : kCommands) set.add(row.id);
    return set;
}

const CommandSet kFileCommands = set_of({CommandId::kFileOpen, CommandId::kFileClose, CommandId::kFileRead});

Rule allow(std::vector<FileRule> files, std::optional<std::int64_t> expires = {}) {
    return {.id = "allow",
            .where = "p:1",
            .effect = Effect::kAllow,
            .commands = kFileCommands,
            .files = std::move(files),
            .expires = expires};
}

Rule deny(std::vector<FileRule> files, std::optional<std::int64_t> expires = {}) {
    Rule rule = allow(std::move(files), expires);
    rule.effect = Effect::kDeny;
    return rule;
}

FileRule in(const char* directory, Access access) {
    return {.under = directory, .access = access};
}

Policy policy_of(std::vector<Rule> rules) {
    return {.rules = std::move(rules), .narrowed_to = every_command()};
}

Decision open(const Policy& policy, std::string_view path, Access wanted, WallTime now = kNow) {
    return decide_file_open(policy, *GuestPath::parse(path, "/"), wanted, now);
}

struct OpenCase {
    const char* name;
    std::vector<Rule> rules;
    const char* path;
    Access wanted;
    Why expected;
};
void PrintTo(const OpenCase& each, std::ostream* out) {
    *out << each.name;
}

class FileOpen : public testing::TestWithParam<OpenCase> {};

TEST_P(FileOpen, IsDecidedSo) {
    const Decision decision = open(policy_of(GetParam().rules), GetParam().path, GetParam().wanted);
    EXPECT_EQ(decision.why, GetParam().expected);
    EXPECT_EQ(decision.is_allowed(), !decision.grants.empty());
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(, FileOpen, testing::Values(
    OpenCase{"NoRules",                    {},                                                        "/srv/a",    kRead,      Why::kNoRuleMatches},
    OpenCase{"BeneathDirectory",           {allow({in("/srv", kRead)})},                              "/srv/a",    kRead,      Why::kAllowed},
    OpenCase{"TheDirectoryItself",         {allow({in("/srv", kRead)})},                              "/srv",      kRead,      Why::kAllowed},
    OpenCase{"SiblingWithPrefix",          {allow({in("/srv", kRead)})},                              "/srvx/a",   kRead,      Why::kNoRuleMatches},
    OpenCase{"OtherAccess",                {allow({in("/srv", kRead)})},                              "/srv/a",    kWrite,     Why::kNoRuleMatches},
    OpenCase{"HalfOfTheAccess",            {allow({in("/srv", kRead)})},                              "/srv/a",    kReadWrite, Why::kNoRuleMatches},
    OpenCase{"HalvesOfTwoRulesDoNotAdd",   {allow({in("/srv", kRead)}), allow({in("/srv", kWrite)})}, "/srv/a",    kReadWrite, Why::kNoRuleMatches},
    OpenCase{"WriteDoesNotCreate",         {allow({in("/srv", kWrite)})},                             "/srv/a",    kCreate,    Why::kNoRuleMatches},
    OpenCase{"CreateCreates",              {allow({in("/srv", kCreate)})},                            "/srv/a",    kCreate,    Why::kAllowed},
    OpenCase{"CreateDoesNotRead",          {allow({in("/srv", kCreate)})},                            "/srv/a",    kRead,      Why::kNoRuleMatches},
    OpenCase{"WantingNothingIsRefused",    {allow({in("/srv", kAll)})},                               "/srv/a",    Access{},   Why::kNoRuleMatches},
    OpenCase{"DenyWins",                   {allow({in("/", kAll)}), deny({in("/root", {})})},         "/root/a",   kRead,      Why::kDenied},
    OpenCase{"DenyWinsInAnyOrder",         {deny({in("/root", {})}), allow({in("/", kAll)})},         "/root/a",   kRead,      Why::kDenied},
    OpenCase{"DenyOfOuterBeatsInnerAllow", {allow({in("/srv/in", kAll)}), deny({in("/srv", {})})},    "/srv/in/a", kRead,      Why::kDenied},
    OpenCase{"DenyOfTheDirectoryItself",   {allow({in("/", kAll)}), deny({in("/root", {})})},         "/root",     kRead,      Why::kDenied},
    OpenCase{"DenyIsNotOfSiblings",        {allow({in("/", kAll)}), deny({in("/root", {})})},         "/rooted",   kRead,      Why::kAllowed},
    OpenCase{"DenyOfOneAccess",            {allow({in("/", kAll)}), deny({in("/etc", kWrite)})},      "/etc/a",    kWrite,     Why::kDenied},
    OpenCase{"DenyOfPartOfTheAccess",      {allow({in("/", kAll)}), deny({in("/etc", kWrite)})},      "/etc/a",    kReadWrite, Why::kDenied},
    OpenCase{"DenyLeavesOtherAccess",      {allow({in("/", kAll)}), deny({in("/etc", kWrite)})},      "/etc/a",    kRead,      Why::kAllowed},
    OpenCase{"SecondDeniedDirectory",      {allow({in("/", kAll)}), deny({in("/a", {}), in("/b", {})})}, "/b/c",   kRead,      Why::kDenied},
    OpenCase{"DenyOfTheWholeCommand",      {allow({in("/", kAll)}), deny({})},                        "/srv/a",    kRead,      Why::kDenied},
    OpenCase{"ExpiredAllowGrantsNothing",  {allow({in("/", kAll)}, kNow)},                            "/srv/a",    kRead,      Why::kNoRuleMatches},
    OpenCase{"AllowLivesUntilItExpires",   {allow({in("/", kAll)}, kNow + 1)},                        "/srv/a",    kRead,      Why::kAllowed},
    OpenCase{"ExpiredDenyDeniesNothing",   {allow({in("/", kAll)}), deny({in("/srv", {})}, kNow)},    "/srv/a",    kRead,      Why::kAllowed},
    OpenCase{"DenyLivesUntilItExpires",    {allow({in("/", kAll)}), deny({in("/srv", {})}, kNow + 1)}, "/srv/a",   kRead,      Why::kDenied}),
    [](const auto& each) { return each.param.name; });
// clang-format on

TEST(DecideFileOpen, DeepestDirectoryIsTriedFirst) {
    const Policy policy =
        policy_of({allow({in("/", kRead), in("/srv/deep/er", kRead)}), allow({in("/srv", kRead)}),
                   allow({in("/srv/deep", kRead), in("/other", kRead)})});
    const Decision decision = open(policy, "/srv/deep/er/a", kRead);
    ASSERT_EQ(decision.grants.size(), 4U);
    EXPECT_EQ(decision.rule, 0U);
    const auto directory = [&](std::size_t at) {
        return policy.rules[decision.grants[at].rule].files[decision.grants[at].file].under;
    };
    EXPECT_EQ(directory(0), "/srv/deep/er");
    EXPECT_EQ(directory(1), "/srv/deep");
    EXPECT_EQ(directory(2), "/srv");
    EXPECT_EQ(directory(3), "/");
}

TEST(DecideFileOpen, RulesOfOneDirectoryAreTriedInOrder) {
    const Policy policy = policy_of({allow({in("/srv", kRead)}), allow({in("/srv", kRead)})});
    const Decision decision = open(policy, "/srv/a", kRead);
    ASSERT_EQ(decision.grants.size(), 2U);
    EXPECT_EQ(decision.grants[0].rule, 0U);
    EXPECT_EQ(decision.grants[1].rule, 1U);
}

TEST(DecideFileOpen, RuleThatDeniedIsNamed) {
    const Decision decision =
        open(policy_of({allow({in("/", kAll)}), deny({in("/root", {})})}), "/root/a", kRead);
    EXPECT_EQ(decision.rule, 1U);
    EXPECT_TRUE(decision.grants.empty());
}

TEST(DecideFileOpen, RuleForOtherCommandsOpensNothing) {
    Rule rule = allow({in("/", kAll)});
    rule.commands = set_of({CommandId::kFileRead});
    EXPECT_EQ(open(policy_of({rule}), "/srv/a", kRead).why, Why::kNoRuleMatches);
}

TEST(DecideFileOpen, OptionOfTheCommandLineTakesItAway) {
    Policy policy = policy_of({allow({in("/", kAll)})});
    policy.narrowed_to.remove(CommandId::kFileOpen);
    EXPECT_EQ(open(policy, "/srv/a", kRead).why, Why::kNarrowed);
}

TEST(DecideCommand, FloorNeedsNoRule) {
    for (const Command& row : kCommands) {
        const Decision decision = decide_command(policy_of({}), row.id, kNow);
        EXPECT_EQ(decision.is_allowed(), row.floor == Floor::kYes) << row.name;
        EXPECT_EQ(decision.rule, kNoRule) << row.name;
    }
}

TEST(DecideCommand, RuleThatAllowsTheFloorIsNamed) {
    Rule rule = allow({});
    rule.commands = set_of({CommandId::kPing});
    EXPECT_EQ(decide_command(policy_of({deny({}), rule}), CommandId::kPing, kNow).rule, 1U);
}

TEST(DecideCommand, NoRuleTakesTheFloorAway) {
    Rule rule = deny({});
    rule.commands = every_command();
    for (const Command& row : kCommands) {
        const Decision decision = decide_command(policy_of({rule}), row.id, kNow);
        EXPECT_EQ(decision.why, row.floor == Floor::kYes ? Why::kAllowed : Why::kDenied) << row.name;
    }
}

TEST(DecideCommand, OptionsTakeEvenTheFloorAway) {
    Policy policy = policy_of({});
    policy.narrowed_to = CommandSet();
    for (const Command& row : kCommands)
        EXPECT_EQ(decide_command(policy, row.id, kNow).why, Why::kNarrowed) << row.name;
}

TEST(DecideCommand, AllowRuleAllowsItsCommandsOnly) {
    const Policy policy = policy_of({allow({in("/srv", kRead)})});
    EXPECT_TRUE(decide_command(policy, CommandId::kFileOpen, kNow).is_allowed());
    EXPECT_TRUE(decide_command(policy, CommandId::kFileRead, kNow).is_allowed());
    EXPECT_EQ(decide_command(policy, CommandId::kFileWrite, kNow).why, Why::kNoRuleMatches);
}

TEST(DecideCommand, DenyWithoutFilesTakesTheWholeCommandAway) {
    const Decision decision =
        decide_command(policy_of({allow({in("/", kAll)}), deny({})}), CommandId::kFileRead, kNow);
    EXPECT_EQ(decision.why, Why::kDenied);
    EXPECT_EQ(decision.rule, 1U);
}

TEST(DecideCommand, DenyWithFilesLeavesTheCommand) {
    const Policy policy = policy_of({allow({in("/", kAll)}), deny({in("/root", {})})});
    EXPECT_TRUE(decide_command(policy, CommandId::kFileOpen, kNow).is_allowed());
    EXPECT_TRUE(decide_command(policy, CommandId::kFileRead, kNow).is_allowed());
}

TEST(DecideCommand, ExpiredRulesHaveNoEffect) {
    const Policy policy = policy_of({allow({in("/", kAll)}, kNow + 10), deny({}, kNow)});
    EXPECT_EQ(decide_command(policy, CommandId::kFileRead, kNow - 1).why, Why::kDenied);
    EXPECT_EQ(decide_command(policy, CommandId::kFileRead, kNow).why, Why::kAllowed);
    EXPECT_EQ(decide_command(policy, CommandId::kFileRead, kNow + 10).why, Why::kNoRuleMatches);
}

TEST(EnabledCommands, AreThoseThatAreDecidedAllowed) {
    Rule writing = allow({});
    writing.commands = set_of({CommandId::kFileWrite, CommandId::kPing});
    Rule no_close = deny({});
    no_close.commands = set_of({CommandId::kFileClose, CommandId::kPing});
    Policy policy = policy_of({allow({in("/", kAll)}, kNow), writing, deny({in("/root", {})}), no_close});
    policy.narrowed_to.remove(CommandId::kInfo);
    for (const WallTime now : {kNow - 1, kNow, kNow + 1}) {
        const CommandSet enabled = enabled_commands(policy, now);
        for (const Command& row : kCommands)
            EXPECT_EQ(enabled.has(row.id), decide_command(policy, row.id, now).is_allowed())
                << row.name << " at " << now;
    }
}

Rule looking() {
    Rule rule;
    rule.effect = Effect::kAllow;
    rule.commands = set_of({CommandId::kGetUsers});
    return rule;
}

TEST(Reach, HasTheCommandsThatMayCome) {
    const auto reaches = [](const std::vector<Rule>& rules) {
        return reach_of(policy_of(rules)).commands.has(CommandId::kGetUsers);
    };
    Rule expiring = looking();
    expiring.expires = kNow - 1;
    EXPECT_TRUE(reaches({expiring}));
    Rule denial = deny({});
    denial.commands = set_of({CommandId::kGetUsers});
    EXPECT_FALSE(reaches({looking(), denial}));
    denial.expires = kNow;
    EXPECT_TRUE(reaches({looking(), denial}));
}

// The guard's rows.

Rule freezing(std::initializer_list<CommandId> commands) {
    Rule rule = looking();
    rule.commands = set_of(commands);
    rule.freeze.emplace();
    return rule;
}
Rule without(CommandId command) {
    Rule rule = looking();
    rule.effect = Effect::kDeny;
    rule.commands = set_of({command});
    return rule;
}
constexpr CommandId kFreeze = CommandId::kFsfreezeFreeze;
constexpr CommandId kTrim = CommandId::kFstrim;
using Numbers = std::vector<std::size_t>;

TEST(FreezeRules, AreThoseThatFreezeOrTrimInTheirOrder) {
    EXPECT_EQ(freeze_rules(policy_of({looking(), freezing({kFreeze}), looking(), freezing({kTrim})})),
              (Numbers{1, 3}));
    EXPECT_EQ(freeze_rules(policy_of({looking()})), Numbers{});
}

TEST(FreezeRules, LoseWhatIsDeniedForEver) {
    const Rule both = freezing({kFreeze, kTrim});
    EXPECT_EQ(freeze_rules(policy_of({freezing({kFreeze}), both, without(kFreeze)})), Numbers{1});
    EXPECT_EQ(freeze_rules(policy_of({both, without(kFreeze), without(kTrim)})), Numbers{});
    Rule for_now = without(kFreeze);
    for_now.expires = kNow - 1;
    EXPECT_EQ(freeze_rules(policy_of({freezing({kFreeze}), for_now})), Numbers{0});
}

TEST(FreezeRules, LoseWhatAnOptionTakesAway) {
    Policy policy = policy_of({freezing({kFreeze}), freezing({kTrim})});
    policy.narrowed_to.remove(kFreeze);
    EXPECT_EQ(freeze_rules(policy), Numbers{1});
}

struct FoundCase {
    const char* name;
    FoundFile found;
    bool is_accepted;
};

class FoundFileIs : public testing::TestWithParam<FoundCase> {};

TEST_P(FoundFileIs, AcceptedAsTheEntrySays) {
    FileRule rule = in("/srv", kRead);
    rule.kinds = {.regular = true, .directory = true};
    rule.owners = {0, 1000};
    rule.max_size = 10;
    EXPECT_EQ(accepts_file(rule, GetParam().found), GetParam().is_accepted);
}

INSTANTIATE_TEST_SUITE_P(
    , FoundFileIs,
    testing::Values(FoundCase{"AsTheEntrySays", {.owner = 1000, .size = 10}, true},
                    FoundCase{"TooLarge", {.size = 11}, false},
                    FoundCase{"OfAnotherOwner", {.owner = 1001}, false},
                    FoundCase{"OfAnotherKind", {.kind = Kind::kFifo}, false},
                    FoundCase{"WithASecondName", {.links = 2}, false},
                    FoundCase{"WithASetIdBit", {.is_setid = true}, false},
                    FoundCase{"ALargeDirectory", {.kind = Kind::kDirectory, .links = 5, .size = 4096}, true}),
    [](const auto& one) { return one.param.name; });

}  // namespace
}  // namespace sallyport::policy
