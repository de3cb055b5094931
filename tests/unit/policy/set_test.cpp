// Rules about the clock, processors and memory blocks: what is a mistake and where, and how far a host may go.
#include <gtest/gtest.h>

#include <limits>

#include "policy/set.hpp"
#include "policy/tool/compile/compile.hpp"

namespace sallyport::policy {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr WallTime kNow = 1'800'000'000;

auto compiled_of(const std::string& rules) {
    const std::string text = "schema = 1\n" + rules;
    return compile::compile_policy({.text = text, .name = "p.toml", .passwd = ""});
}

Policy policy_of(const std::string& rules) {
    const auto compiled = compiled_of(rules);
    EXPECT_TRUE(compiled) << (compiled ? "" : compiled.error());
    auto loaded = load(compiled->SerializeAsString());
    EXPECT_TRUE(loaded) << (loaded ? "" : loaded.error().what);
    return *std::move(loaded);
}

std::string allow(const std::string& command, const std::string& more, const std::string& id = "x") {
    return "[[allow]]\nid = \"" + id + "\"\ncommands = [\"" + command + "\"]\n" + more + "\n";
}
std::string time_of(const std::string& step, const std::string& id = "x") {
    return allow("guest-set-time", "time = { max_step = \"" + step + "\" }", id);
}
std::string cpus_of(const std::string& cpus, int min_online = 1, const std::string& id = "x") {
    return allow("guest-set-vcpus",
                 "vcpus = { min_online = " + std::to_string(min_online) + ", cpus = \"" + cpus + "\" }", id);
}
std::string blocks_of(const std::string& blocks) {
    return allow("guest-set-memory-blocks", "memory = { blocks = \"" + blocks + "\" }");
}

ipc::SetOrder clock_order(std::optional<std::int64_t> to_ns) {
    ipc::SetOrder order;
    order.mutable_time();
    if (to_ns) order.mutable_time()->set_to_ns(*to_ns);
    return order;
}
ipc::SetOrder cpu_order(std::initializer_list<std::int64_t> ids) {
    ipc::SetOrder order;
    order.mutable_vcpus();
    for (const std::int64_t id : ids) order.mutable_vcpus()->add_item()->set_id(id);
    return order;
}
ipc::SetOrder block_order(std::initializer_list<std::uint64_t> numbers) {
    ipc::SetOrder order;
    order.mutable_blocks();
    for (const std::uint64_t number : numbers) order.mutable_blocks()->add_item()->set_index(number);
    return order;
}

SetDecision decision_of(const std::string& rules, const ipc::SetOrder& order, WallTime now = kNow) {
    return decide_set(set_rules(policy_of(rules)), order, {.latest = now, .wall_ns = now * kSecond});
}
SetMiss miss_of(const std::string& rules, const ipc::SetOrder& order, WallTime now = kNow) {
    return decision_of(rules, order, now).miss;
}

struct Step {
    const char* name;
    std::int64_t to_ns;
    WallTime latest;
    std::int64_t wall_ns;
    bool is_within;
};
void PrintTo(const Step& one, std::ostream* out) {
    *out << one.name;
}
class StepOfFiveMinutes : public testing::TestWithParam<Step> {};

TEST_P(StepOfFiveMinutes, IsWithinOrNot) {
    const auto& [name, to_ns, latest, wall_ns, is_within] = GetParam();
    ipc::SetRule::Step by;
    by.set_max_ms(300'000);
    EXPECT_EQ(is_step_within(by, to_ns, {.latest = latest, .wall_ns = wall_ns}), is_within);
}

constexpr std::int64_t kWall = kNow * kSecond;
constexpr std::int64_t kFive = 300 * kSecond;
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
// clang-format off
INSTANTIATE_TEST_SUITE_P(, StepOfFiveMinutes, testing::Values(
    Step{"None",                     kWall,             kNow,       kWall,          true},
    Step{"ForwardsAtMost",           kWall + kFive,     kNow,       kWall,          true},
    Step{"ForwardsBeyond",           kWall + kFive + 1, kNow,       kWall,          false},
    Step{"BackAtMost",               kWall - kFive,     kNow,       kWall,          true},
    Step{"BackBeyond",               kWall - kFive - 1, kNow,       kWall,          false},
    Step{"BackTwice",                kWall - 2 * kFive, kNow,       kWall - kFive,  false},
    Step{"BackAfterForwards",        kWall,             kNow + 300, kWall + kFive,  true},
    Step{"BackMoreThanForwards",     kWall - 1,         kNow + 300, kWall + kFive,  false},
    Step{"ForwardsOfAClockSetBack",  kWall,             kNow,       kWall - kFive,  true},
    Step{"AheadOfAllThatWasSeen",    kWall + kFive,     kNow - 900, kWall,          true},
    Step{"Epoch",                    0,                 kNow,       kWall,          false},
    Step{"BeforeTheEpoch",           -1,                0,          0,              false},
    Step{"LastThatCanBeSet",         kSettableEndNs - 1, kSettableEndNs / kSecond - 1, kSettableEndNs - kSecond, true},
    Step{"Year2070",                 kSettableEndNs,    kSettableEndNs / kSecond - 1, kSettableEndNs - 1, false},
    Step{"GreatestNumber",           kMost,             kNow,       kWall,          false},
    Step{"LeastNumber",              kLeast,            kNow,       kWall,          false},
    Step{"ClockAtTheEndOfNumbers",   kWall,             kMost,      kMost,          false},
    Step{"ClockBeforeTheEpoch",      kFive,             kLeast,     kLeast,         true}),
    [](const auto& one) { return std::string(one.param.name); });
// clang-format on

TEST(SetDecision, OfAnyStepTakesEveryTimeThereIs) {
    for (const std::int64_t to_ns : {std::int64_t{0}, kSettableEndNs - 1})
        EXPECT_EQ(miss_of(time_of("any"), clock_order(to_ns)), SetMiss::kNothing);
    for (const std::int64_t to_ns : {std::int64_t{-1}, kSettableEndNs})
        EXPECT_EQ(miss_of(time_of("any"), clock_order(to_ns)), SetMiss::kStep);
}

TEST(SetDecision, OfTheHardwareClockIsLeftToWhoReadsIt) {
    EXPECT_EQ(miss_of(time_of("1ms"), clock_order({})), SetMiss::kNothing);
}

TEST(SetDecision, NumbersAreThoseOfTheRule) {
    const std::string rule = cpus_of("1-3,8");
    for (const std::int64_t id : {1, 2, 3, 8})
        EXPECT_EQ(miss_of(rule, cpu_order({id})), SetMiss::kNothing) << id;
    for (const std::int64_t id : {std::int64_t{-1}, std::int64_t{0}, std::int64_t{4}, std::int64_t{7},
                                  std::int64_t{9}, kMost, kLeast})
        EXPECT_EQ(miss_of(rule, cpu_order({id})), SetMiss::kBounds) << id;
    EXPECT_EQ(miss_of(rule, cpu_order({1, 2, 4})), SetMiss::kBounds) << "one of several";
    EXPECT_EQ(miss_of(rule, cpu_order({})), SetMiss::kNothing) << "none at all";
    EXPECT_EQ(miss_of(blocks_of("0-63"), block_order({0, 63})), SetMiss::kNothing);
    EXPECT_EQ(miss_of(blocks_of("0-63"), block_order({64})), SetMiss::kBounds);
    EXPECT_EQ(miss_of(blocks_of("0-63"), block_order({std::numeric_limits<std::uint64_t>::max()})),
              SetMiss::kBounds);
    EXPECT_EQ(miss_of(blocks_of("any"), block_order({std::numeric_limits<std::uint64_t>::max()})),
              SetMiss::kNothing);
    EXPECT_EQ(miss_of(cpus_of("any"), cpu_order({-1})), SetMiss::kNothing);
}

TEST(SetDecision, OneRuleCoversAllOrNoneDoes) {
    const std::string rules = cpus_of("0-1", 1, "a") + cpus_of("2-3", 1, "b");
    EXPECT_EQ(miss_of(rules, cpu_order({0, 1})), SetMiss::kNothing);
    EXPECT_EQ(miss_of(rules, cpu_order({1, 2})), SetMiss::kBounds);
}

TEST(SetDecision, OfSeveralTheOneThatSaysLeastCountsWhateverTheirOrder) {
    for (const bool is_swapped : {false, true}) {
        const auto both = [&](const std::string& one, const std::string& other) {
            return is_swapped ? other + one : one + other;
        };
        const SetRules steps = set_rules(policy_of(both(time_of("1m", "a"), time_of("5m", "b"))));
        EXPECT_EQ(steps[decide_set(steps, clock_order({}), {}).at].rule(), "b");
        const SetRules any = set_rules(policy_of(both(time_of("any", "a"), time_of("5m", "b"))));
        EXPECT_EQ(any[decide_set(any, clock_order({}), {}).at].rule(), "a");
        const SetRules cpus = set_rules(policy_of(both(cpus_of("0-7", 2, "a"), cpus_of("0-7", 1, "b"))));
        EXPECT_EQ(cpus[decide_set(cpus, cpu_order({1}), {}).at].rule(), "b");
    }
}

TEST(SetDecision, ARuleOfAnotherCommandCoversNothing) {
    EXPECT_EQ(miss_of(time_of("any"), cpu_order({})), SetMiss::kBounds);
    EXPECT_EQ(miss_of(cpus_of("any"), block_order({})), SetMiss::kBounds);
    EXPECT_EQ(miss_of(blocks_of("any"), clock_order({})), SetMiss::kBounds);
    EXPECT_EQ(miss_of(time_of("any"), ipc::SetOrder()), SetMiss::kBounds);
}

TEST(SetDecision, GoesByTheLatestTimeAndNotByTheClock) {
    const std::string rule =
        allow("guest-set-time", "time = { max_step = \"5m\" }\nexpires = 2030-01-01T00:00:00Z");
    constexpr WallTime kExpiry = 1'893'456'000;
    const SetRules rules = set_rules(policy_of(rule));
    const ipc::SetOrder order = clock_order((kExpiry - 10) * kSecond);
    const auto miss = [&](WallTime latest) {
        return decide_set(rules, order, {.latest = latest, .wall_ns = (kExpiry - 10) * kSecond}).miss;
    };
    EXPECT_EQ(miss(kExpiry - 1), SetMiss::kNothing);
    EXPECT_EQ(miss(kExpiry), SetMiss::kTime) << "the clock was set back since";
}

TEST(SetDecision, DeniedForEverIsNotThereAndDeniedForATimeCountsLater) {
    const std::string never = "[[deny]]\nid = \"no\"\ncommands = [\"@hardware\"]\n";
    EXPECT_TRUE(set_rules(policy_of(time_of("5m") + never)).empty());
    const std::string rules = cpus_of("0") + never + "expires = 2030-01-01T00:00:00Z\n";
    EXPECT_EQ(miss_of(rules, cpu_order({0}), 1'893'455'999), SetMiss::kTime);
    EXPECT_EQ(miss_of(rules, cpu_order({0}), 1'893'456'000), SetMiss::kNothing);
    Policy narrowed = policy_of(time_of("5m"));
    narrowed.narrowed_to.remove(CommandId::kSetTime);
    EXPECT_TRUE(set_rules(narrowed).empty());
}

struct Mistake {
    const char* name;
    std::string rule;
    const char* said;
};
void PrintTo(const Mistake& one, std::ostream* out) {
    *out << one.name;
}
class MistakeInASetRule : public testing::TestWithParam<Mistake> {};

TEST_P(MistakeInASetRule, IsSaidWithItsPlace) {
    const auto compiled = compiled_of(GetParam().rule);
    ASSERT_FALSE(compiled);
    EXPECT_EQ(compiled.error(), std::string("p.toml:") + GetParam().said + "\n");
}

const std::string kDeny = "[[deny]]\nid = \"x\"\ncommands = [\"guest-set-time\"]\n";
const std::string kCpuExample = "numbers like \"0-7\" or \"1-3,8\", or \"any\"";
const std::string kTooShort =
    "5:21: error: 'max_step' must be from 1 ms to 1000 hours, like \"500ms\", \"5m\" or \"1h\", or \"any\"";
// clang-format off
INSTANTIATE_TEST_SUITE_P(, MistakeInASetRule, testing::Values(
    Mistake{"NoTime",        allow("guest-set-time", ""),   "4:12: error: a rule that allows guest-set-time must say how far: time = { max_step = \"5m\" }"},
    Mistake{"NoVcpus",       allow("guest-set-vcpus", ""),  "4:12: error: a rule that allows guest-set-vcpus must say how far: vcpus = { min_online = 1, cpus = \"0-7\" }"},
    Mistake{"NoMemory",      allow("guest-set-memory-blocks", ""), "4:12: error: a rule that allows guest-set-memory-blocks must say how far: memory = { blocks = \"0-63\" }"},
    Mistake{"InADenyRule",   kDeny + "time = { max_step = \"5m\" }\n", "5:8: error: 'time' means nothing in a deny rule"},
    Mistake{"OfAnother",     allow("guest-set-time", "time = { max_step = \"5m\" }\nmemory = { blocks = \"0\" }"), "6:10: error: 'memory' means nothing here: the rule does not allow guest-set-memory-blocks"},
    Mistake{"NoStep",        allow("guest-set-time", "time = {}"), "5:8: error: 'time' needs 'max_step', how far the clock may be set in either direction, like \"5m\""},
    Mistake{"StepOfNothing", time_of("0s"),                 kTooShort.c_str()},
    Mistake{"StepOfDays",    time_of("1001h"),              kTooShort.c_str()},
    Mistake{"StepNegative",  time_of("-5m"),                kTooShort.c_str()},
    Mistake{"StepNumber",    allow("guest-set-time", "time = { max_step = 300 }"), "5:21: error: 'max_step' must be a string, not an integer"},
    Mistake{"OtherKey",      allow("guest-set-time", "time = { max_step = \"5m\", min_step = \"1s\" }"), "5:27: error: unknown key 'min_step' in 'time'; did you mean 'max_step'?"},
    Mistake{"NoTable",       allow("guest-set-time", "time = \"5m\""), "5:8: error: 'time' must be a table, not a string"},
    Mistake{"Reversed",      cpus_of("7-0"),                "5:34: error: 'cpus' has no number from 7 to 0; did you mean \"0-7\"?"},
    Mistake{"NoNumbers",     cpus_of(""),                   "5:34: error: 'cpus' must be numbers like \"0-7\" or \"1-3,8\", or \"any\""},
    Mistake{"CommaAtTheEnd", cpus_of("0,"),                 "5:34: error: 'cpus' must be numbers like \"0-7\" or \"1-3,8\", or \"any\""},
    Mistake{"Negative",      cpus_of("-1"),                 "5:34: error: 'cpus' must be numbers like \"0-7\" or \"1-3,8\", or \"any\""},
    Mistake{"TooLarge",      cpus_of("1000000001"),         "5:34: error: 'cpus' must be numbers like \"0-7\" or \"1-3,8\", or \"any\""},
    Mistake{"ListOfNumbers", allow("guest-set-memory-blocks", "memory = { blocks = [0, 1] }"), "5:21: error: 'blocks' must be numbers like \"0-7\" or \"1-3,8\", or \"any\", not a list"},
    Mistake{"NoCpus",        allow("guest-set-vcpus", "vcpus = { min_online = 1 }"), "5:9: error: 'cpus' is missing: numbers like \"0-7\" or \"1-3,8\", or \"any\""},
    Mistake{"NoMinimum",     allow("guest-set-vcpus", "vcpus = { cpus = \"0\" }"), "5:9: error: 'vcpus' needs 'min_online', how many stay online, like 1"},
    Mistake{"NoneOnline",    cpus_of("0", 0),               "5:24: error: 'min_online' must be a number from 1 to 65536"}),
    [](const auto& one) { return std::string(one.param.name); });
// clang-format on

TEST(SetRulesOfAPolicy, JoinNumbersThatTouch) {
    const SetRules rules = set_rules(policy_of(blocks_of("8,0-3,4,2-6,10-10")));
    ASSERT_EQ(rules[0].blocks().span_size(), 3);
    EXPECT_EQ(rules[0].blocks().span(0).least(), 0U);
    EXPECT_EQ(rules[0].blocks().span(0).most(), 6U);
    EXPECT_EQ(rules[0].blocks().span(2).most(), 10U);
}

TEST(SetRulesOfAPolicy, ThatNoCompilerOfOursWritesAreRefused) {
    const auto refused = [](const std::function<void(ipc::SetRule&)>& change) {
        ipc::SetRule rule;
        rule.mutable_vcpus()->set_min_online(1);
        auto& span = *rule.mutable_vcpus()->mutable_cpus()->add_span();
        span.set_least(2);
        span.set_most(3);
        EXPECT_TRUE(check_set_rule(rule));
        change(rule);
        return !check_set_rule(rule);
    };
    EXPECT_TRUE(refused([](auto& rule) { rule.clear_what(); }));
    EXPECT_TRUE(refused([](auto& rule) { rule.mutable_vcpus()->set_min_online(0); }));
    EXPECT_TRUE(refused([](auto& rule) { rule.mutable_vcpus()->mutable_cpus()->set_any(true); }));
    EXPECT_TRUE(refused([](auto& rule) { rule.mutable_vcpus()->mutable_cpus()->clear_span(); }));
    EXPECT_TRUE(
        refused([](auto& rule) { rule.mutable_vcpus()->mutable_cpus()->mutable_span(0)->set_most(1); }));
    EXPECT_TRUE(refused(
        [](auto& rule) { *rule.mutable_vcpus()->mutable_cpus()->add_span() = rule.vcpus().cpus().span(0); }));
    EXPECT_TRUE(refused([](auto& rule) { rule.mutable_time(); }));
    EXPECT_TRUE(refused([](auto& rule) {
        rule.mutable_time()->set_any(true);
        rule.mutable_time()->set_max_ms(1);
    }));
    EXPECT_TRUE(refused([](auto& rule) { rule.set_rule("x"); }));
    EXPECT_TRUE(refused([](auto& rule) { rule.mutable_times()->add_denied(); }));
    EXPECT_TRUE(refused([](auto& rule) { rule.mutable_times()->mutable_own()->set_expires(1); }));
}

TEST(SetRulesOfAPolicy, GoWithTheirCommandsAndOnlyWithThem) {
    auto compiled = *compiled_of(time_of("5m"));
    EXPECT_TRUE(load(compiled.SerializeAsString()));
    auto twice = compiled;
    *twice.mutable_rules(0)->add_sets() = compiled.rules(0).sets(0);
    EXPECT_FALSE(load(twice.SerializeAsString()));
    auto none = compiled;
    none.mutable_rules(0)->clear_sets();
    EXPECT_FALSE(load(none.SerializeAsString()));
    auto other = compiled;
    other.mutable_rules(0)->mutable_sets(0)->mutable_blocks()->set_any(true);
    EXPECT_FALSE(load(other.SerializeAsString()));
    auto denied = compiled;
    denied.mutable_rules(0)->set_effect(compiled::Rule::DENY);
    EXPECT_FALSE(load(denied.SerializeAsString()));
}

}  // namespace
}  // namespace sallyport::policy
