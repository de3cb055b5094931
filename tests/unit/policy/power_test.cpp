// Rules about shutdown and suspend: what is a mistake, and what is decided.
#include <gtest/gtest.h>

#include "policy/decide.hpp"
#include "policy/tool/compile/compile.hpp"

namespace sallyport::policy {
namespace {

compile::Source source_of(const std::string& text) {
    return {.text = text, .name = "p.toml", .passwd = ""};
}

Policy policy_of(const std::string& rules) {
    const auto compiled = compile::compile_policy(source_of("schema = 1\n" + rules));
    EXPECT_TRUE(compiled) << (compiled ? "" : compiled.error());
    auto loaded = load(compiled->SerializeAsString());
    EXPECT_TRUE(loaded);
    return *std::move(loaded);
}

const std::string kDown =
    "[[allow]]\nid = \"down\"\ncommands = [\"guest-shutdown\"]\nmodes = [\"powerdown\"]\nexpires = "
    "2030-01-01T00:00:00Z\n";
const std::string kAll =
    "[[allow]]\nid = \"all\"\ncommands = [\"@power\"]\nmodes = [\"reboot\", \"halt\", \"powerdown\"]\nmethod "
    "= \"kernel\"\n";
const std::string kHaltByKernel =
    "[[allow]]\nid = \"halt\"\ncommands = [\"guest-shutdown\"]\nmodes = [\"halt\"]\nmethod = \"kernel\"\n";
const std::string kNoHalt = "[[deny]]\nid = \"no\"\ncommands = [\"guest-shutdown\"]\nmodes = [\"halt\"]\n";
const std::string kNever = "[[deny]]\nid = \"never\"\ncommands = [\"guest-shutdown\"]\n";
constexpr WallTime kBefore = 1'800'000'000;
constexpr WallTime kAfter = 2'000'000'000;

struct Case {
    const char* name;
    std::string rules;
    Mode mode;
    WallTime now;
    Why why;
};
void PrintTo(const Case& one, std::ostream* out) {
    *out << one.name;
}

class ShutdownIsDecided : public testing::TestWithParam<Case> {};

TEST_P(ShutdownIsDecided, ByMode) {
    const Policy policy = policy_of(GetParam().rules);
    EXPECT_EQ(decide_shutdown(policy, GetParam().mode, GetParam().now).why, GetParam().why);
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(, ShutdownIsDecided, testing::Values(
    Case{"ModeOfTheRule",          kDown,          Mode::kPowerdown, kBefore, Why::kAllowed},
    Case{"OtherMode",              kDown,          Mode::kReboot,    kBefore, Why::kNoRuleMatches},
    Case{"NoMode",                 kDown,          Mode::kNone,      kBefore, Why::kNoRuleMatches},
    Case{"ExpiredRule",            kDown,          Mode::kPowerdown, kAfter,  Why::kNoRuleMatches},
    Case{"NoRule",                 "",             Mode::kPowerdown, kBefore, Why::kNoRuleMatches},
    Case{"DeniedMode",             kAll + kNoHalt, Mode::kHalt,      kBefore, Why::kDenied},
    Case{"ModeBesideTheDenied",    kAll + kNoHalt, Mode::kReboot,    kBefore, Why::kAllowed},
    Case{"DenialInFront",          kNoHalt + kAll, Mode::kHalt,      kBefore, Why::kDenied},
    Case{"DenialOfTheCommand",     kAll + kNever,  Mode::kReboot,    kBefore, Why::kDenied},
    Case{"OneOfTwoRules",          kDown + kHaltByKernel, Mode::kHalt,      kBefore, Why::kAllowed}),
    [](const auto& each) { return each.param.name; });
// clang-format on

TEST(DecideShutdown, OptionThatTakesTheCommandAwayWins) {
    Policy policy = policy_of(kAll);
    policy.narrowed_to.remove(CommandId::kShutdown);
    EXPECT_EQ(decide_shutdown(policy, Mode::kReboot, kBefore).why, Why::kNarrowed);
}

TEST(DecideShutdown, DenialOfAModeLeavesTheCommandEnabled) {
    const Policy policy = policy_of(kAll + kNoHalt);
    EXPECT_TRUE(decide_command(policy, CommandId::kShutdown, kBefore).is_allowed());
    EXPECT_TRUE(enabled_commands(policy, kBefore).has(CommandId::kShutdown));
    EXPECT_FALSE(enabled_commands(policy_of(kAll + kNever), kBefore).has(CommandId::kShutdown));
}

std::string denial(const std::string& mode, const std::string& more = "") {
    return "[[deny]]\nid = \"no-" + mode + "\"\ncommands = [\"guest-shutdown\"]\nmodes = [\"" + mode +
           "\"]\n" + more;
}
const std::string kUntil2030 = "expires = 2030-01-01T00:00:00Z\n";

TEST(DecideShutdown, DenialOfEachModeThatIsAllowedTakesTheCommandAway) {
    const Policy policy =
        policy_of(kAll + denial("halt") + denial("reboot") + denial("powerdown", kUntil2030));
    EXPECT_EQ(decide_command(policy, CommandId::kShutdown, kBefore).why, Why::kDenied);
    EXPECT_FALSE(enabled_commands(policy, kBefore).has(CommandId::kShutdown));
    EXPECT_TRUE(decide_command(policy, CommandId::kShutdown, kAfter).is_allowed());
    EXPECT_TRUE(enabled_commands(policy, kAfter).has(CommandId::kShutdown));
}

// By Mode: halt, powerdown, reboot.
std::bitset<4> modes(bool halt, bool powerdown, bool reboot) {
    return std::bitset<4>((halt ? 2U : 0U) | (powerdown ? 4U : 0U) | (reboot ? 8U : 0U));
}

TEST(Reach, HasTheModesThatNoDenialTakesAwayForEver) {
    EXPECT_EQ(reach_of(policy_of(kDown)).modes, modes(false, true, false))
        << "an allow rule that expires counts";
    EXPECT_EQ(reach_of(policy_of(kAll + kNoHalt)).modes, modes(false, true, true));
    EXPECT_EQ(reach_of(policy_of(kAll + kNoHalt + kUntil2030)).modes, modes(true, true, true));
    EXPECT_EQ(reach_of(policy_of(kAll + kNever)).modes, modes(false, false, false));
}

TEST(Reach, HasShutdownOnlyWithAMode) {
    EXPECT_TRUE(reach_of(policy_of(kAll + kNoHalt)).commands.has(CommandId::kShutdown));
    EXPECT_FALSE(reach_of(policy_of(kHaltByKernel + kNoHalt)).commands.has(CommandId::kShutdown));
    const CommandSet others = reach_of(policy_of(kAll + kNever)).commands;
    EXPECT_FALSE(others.has(CommandId::kShutdown));
    EXPECT_TRUE(others.has(CommandId::kSuspendRam));
}

TEST(Reach, HasWhateverIsDecidedAllowedAtSomeTime) {
    for (const std::string& rules :
         {kDown, kAll, kAll + kNoHalt, kNoHalt + kDown + kHaltByKernel, kAll + kNever + kUntil2030,
          kAll + denial("reboot", kUntil2030) + kNoHalt, kHaltByKernel + kNoHalt + kUntil2030}) {
        const Policy policy = policy_of(rules);
        const Reach reach = reach_of(policy);
        for (const Mode mode : {Mode::kHalt, Mode::kPowerdown, Mode::kReboot}) {
            const bool is_ever = decide_shutdown(policy, mode, kBefore).is_allowed() ||
                                 decide_shutdown(policy, mode, kAfter).is_allowed();
            EXPECT_EQ(reach.modes.test(static_cast<std::size_t>(mode)), is_ever) << rules;
        }
    }
}

TEST(PowerRule, KeepsItsMethod) {
    EXPECT_EQ(policy_of(kAll).rules[0].method, Method::kKernel);
    EXPECT_EQ(policy_of(kDown).rules[0].method, Method::kAny);
}

struct Mistake {
    const char* name;
    std::string rule;
    std::string expected;
};
void PrintTo(const Mistake& mistake, std::ostream* out) {
    *out << mistake.name;
}

class PowerRuleRefuses : public testing::TestWithParam<Mistake> {};

TEST_P(PowerRuleRefuses, WithPlaceAndReason) {
    const auto compiled = compile::compile_policy(source_of("schema = 1\n" + GetParam().rule));
    ASSERT_FALSE(compiled);
    EXPECT_EQ(compiled.error(), "p.toml:" + GetParam().expected + "\n");
}

std::string allow_with(const std::string& lines) {
    return "[[allow]]\nid = \"a\"\n" + lines + "\n";
}
std::string deny_with(const std::string& lines) {
    return "[[deny]]\nid = \"a\"\n" + lines + "\n";
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(, PowerRuleRefuses, testing::Values(
    Mistake{"ShutdownWithoutModes", allow_with("commands = [\"guest-shutdown\"]"), "4:12: error: a rule that allows guest-shutdown must say which modes: modes = [\"powerdown\"]"},
    Mistake{"GroupWithoutModes",    allow_with("commands = [\"@power\"]"), "4:12: error: a rule that allows guest-shutdown must say which modes: modes = [\"powerdown\"]"},
    Mistake{"UnknownMode",          allow_with("commands = [\"guest-shutdown\"]\nmodes = [\"powerdwn\"]"), "5:10: error: unknown word 'powerdwn' for 'modes'; did you mean 'powerdown'?"},
    Mistake{"ModesOfSuspend",       allow_with("commands = [\"guest-suspend-ram\"]\nmodes = [\"halt\"]"), "5:9: error: 'modes' means nothing here: it is about guest-shutdown"},
    Mistake{"ModesInAWiderDenial",  deny_with("commands = [\"@power\"]\nmodes = [\"halt\"]"), "5:9: error: a deny rule with 'modes' can be about guest-shutdown only"},
    Mistake{"UnknownMethod",        allow_with("commands = [\"guest-suspend-ram\"]\nmethod = \"sytemd\""), "5:10: error: unknown word 'sytemd' for 'method'; did you mean 'systemd'?"},
    Mistake{"MethodOfADenial",      deny_with("commands = [\"guest-suspend-ram\"]\nmethod = \"systemd\""), "5:10: error: 'method' means nothing here: it is about allowing a shutdown or a suspend"},
    Mistake{"MethodOfAPing",        allow_with("commands = [\"guest-ping\"]\nmethod = \"systemd\""), "5:10: error: 'method' means nothing here: it is about allowing a shutdown or a suspend"}),
    [](const auto& each) { return each.param.name; });
// clang-format on

compiled::Compiled tampered_base() {
    return *compile::compile_policy(source_of("schema = 1\n" + kAll));
}

TEST(LoadPower, RefusesWhatTheCompilerDoesNotWrite) {
    auto unknown_mode = tampered_base();
    unknown_mode.mutable_rules(0)->add_modes(static_cast<compiled::Rule::Mode>(9));
    auto no_modes = tampered_base();
    no_modes.mutable_rules(0)->clear_modes();
    auto unordered = tampered_base();
    unordered.mutable_rules(0)->add_modes(compiled::Rule::HALT);
    auto unknown_method = tampered_base();
    unknown_method.mutable_rules(0)->set_method(static_cast<compiled::Rule::Method>(9));
    auto denial = tampered_base();
    denial.mutable_rules(0)->set_effect(compiled::Rule::DENY);
    for (const auto& one : {unknown_mode, no_modes, unordered, unknown_method, denial})
        EXPECT_FALSE(load(one.SerializeAsString()));
    EXPECT_TRUE(load(tampered_base().SerializeAsString()));
}

}  // namespace
}  // namespace sallyport::policy
